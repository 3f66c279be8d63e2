#pragma once

#include <expected>
#include <memory>
#include <string>

#include "health/io/background.h"
#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/timer.h"
#include "proxy/metrics_counts.h"
#include "proxy/metrics_gather.h"

namespace pointsman::proxy {

// The daemon's Prometheus metrics, at admin.metrics.
//
//   control loop: counts, and a snapshot each refresh_period -> board -> threads of the endpoint: text, HTTP
//
// The two sides share one pointer to a snapshot that nobody changes any more, under a mutex that is held for
// the copy of that pointer. So a scrape never waits for the control loop, nor the loop for a scrape, and a
// scrape during a hang of the loop shows the values from before, with their age.
//
// Control loop's thread; owned by the daemon. Everything in the parts outlives it.
class Metrics {
 public:
  // A snapshot is never older than that while the loop runs.
  static constexpr core::Duration refresh_period = std::chrono::milliseconds(500);

  struct Parts {
    io::Loop& loop;
    io::Background& background;
    Control& control;
    Workers& workers;
    AdminServer& admin;
    History& history;
    const Hooks& hooks;
    const FormerProcesses& formers;
    const Heartbeats* heartbeats;  // null: no backend has an agent
    io::Log& log;
  };

  explicit Metrics(const Parts& parts);
  // Waits for a client that is being answered, up to 2 s.
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Before the control begins: takes its on_event and on_record, and listens; "": only counts. May resolve a
  // name. Error: a sentence; nothing listens then.
  std::expected<void, std::string> start(const std::string& address);
  // The same where another process may still listen there for a moment: it is tried until it has gone. That
  // nobody can is logged.
  void start_later(const std::string& address);
  // Moves to another address, on a pool thread. When nobody can listen there, that is logged and the old
  // address stays; the next reload tries again.
  void reconfigure(const std::string& address);
  void stop();

 private:
  class Board;
  // What is open now. Its owner is the loop's thread, or while `moving_` the pool thread.
  struct Door;

  void count();
  void refresh();
  void move();
  void moved();

  io::Background& background_;
  const MetricsSources sources_;
  Control& control_;
  io::Log& log_;
  MetricsCounts counts_;
  std::shared_ptr<Board> board_;
  std::shared_ptr<Door> door_;
  std::string wanted_;     // address
  std::string attempted_;  // by the last move
  bool moving_ = false;
  bool stopped_ = false;
  core::Instant patient_until_{};
  io::Timer timer_;
  io::Timer again_;
};

}  // namespace pointsman::proxy
