#include "health/mysql/prober.h"

#include <array>
#include <atomic>
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
        session_({options_.address, options_.account}, interrupt_),
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
      const bool lost = was_open && !outcome && outcome.error().kind == core::FailureKind::lost;
      deliver(started, std::move(outcome));
      wait_idle(lost && may_reconnect_at_once() ? started : started + options_.interval);
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

  // A server that accepts us only to hang up again must not be asked in a tight loop.
  bool may_reconnect_at_once() {
    const auto now = boot_now();
    if (now < next_fast_reconnect_) return false;
    next_fast_reconnect_ = now + options_.interval;
    return true;
  }

  // Until the next probe is due, somebody asks for one, or the connection ends.
  void wait_idle(core::Instant next) {
    std::array<pollfd, 3> fds{
        {{interrupt_.fd(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}, {session_.connection().fd(), POLLIN, 0}}};
    if (!poll_until(fds, next) || fds[2].revents == 0 || stopping_) return;
    const auto now = boot_now();
    auto ended = session_.connection().check_idle();
    if (!ended) return;  // it has something to say: the probe will read it
    deliver(now, std::unexpected(std::move(*ended)));
    if (!may_reconnect_at_once()) wait_idle(next);
  }

  const Options options_;
  const Sink sink_;
  Waker interrupt_;  // rung once, to end
  Waker wake_;
  std::atomic<bool> stopping_ = false;
  Session session_;                      // the thread's alone
  core::Instant next_fast_reconnect_{};  // likewise
  std::thread thread_;                   // last: everything above is ready when it starts
};

Prober::Prober(Options options, Sink sink)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(sink))) {}
Prober::~Prober() = default;
void Prober::probe_now() {
  impl_->probe_now();
}

}  // namespace pointsman::mysql
