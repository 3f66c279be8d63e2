#pragma once

#include <atomic>
#include <condition_variable>
#include <expected>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>

#include "conf/agent_config.h"
#include "health/copy/channel.h"
#include "health/io/descriptor.h"
#include "health/io/log.h"
#include "health/mysql/waker.h"

namespace pointsman::agent {

// `pointsman-agent copies`: the program beside the agent that copies the local server's data for `pointsman
// setup`. A process of its own, because it works for hours with disk, network and other programs, needs to
// write beside the data folder, and must take nothing from the agent that guards the server.
//
// Who connects proves that it knows a key of authkeys before anything that it says is read (copy::Channel).
// One copy at a time; whoever comes meanwhile is told so.
class Copies {
 public:
  static constexpr std::size_t max_connections = 8;

  // All outlive this.
  Copies(const conf::AgentConfig& config, io::Log& log, const mysql::Waker& stop);

  // Finishes or takes back what an earlier run left, then serves until `stop` rings; what is under way is
  // taken back then. `ready` is called when it listens. Error: why it cannot.
  std::expected<void, std::string> run(const std::function<void()>& ready);

 private:
  using Outcome = std::expected<void, std::string>;

  Outcome lock();
  Outcome recover();
  Outcome listen();
  void accept();
  void serve(io::Descriptor connection, const std::string& from);
  void answer(copy::Channel& channel, const copy::Words& order, const std::string& from);
  // With what we are at work; "": nothing, and now it is `next`.
  std::string busy_with(const std::string& next = "");
  // Of one that has ended, the thread.
  void sweep();

  struct Served {
    std::thread thread;
    std::atomic<bool> ended = false;
  };

  const conf::AgentConfig& config_;
  io::Log& log_;
  const mysql::Waker& stop_;
  io::Descriptor lock_;
  io::Descriptor listener_;
  std::list<Served> served_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::string busy_;  // with what; "": nothing
};

}  // namespace pointsman::agent
