#pragma once

#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "health/io/address.h"
#include "health/io/descriptor.h"
#include "proxy/channel.h"
#include "proxy/handed_route.h"
#include "proxy/service_sockets.h"
#include "proxy/socket_file.h"

namespace pointsman::proxy {

// What the running daemon gives to the process that takes its place. What is not used is closed with it.
struct Inheritance {
  struct AdminSocket {
    std::string path;
    SocketFile file;
    io::Descriptor socket;  // listening
  };
  struct UdpSocket {
    io::Address address;
    io::Descriptor socket;
  };

  io::Descriptor state_lock;
  std::vector<ServiceSocket> service;
  std::optional<AdminSocket> admin;
  std::optional<UdpSocket> udp;
  std::map<std::string, io::Descriptor> lines;  // by device
  core::Duration lease{};                       // that an agent may have; zero: none has
};

// A process that serves its last sessions, and how to talk to it.
struct FormerChannel {
  pid_t pid = 0;
  core::Instant since{};
  Channel channel;
};

// The new process's part of a takeover; see handover.h for the whole. Blocks; before the loop runs.
class Takeover {
 public:
  // Error: a sentence. A daemon that has something else to do first is asked again for some seconds.
  static std::expected<Takeover, std::string> begin(const std::string& state_dir);

  Inheritance& inheritance() { return inheritance_; }

  struct Commit {
    std::optional<HandedRoute> route;
    std::vector<FormerChannel> formers;
  };
  // Everything is prepared: from the answer on nobody else decides. Error: the other one goes on, and why.
  std::expected<Commit, std::string> commit();
  // Tells it that we serve. It is a former process from now on.
  std::expected<FormerChannel, std::string> serving(core::Duration drain_timeout);
  // Closes what was not used, with the files of sockets.
  void discard_rest();

 private:
  explicit Takeover(Channel channel, pid_t pid) : channel_(std::move(channel)), pid_(pid) {}
  struct Refusal {
    std::string why;
    core::Duration patience{};  // it may be otherwise within that
  };

  static std::expected<Takeover, Refusal> ask(const std::string& state_dir);
  static Refusal refusal_of(const Channel::Message& message);
  std::expected<void, Refusal> receive_sockets();
  std::expected<void, std::string> take(const nlohmann::json& what, std::vector<io::Descriptor> files);

  Channel channel_;
  pid_t pid_;
  Inheritance inheritance_;
};

}  // namespace pointsman::proxy
