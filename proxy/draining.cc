#include "proxy/draining.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "health/io/clock.h"
#include "proxy/handed_route.h"

namespace pointsman::proxy {

using nlohmann::json;

Draining::Draining(Left left)
    : left_(std::move(left)),
      mailbox_(loop_),
      until_(io::now() + left_.drain_timeout),
      watch_(loop_, left_.channel.fd(), [this] { on_message(); }),
      timer_(loop_, [this] { report(); }),
      terminate_(loop_, SIGTERM, [this] { end("SIGTERM"); }),
      interrupt_(loop_, SIGINT, [this] { end("SIGINT"); }),
      hangup_(loop_, SIGHUP, [this] { left_.log->reopen(); }),
      upgrade_(loop_, SIGUSR2, [] {}) {}  // the new process's business

int Draining::run() {
  left_.log->info("draining", {{"sessions", left_.workers->counts().open},
                               {"drain_timeout_ms", core::to_ms(left_.drain_timeout)}});
  timer_.start_every(report_period);
  if (!watch_.works()) end("the new process cannot be heard");
  if (!ended_) loop_.run();
  left_.workers->stop();
  return 0;
}

void Draining::on_message() {
  while (!ended_) {
    auto message = left_.channel.receive();
    if (!message) return end("the process that took over has ended");
    if (!*message) return;
    if ((*message)->type() == "route") on_route((*message)->body);
  }
}

// Also one that cannot be understood: it is safe to serve nobody.
void Draining::on_route(const json& message) {
  auto route = std::make_shared<Route>();
  route->reason = "another process took over";
  if (const auto handed = route_from_json(message)) {
    *route = handed->route;
    if (!handed->backend.empty()) route->backend = id_of(handed->backend);
    const bool lost = !handed->backend.empty() && !route->backend;
    if (lost) route->mode = Route::Mode::closed;
  }
  const auto asked = message.find("token");
  if (asked == message.end() || !asked->is_number_unsigned()) return;
  const auto token = asked->get<std::uint64_t>();
  left_.workers->set_route(std::move(route), [this, token] {
    static_cast<void>(mailbox_.post([this, token] { say({{"type", "applied"}, {"token", token}}); }));
  });
}

// A backend that came with a later configuration has a number too, while there are any.
std::optional<core::BackendId> Draining::id_of(const std::string& identity) {
  const auto found = std::ranges::find(left_.identities, identity);
  const auto index = static_cast<std::size_t>(found - left_.identities.begin());
  if (index >= conf::max_backends) return std::nullopt;
  if (found == left_.identities.end()) left_.identities.push_back(identity);
  return static_cast<core::BackendId>(index);
}

void Draining::report() {
  const SessionCounts counts = left_.workers->counts();
  json now{{"type", "report"},
           {"sessions", counts.open - std::min(counts.open, counts.held)},
           {"held", counts.held},
           {"traffic", json::object()}};
  for (std::size_t i = 0; i < left_.identities.size(); ++i) {
    const core::Instant last = left_.workers->last_traffic(static_cast<core::BackendId>(i));
    if (last != core::Instant::min()) now["traffic"][left_.identities[i]] = last.time_since_epoch().count();
  }
  if (now != reported_) {
    reported_ = now;
    say(std::move(now));
  } else if (!unsent_.empty()) {
    say(nullptr);
  }
  if (counts.open == 0) return end("the last session has ended");
  if (io::now() >= until_) end("drain_timeout is over", true);
}

// `message`: null for what waits alone.
void Draining::say(json message) {
  if (!message.is_null()) unsent_.push_back(std::move(message));
  while (!unsent_.empty() && left_.channel.send(unsent_.front())) unsent_.pop_front();
}

void Draining::end(const std::string& why, bool by_timeout) {
  if (std::exchange(ended_, true)) return;
  const std::uint64_t sessions = left_.workers->counts().open;
  left_.log->write(sessions == 0 ? conf::LogLevel::info : conf::LogLevel::warn, "drained",
                   std::array<io::LogField, 2>{{{"why", why}, {"sessions_ended", sessions}}});
  say({{"type", "ended"}, {"sessions", sessions}, {"by_timeout", by_timeout}});
  timer_.stop();
  loop_.stop();
}

}  // namespace pointsman::proxy
