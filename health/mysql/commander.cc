#include "health/mysql/commander.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <pthread.h>

#include "health/mysql/after_promotion.h"
#include "health/mysql/boot_clock.h"
#include "health/mysql/command_runner.h"
#include "health/mysql/concat.h"
#include "health/mysql/poll_until.h"
#include "health/mysql/session.h"
#include "health/mysql/waker.h"

namespace pointsman::mysql {
namespace {

using core::CommandResult;
using core::Failure;
using core::FailureKind;

// The idle connection: asked this often whether it still works (its end is noticed at once, a host that
// vanished is not).
constexpr core::Duration ping_interval = std::chrono::seconds(3);
constexpr core::Duration first_backoff = std::chrono::milliseconds(50);
constexpr core::Duration longest_backoff = std::chrono::seconds(1);

}  // namespace

class Commander::Impl {
 public:
  Impl(Options options, Done done, Warn warn)
      : options_(std::move(options)),
        settings_{options_.replication, options_.monitor.user, options_.replication_heartbeat},
        done_(std::move(done)),
        session_({options_.address, options_.monitor}, Session::Leftover::kill_and_wait, interrupt_),
        after_promotion_(warn ? std::move(warn) : [](const std::string&) {}),
        thread_([this] { run(); }) {
    pthread_setname_np(thread_.native_handle(), "command");
  }

  ~Impl() {
    {
      std::unique_lock lock(mutex_);
      stopping_ = true;
      wake_.ring();
      idle_.wait_for(lock, finish_time, [this] { return !busy_; });
      interrupt_.ring();
    }
    thread_.join();
  }

  void submit(core::CommandId id, core::Command command) {
    {
      const std::lock_guard lock(mutex_);
      if (queue_.size() < max_queued) {
        queue_.push_back({id, std::move(command)});
        wake_.ring();
        return;
      }
    }
    done_(id, std::unexpected(Failure{
                  FailureKind::timeout, 0,
                  concat(conf::to_string(options_.address), ": ", max_queued, " commands wait already")}));
  }

  void abort() {
    const std::lock_guard lock(mutex_);
    for (auto& entry : queue_) aborted_.push_back(entry.id);
    queue_.clear();
    // Ends whatever call the thread is in. Cleared before the next command begins, which is why all of this
    // holds the lock.
    interrupt_.ring();
  }

 private:
  struct Entry {
    core::CommandId id{};
    core::Command command;
  };

  void run() {
    for (;;) {
      std::vector<core::CommandId> aborted;
      std::optional<Entry> entry;
      {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        interrupt_.clear();
        aborted.swap(aborted_);
        busy_ = !queue_.empty();
        if (busy_) {
          entry = std::move(queue_.front());
          queue_.pop_front();
        }
      }
      for (const auto id : aborted) {
        done_(id, std::unexpected(
                      Failure{FailureKind::timeout, 0,
                              concat(conf::to_string(options_.address), ": given up before it began")}));
      }
      if (entry) {
        carry_out(*entry);
      } else {
        stay_warm();
      }
    }
  }

  void carry_out(const Entry& entry) {
    CommandResult result;
    if (auto ready = connected(); ready) {
      result = std::visit(CommandRunner(session_, settings_), entry.command);
    } else {
      result = std::unexpected(std::move(ready.error()));
    }
    {
      const std::lock_guard lock(mutex_);
      busy_ = false;
      if (stopping_) return idle_.notify_one();
    }
    last_used_ = boot_now();
    // What an account may do is settled when it logs in: a GRANT is seen by the next session.
    if (!result && result.error().kind == core::FailureKind::denied) session_.close();
    plan_after(entry.command, result.has_value());
    done_(entry.id, std::move(result));
  }

  // A server that is made read-only or a replica has nothing left to do as a primary.
  void plan_after(const core::Command& command, bool ok) {
    if (std::holds_alternative<core::Promote>(command) && ok) {
      after_promotion_.begin();
    } else if (std::holds_alternative<core::Follow>(command) ||
               std::holds_alternative<core::MakeReadOnly>(command)) {
      after_promotion_.cancel();
    }
  }

  // The warm connection, or a new one when that has ended unseen.
  std::expected<void, Failure> connected() {
    if (session_.is_open()) {
      std::array<pollfd, 1> fds{{{session_.connection().fd(), POLLIN, 0}}};
      // Whatever an idle server sends unasked (an error, the end) makes the connection useless.
      if (poll_until(fds, boot_now())) session_.close();
    }
    if (session_.is_open()) return {};
    return session_.open(boot_now() + options_.connect_timeout);
  }

  // One round of having nothing to do: reconnects, waits, looks at what happened.
  void stay_warm() {
    const auto now = boot_now();
    if (!session_.is_open() && now >= next_connect_) {
      if (session_.open(now + options_.connect_timeout)) {
        backoff_ = first_backoff;
        last_used_ = boot_now();
      } else {
        next_connect_ = boot_now() + backoff_;
        backoff_ = std::min(backoff_ * 2, longest_backoff);
      }
    }
    if (session_.is_open() && after_promotion_.pending() && now >= after_promotion_.due()) {
      after_promotion_.work(session_);
      last_used_ = boot_now();
    }
    const bool open = session_.is_open();
    std::array<pollfd, 3> fds{
        {{interrupt_.fd(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}, {session_.connection().fd(), POLLIN, 0}}};
    auto until = open ? last_used_ + ping_interval : next_connect_;
    if (open && after_promotion_.pending()) until = std::min(until, after_promotion_.due());
    poll_until(fds, until);
    wake_.clear();
    const bool readable = fds[2].revents != 0;
    if (open && (readable || boot_now() >= last_used_ + ping_interval)) check_warm(readable);
  }

  void check_warm(bool readable) {
    if (readable && session_.connection().check_idle()) {
      next_connect_ = boot_now();
      return;
    }
    // On failure the connection is closed and the next round connects anew.
    if (!session_.connection().query("SELECT 1", boot_now() + options_.connect_timeout)) session_.close();
    last_used_ = boot_now();
  }

  const Options options_;
  const CommandRunner::Settings settings_;
  const Done done_;

  std::mutex mutex_;
  std::deque<Entry> queue_;
  std::vector<core::CommandId> aborted_;  // taken out of the queue by abort(), to be answered by the thread
  bool stopping_ = false;
  bool busy_ = false;             // with a command
  std::condition_variable idle_;  // it has ended, and we are stopping

  Waker interrupt_;  // ends the running call
  Waker wake_;       // something is queued

  // The thread's alone.
  Session session_;
  core::Instant last_used_{};
  core::Instant next_connect_{};
  core::Duration backoff_ = first_backoff;
  AfterPromotion after_promotion_;

  std::thread thread_;  // last: everything above is ready when it starts
};

Commander::Commander(Options options, Done done, Warn warn)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(done), std::move(warn))) {}
Commander::~Commander() = default;
void Commander::submit(core::CommandId id, core::Command command) {
  impl_->submit(id, std::move(command));
}
void Commander::abort() {
  impl_->abort();
}

}  // namespace pointsman::mysql
