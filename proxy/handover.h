#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/timer.h"
#include "proxy/channel.h"

namespace pointsman::proxy {

// The running daemon's part of a takeover: gives all that it has to the process that asks for it, which is
// `pointsman run --takeover`. The other part is takeover.h.
//
//      new process                     running daemon
//      hello             ------->
//                        <-------      sockets, with descriptors      (or: refused, and why)
//      has loaded, checked and
//      bound all that it needs
//      ready             ------->      waits until no change of primary, no order to a server and no write of
//                                      the state is under way; then decides nothing any more
//                        <-------      commit: the route in force, and the former processes
//      reads the state, decides
//      serving           ------->      accepts no more, keeps its sessions (draining.h)
//      route, ...        <------>      applied, report, ...
//
// Two processes never decide at the same time: the new one does nothing before `commit`, and the daemon
// nothing after it, until it has seen that the new process has ended, which it makes sure of by SIGKILL. When
// that happens before `serving`, nothing was changed by anybody: the new process sends it before it has heard
// of a server. So the daemon goes on where it stood.
//
// Control loop's thread; owned by the daemon.
class Handover {
 public:
  // Descriptors, and what they are.
  struct Piece {
    nlohmann::json what;
    std::vector<int> files;
  };
  struct Callbacks {
    std::function<std::vector<Piece>()> sockets;
    // The longest that an agent may go on without us; zero: no agent has a lease.
    std::function<core::Duration()> lease;
    // Stops deciding. Error: why not now.
    std::function<std::expected<void, std::string>()> suspend;
    std::function<Piece()> commit;
    std::function<void()> resume;
    // The new process serves; the channel to it, and what it said.
    std::function<void(Channel, const nlohmann::json&, const ProcessHandle&)> handed_over;
    std::function<std::string(pid_t)> why_not;  // that process never takes over; "": it may
  };

  static constexpr const char* socket_name = "takeover.sock";  // in proxy.state_dir
  static constexpr int protocol = 1;

  Handover(io::Loop& loop, io::Log& log, std::string state_dir, Callbacks callbacks);
  ~Handover();
  Handover(const Handover&) = delete;
  Handover& operator=(const Handover&) = delete;

  std::expected<void, std::string> listen();
  bool under_way() const { return client_ != nullptr; }

 private:
  enum class Step { greeted, preparing, asked, committed, killing };
  struct Client;

  void accept();
  void on_message();
  void on_hello(const nlohmann::json& hello);
  void try_commit();
  void on_timer();
  void hand_over(const nlohmann::json& said);
  void drop(const std::string& why, bool again);
  void go_on_alone(const std::string& why);

  io::Loop& loop_;
  io::Log& log_;
  const std::string directory_;
  const Callbacks callbacks_;
  io::Descriptor listener_;
  std::unique_ptr<Watch> accepting_;
  std::unique_ptr<Client> client_;
  io::Timer timer_;
  bool ours_ = false;  // the socket's file
};

// Where the two meet. `create`: what is there is replaced.
std::expected<io::Descriptor, std::string> takeover_socket(const std::string& state_dir, bool create);

}  // namespace pointsman::proxy
