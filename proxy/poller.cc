#include "proxy/poller.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

#include "proxy/sockets.h"

namespace pointsman::proxy {

namespace {

// Taken per turn; the rest comes with the next one.
constexpr int batch_size = 256;

int control(int epoll_fd, int operation, int fd, std::uint32_t events, void* watched) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = watched;
  return epoll_ctl(epoll_fd, operation, fd, &event) == 0 ? 0 : errno;
}

}  // namespace

std::expected<std::unique_ptr<Poller>, std::string> Poller::create(io::Loop& loop) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return std::unexpected("epoll_create: " + system_says(errno));
  std::unique_ptr<Poller> poller(new Poller(loop, fd));
  // No Watched: that is how the loop's events are told from all others.
  if (const int error = control(fd, EPOLL_CTL_ADD, uv_backend_fd(loop.raw()), EPOLLIN, nullptr); error != 0)
    return std::unexpected("epoll_ctl: " + system_says(error));
  return poller;
}

Poller::~Poller() {
  close(fd_);
}

int Poller::watch(int fd, std::uint32_t events, Watched& watched) {
  return control(fd_, EPOLL_CTL_ADD, fd, events, &watched);
}

int Poller::change(int fd, std::uint32_t events, Watched& watched) {
  return control(fd_, EPOLL_CTL_MOD, fd, events, &watched);
}

void Poller::forget(int fd, Watched& watched) {
  epoll_ctl(fd_, EPOLL_CTL_DEL, fd, nullptr);
  no_more(watched);
}

void Poller::no_more(Watched& watched) {
  if (!watched.asked_again_) return;
  watched.asked_again_ = false;
  std::ranges::replace(again_, &watched, static_cast<Watched*>(nullptr));
  std::ranges::replace(serving_, &watched, static_cast<Watched*>(nullptr));
}

void Poller::again(Watched& watched) {
  if (watched.asked_again_) return;
  watched.asked_again_ = true;
  again_.push_back(&watched);
}

void Poller::run() {
  bool loop_ready = true;  // what was set up before has not been waited for yet
  while (!stopped_) {
    int timeout_ms = loop_timeout_ms();
    if (loop_ready || timeout_ms == 0) {
      uv_run(loop_.raw(), UV_RUN_NOWAIT);
      collect();
      if (stopped_) break;
      timeout_ms = loop_timeout_ms();
    }
    loop_ready = wait(again_.empty() ? timeout_ms : 0);
    serve_again();
    collect();
  }
  ring_.reset();
}

void Poller::submit() {
  if (ring_) ring_->submit();
}

void Poller::collect() {
  // A destructor may hand over further objects.
  while (!garbage_.empty()) std::exchange(garbage_, {}).clear();
}

int Poller::loop_timeout_ms() const {
  const int timeout = uv_backend_timeout(loop_.raw());
  if (timeout <= 0) return timeout;
  // It counts from the loop's own clock, which stands while the loop is not run.
  uv_update_time(loop_.raw());
  return uv_backend_timeout(loop_.raw());
}

bool Poller::wait(int timeout_ms) {
  if (!ring_) return wait_in_epoll(timeout_ms);
  // Asked for anew each time: then it tells of what was left over, too.
  if (!std::exchange(in_ring_, true)) ring_->poll(*this, fd_, POLLIN);
  ring_->wait(timeout_ms);
  ++turn_;
  ring_->hand_out();
  return std::exchange(has_news_, false) && wait_in_epoll(0);
}

void Poller::on_polled() {
  in_ring_ = false;
  has_news_ = true;
}

bool Poller::wait_in_epoll(int timeout_ms) {
  std::array<epoll_event, batch_size> events;  // NOLINT(*-member-init): the kernel fills in what is looked at
  const int n = epoll_wait(fd_, events.data(), batch_size, timeout_ms);
  ++turn_;
  bool loop_ready = false;
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      loop_ready = true;
    } else {
      static_cast<Watched*>(event.data.ptr)->on_ready(event.events);
    }
  }
  return loop_ready;
}

void Poller::serve_again() {
  if (again_.empty()) return;
  serving_.swap(again_);
  // By index: one that is served may forget another.
  for (std::size_t i = 0; i < serving_.size(); ++i) {
    Watched* watched = serving_[i];
    if (watched == nullptr) continue;
    watched->asked_again_ = false;
    watched->on_ready(0);
  }
  serving_.clear();
}

}  // namespace pointsman::proxy
