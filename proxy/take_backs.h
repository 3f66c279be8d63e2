#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "conf/config.h"
#include "health/core/action.h"
#include "health/core/event.h"
#include "health/io/mailbox.h"

namespace pointsman::proxy {

// Carries out core::TakeBack: saves a server's own transactions and undoes them, or copies the primary's
// data. One thread of its own, one server at a time, because a copy takes hours, and neither a fence nor the
// disk may wait for it. Used on the control loop's thread, where the answers come as well.
class TakeBacks {
 public:
  // `done` is called on the loop's thread, never after the destructor has begun. `note` takes progress, from
  // the worker's thread: must not block.
  using Done = std::function<void(core::TookBack)>;
  using Note = std::function<void(core::BackendId, const std::string& text)>;

  TakeBacks(io::Mailbox& mailbox, std::string state_dir, Done done, Note note);
  ~TakeBacks();  // ends what runs, tidily, and waits for that
  TakeBacks(const TakeBacks&) = delete;
  TakeBacks& operator=(const TakeBacks&) = delete;

  // `config` is the one to work by. At most one for each backend is queued or runs.
  void start(const core::TakeBack& order, const conf::Config& config);
  // Ends what runs or waits for this backend; it is answered all the same.
  void abort(core::BackendId backend);
  bool busy();

 private:
  struct Job {
    core::TakeBack order;
    conf::Config config;
    std::stop_source stop{};
  };

  void work(const std::stop_token& ended);
  void answer(core::TookBack answer);

  io::Mailbox& mailbox_;
  const std::string state_dir_;
  const Done done_;
  const Note note_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // looked at on the loop's thread

  std::mutex mutex_;  // guards what follows
  std::condition_variable_any news_;
  std::deque<Job> waiting_;  // at most one for each backend
  std::optional<std::pair<core::BackendId, std::stop_source>> running_;
  std::jthread thread_;  // last: the others are there while it runs
};

}  // namespace pointsman::proxy
