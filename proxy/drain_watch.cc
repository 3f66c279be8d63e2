#include "proxy/drain_watch.h"

#include <algorithm>
#include <utility>

#include "conf/duration.h"
#include "health/io/clock.h"

namespace pointsman::proxy {

namespace {

constexpr core::Duration look_period = std::chrono::milliseconds(100);

}  // namespace

DrainWatch::DrainWatch(io::Loop& loop, io::Log& log, Workers& workers, FormerProcesses& formers,
                       std::function<void()> over)
    : log_(log), workers_(workers), formers_(formers), over_(std::move(over)), timer_(loop, [this] {
        look();
      }) {}

void DrainWatch::begin(core::Duration most) {
  most_ = most;
  until_ = io::now() + most;
  workers_.stop_accepting();
  timer_.start_every(look_period);
}

std::string DrainWatch::closed() {
  closed_ = true;                   // and who waited at the sockets is a session now
  timer_.start_every(look_period);  // anew, so that the answer is sent before the end
  const std::uint64_t now = sessions();
  log_.info("draining", {{"sessions", now}, {"timeout_ms", core::to_ms(most_)}});
  return "new clients are refused; " + std::to_string(now) + (now == 1 ? " session is" : " sessions are") +
         " served for " + conf::format_duration(most_) + " at most, then the daemon ends";
}

std::optional<core::Duration> DrainWatch::left() const {
  if (!until_) return std::nullopt;
  return std::max(*until_ - io::now(), core::Duration::zero());
}

std::uint64_t DrainWatch::sessions() const {
  return workers_.counts().open + formers_.sessions();
}

void DrainWatch::look() {
  const std::uint64_t now = sessions();
  const bool over = io::now() >= *until_;
  if (!over && (!closed_ || now > 0 || !formers_.reports().empty())) return;
  if (now > 0) log_.warn("sessions_ended", {{"sessions", now}, {"why", "drain_timeout"}});
  timer_.stop();
  over_();
}

}  // namespace pointsman::proxy
