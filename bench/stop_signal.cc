#include "bench/stop_signal.h"

#include <csignal>
#include <ctime>
#include <utility>

#include <pthread.h>
#include <unistd.h>

namespace pointsman::bench {

namespace {

sigset_t watched() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set, signal);
  return set;
}

}  // namespace

StopSignal::StopSignal(std::function<void()> at_once) : at_once_(std::move(at_once)) {
  const sigset_t set = watched();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a server that dies, or `| head`, is an error of a write
  thread_ = std::jthread([this](const std::stop_token& stop) { listen(stop); });
}

StopSignal::~StopSignal() {
  thread_.request_stop();
  thread_.join();
}

bool StopSignal::asked() const {
  const std::scoped_lock lock(mutex_);
  return asked_;
}

bool StopSignal::wait_for(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [this] { return asked_; });
}

void StopSignal::listen(const std::stop_token& stop) {
  const sigset_t set = watched();
  const timespec patience{.tv_sec = 0, .tv_nsec = 100'000'000};  // until the next look at `stop`
  while (!stop.stop_requested()) {
    if (::sigtimedwait(&set, nullptr, &patience) < 0) continue;
    {
      const std::scoped_lock lock(mutex_);
      if (!std::exchange(asked_, true)) {
        changed_.notify_all();
        continue;
      }
    }
    at_once_();
    ::_exit(130);
  }
}

}  // namespace pointsman::bench
