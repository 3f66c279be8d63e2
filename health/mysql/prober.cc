#include "health/mysql/prober.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include <poll.h>
#include <pthread.h>

#include "health/mysql/boot_clock.h"
#include "health/mysql/poll_until.h"
#include "health/mysql/session.h"
#include "health/mysql/waker.h"

namespace pointsman::mysql {

class Prober::Impl {
 public:
  Impl(Options options, Sink sink)
      : options_(std::move(options)),
        sink_(std::move(sink)),
        session_({options_.address, options_.account}, Session::Leftover::kill, interrupt_),
        thread_([this] { run(); }) {
    pthread_setname_np(thread_.native_handle(), "probe");
  }

  ~Impl() {
    stopping_ = true;
    interrupt_.ring();
    thread_.join();
  }

  void probe_now() { wake_.ring(); }

 private:
  void run() {
    while (!stopping_) {
      // Cleared before the probe: who asks while it runs wants to know what is true after that moment.
      wake_.clear();
      const auto started = boot_now();
      const bool was_open = session_.is_open();
      auto outcome = probe(started + options_.timeout);
      const auto kind = outcome ? std::optional<core::FailureKind>() : outcome.error().kind;
      deliver(started, std::move(outcome));
      if (was_open && ended(kind)) begin_quick_reconnects();
      const auto next = next_probe(started, kind);
      // What an account may do is settled when it logs in: a GRANT is seen by the next session.
      if (kind == core::FailureKind::denied) session_.close();
      wait_idle(next);
    }
  }

  std::expected<core::ServerReport, core::Failure> probe(core::Instant deadline) {
    if (!session_.is_open()) {
      if (auto opened = session_.open(deadline); !opened) return std::unexpected(opened.error());
    }
    return session_.report(deadline);
  }

  void deliver(core::Instant started, std::expected<core::ServerReport, core::Failure> outcome) {
    if (!stopping_) sink_({started, boot_now(), std::move(outcome)});
  }

  // The connection is gone, or there was none, and not because time ran out.
  bool ended(std::optional<core::FailureKind> kind) {
    return kind && *kind != core::FailureKind::timeout && !session_.is_open();
  }

  // A dying server's port may still accept for a moment before it refuses; and one that accepts us only to
  // hang up again must not be asked in a tight loop.
  void begin_quick_reconnects() {
    const auto now = boot_now();
    if (now < next_quick_series_) return;
    next_quick_series_ = now + options_.interval;
    quick_left_ = max_quick_reconnects;
    quick_pause_ = {};
  }

  core::Instant next_probe(core::Instant started, std::optional<core::FailureKind> kind) {
    if (!ended(kind)) quick_left_ = 0;
    const auto regular = started + options_.interval;
    if (quick_left_ == 0) return regular;
    --quick_left_;
    const auto pause = std::exchange(quick_pause_, quick_pause_ * 2 + std::chrono::milliseconds(1));
    return std::min(regular, boot_now() + pause);
  }

  // Until the next probe is due, somebody asks for one, or the connection ends.
  void wait_idle(core::Instant next) {
    std::array<pollfd, 3> fds{
        {{interrupt_.fd(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}, {session_.connection().fd(), POLLIN, 0}}};
    if (!poll_until(fds, next) || fds[2].revents == 0 || stopping_) return;
    const auto now = boot_now();
    auto failure = session_.connection().check_idle();
    if (!failure) return;  // it has something to say: the probe will read it
    deliver(now, std::unexpected(std::move(*failure)));
    begin_quick_reconnects();
    wait_idle(quick_left_ > 0 ? next_probe(now, core::FailureKind::lost) : next);
  }

  const Options options_;
  const Sink sink_;
  Waker interrupt_;  // rung once, to end
  Waker wake_;
  std::atomic<bool> stopping_ = false;
  Session session_;                    // the thread's alone
  core::Instant next_quick_series_{};  // likewise
  core::Duration quick_pause_{};
  unsigned quick_left_ = 0;
  std::thread thread_;  // last: everything above is ready when it starts
};

Prober::Prober(Options options, Sink sink)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(sink))) {}
Prober::~Prober() = default;
void Prober::probe_now() {
  impl_->probe_now();
}

}  // namespace pointsman::mysql
