#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

#include "conf/config.h"
#include "health/io/log.h"

namespace pointsman::proxy {

// Events that hooks.command was to be run for, by how that ended.
struct HookCounts {
  std::uint64_t done = 0;
  std::uint64_t failed = 0;  // another exit status than 0, or a signal
  std::uint64_t timed_out = 0;
  std::uint64_t not_started = 0;
  std::uint64_t dropped = 0;  // never tried: too many waited, or the daemon stopped
};

// Tells a program of the operator's of events: runs hooks.command for each that hooks.events names, one after
// another, in their order.
//
//   control loop: event -> queue -> thread of the hooks: start, feed, wait, kill -> log, counts
//
// A thread of its own, because even starting a program may take as long as the disk that it lies on. The loop
// leaves a text in the queue and goes on; what is started runs at a low priority, but not the thread, which
// shares a mutex with the loop. Used on the loop's thread, counts() on any.
class Hooks {
 public:
  // Events that wait for the one before them; beyond it the oldest is dropped: where so much happens, the
  // newest says best how things are.
  static constexpr std::size_t max_waiting = 64;

  Hooks(io::Log& log, conf::Hooks settings);
  ~Hooks();
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  void on_event(const nlohmann::json& event);
  // For what happens from now on, and for what waits; what runs goes on as it was started.
  void reconfigure(conf::Hooks settings);
  // Ends what runs, drops what waits; nothing is run any more.
  void stop();

  HookCounts counts() const;
  bool busy() const;

 private:
  struct Event {
    std::string kind;
    std::string message;
    std::string line;  // as `events --json` prints it
  };

  void work(const std::stop_token& ended);
  void run(const Event& event, const conf::Hooks& settings, const std::stop_token& ended);
  void drop(const Event& event, const std::string& why);
  void count(std::uint64_t HookCounts::* outcome);

  io::Log& log_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable_any news_;
  conf::Hooks settings_;
  std::deque<Event> waiting_;
  HookCounts counts_;
  bool stopped_ = false;
  bool running_ = false;
  std::jthread thread_;  // last: the others are there while it runs
};

}  // namespace pointsman::proxy
