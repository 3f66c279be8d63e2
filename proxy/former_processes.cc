#include "proxy/former_processes.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <unistd.h>

#include "proxy/handed_route.h"

namespace pointsman::proxy {

using nlohmann::json;

void FormerProcesses::add(FormerChannel former, std::function<void()> on_first_word) {
  formers_.push_back(std::make_unique<Former>(Former{.process = ProcessHandle(former.pid),
                                                     .report = {.pid = former.pid, .since = former.since},
                                                     .channel = std::move(former.channel),
                                                     .on_first_word = std::move(on_first_word)}));
  Former& added = *formers_.back();
  added.obeys = std::make_unique<io::Timer>(
      loop_, [this, &added] { disobeyed(added, "it did not act on a new route in time"); });
  added.watch = std::make_unique<Watch>(loop_, added.channel.fd(), [this, &added] { on_message(added); });
  // Without its channel it ends.
  if (!added.watch->works()) gone(added, "it cannot be watched");
}

void FormerProcesses::set_route(const Route& route, const std::vector<std::string>& identities,
                                const std::shared_ptr<void>& acted) {
  if (formers_.empty()) return;
  json message = to_json(route, identities);
  message["type"] = "route";
  // Answers to a token of the process before us, which had the channel, are none to ours.
  const std::uint64_t token = (static_cast<std::uint64_t>(::getpid()) << 32U) + ++last_token_;
  message["token"] = token;
  for (const auto& former : formers_) {
    former->unanswered[token] = acted;
    if (!former->obeys->active()) former->obeys->start_after(obey_within);
    // What does not arrive is not answered. One that has just ended its last session ends by itself.
    static_cast<void>(former->channel.send(message));
  }
}

void FormerProcesses::on_message(Former& former) {
  for (;;) {
    auto message = former.channel.receive();
    if (!message) return gone(former, message.error());
    if (!*message) return;
    if (former.on_first_word) std::exchange(former.on_first_word, nullptr)();
    // The library reports what is missing or of another type by exceptions; they end here.
    try {
      take(former, (*message)->body);
    } catch (const std::exception& error) {
      return disobeyed(former, error.what());
    }
  }
}

void FormerProcesses::take(Former& former, const json& said) {
  const auto type = said.at("type").get<std::string>();
  if (type == "applied") {
    former.unanswered.erase(said.at("token").get<std::uint64_t>());
    former.unanswered.empty() ? former.obeys->stop() : former.obeys->start_after(obey_within);
  } else if (type == "report") {
    former.report.sessions = said.at("sessions").get<std::uint64_t>();
    former.report.held = said.at("held").get<std::uint64_t>();
    for (const auto& [identity, at] : said.at("traffic").items())
      former.traffic[identity] = core::Instant(core::Duration(at.get<std::int64_t>()));
  } else if (type == "ended" && said.at("by_timeout").get<bool>()) {
    ended_by_timeout_ += said.at("sessions").get<std::uint64_t>();
  }
}

void FormerProcesses::gone(Former& former, const std::string& why) {
  log_.info("former_ended", {{"pid", former.report.pid}, {"why", why}, {"left", formers_.size() - 1}});
  const auto found = std::ranges::find(formers_, &former, &std::unique_ptr<Former>::get);
  former.watch.reset();
  former.obeys->stop();
  former.unanswered.clear();
  loop_.defer_delete(std::move(*found));
  formers_.erase(found);
}

// Its end comes by the channel.
void FormerProcesses::disobeyed(const Former& former, const std::string& why) {
  log_.error("former_killed", {{"pid", former.report.pid}, {"why", why}});
  former.process.kill();
}

core::Instant FormerProcesses::last_traffic(const std::string& identity) const {
  core::Instant last = core::Instant::min();
  for (const auto& former : formers_) {
    const auto found = former->traffic.find(identity);
    if (found != former->traffic.end()) last = std::max(last, found->second);
  }
  return last;
}

std::vector<FormerProcesses::Report> FormerProcesses::reports() const {
  std::vector<Report> list;
  list.reserve(formers_.size());
  for (const auto& former : formers_) list.push_back(former->report);
  return list;
}

std::uint64_t FormerProcesses::sessions() const {
  std::uint64_t sum = 0;
  for (const auto& former : formers_) sum += former->report.sessions + former->report.held;
  return sum;
}

FormerProcesses::Handed FormerProcesses::handed() const {
  Handed handed;
  for (const auto& former : formers_) {
    handed.list.push_back(
        {{"pid", former->report.pid}, {"since_ns", former->report.since.time_since_epoch().count()}});
    handed.files.push_back(former->channel.fd());
  }
  return handed;
}

}  // namespace pointsman::proxy
