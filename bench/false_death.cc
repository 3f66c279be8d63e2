#include "bench/false_death.h"

#include <algorithm>
#include <thread>

#include <sys/resource.h>
#include <unistd.h>

#include "bench/busy_threads.h"
#include "bench/statistics.h"
#include "bench/table.h"
#include "proxy/admin_client.h"
#include "tests/testbed/datagram_flood.h"

namespace pointsman::bench {

namespace {

using Millis = std::chrono::milliseconds;

constexpr Millis poll_pause{15};
constexpr Millis poll_timeout{2000};
constexpr std::chrono::seconds told_every{60};
constexpr unsigned the_run = 1;

nlohmann::json ask_status(const std::string& socket) {
  auto client = proxy::AdminClient::connect(socket, poll_timeout);
  if (!client || !client->send({{"command", "status"}})) return {};
  auto answer = client->receive(poll_timeout);
  if (!answer || !answer->value("ok", false)) return {};
  return (*answer)["result"];
}

// Whoever counts late frames must not be late himself; where that is not allowed, longest_poll_ms tells.
void come_first() {
  constexpr int niceness = -15;
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), niceness));
}

std::size_t count_of(const std::string& text, const std::string& word) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

class Watcher {
 public:
  Watcher(Stage& stage, const Setup& setup, FalseDeathResult& result)
      : stage_(stage), late_after_(2 * setup.times.keepalive), result_(result) {}

  // Everything so far is past.
  bool begin() {
    const auto events = stage_.daemon().events();
    if (!events) return fail(events.error());
    past_ = events->size();
    last_past_ = events->empty() ? nlohmann::json() : events->back();
    for (std::size_t i = 0; i < stage_.hosts().size(); ++i)
      result_.leases_lost[stage_.server(i).name()] = lost_leases(i);
    return true;
  }

  void poll() {
    const Moment asked = Clock::now();
    const auto status = ask_status(stage_.daemon().admin_socket());
    const Moment now = Clock::now();
    if (!status.is_object()) return;
    ++result_.polls;
    result_.polls_ms.push_back(to_ms(now - asked));
    if (last_poll_) result_.longest_poll_ms = std::max(result_.longest_poll_ms, to_ms(now - *last_poll_));
    last_poll_ = now;
    result_.refused = 0;
    for (const auto& backend : status.value("backends", nlohmann::json::array())) {
      const auto links = backend.value("links", nlohmann::json::object());  // items() looks at it
      for (const auto& [kind, link] : links.items()) {
        const auto refused = link.value("refused", nlohmann::json::object());
        for (const auto& [reason, count] : refused.items()) result_.refused += count.get<std::uint64_t>();
        if (!link.contains("received") || !link["age_ms"].is_number()) continue;
        auto [found, added] = result_.links.try_emplace(backend.value("name", "") + " " + kind, late_after_);
        found->second.see(now, link["received"].get<std::uint64_t>(),
                          Millis(link["age_ms"].get<std::int64_t>()));
      }
    }
  }

  bool end() {
    const auto events = stage_.daemon().events();
    if (!events) return fail(events.error());
    // Where only the newest are kept, all after the one that was the last are new.
    auto from = std::ranges::find(*events, last_past_);
    if (from != events->end()) ++from;
    if (last_past_.is_null() || from == events->end()) {
      from = events->begin() + static_cast<std::ptrdiff_t>(std::min(past_, events->size()));
    }
    for (; from != events->end(); ++from) {
      const std::string kind = from->value("kind", "");
      if (kind == "verdict") result_.verdicts.push_back(*from);
      if (kind == "link") result_.link_changes.push_back(*from);
      if (kind == "failover" || kind == "switchover") result_.failovers.push_back(*from);
    }
    for (std::size_t i = 0; i < stage_.hosts().size(); ++i) {
      auto& lost = result_.leases_lost[stage_.server(i).name()];
      lost = lost_leases(i) - lost;
    }
    return true;
  }

 private:
  bool fail(const std::string& text) {
    result_.error = text;
    return false;
  }
  std::size_t lost_leases(std::size_t db) { return count_of(stage_.hosts().agent(db).log(), " lease_lost "); }

  Stage& stage_;
  const Span late_after_;
  FalseDeathResult& result_;
  std::size_t past_ = 0;
  nlohmann::json last_past_;
  std::optional<Moment> last_poll_;
};

std::string total_text(const FalseDeathResult& result) {
  std::uint64_t late = 0;
  std::uint64_t frames = 0;
  for (const auto& [name, link] : result.links) {
    late += link.late();
    frames += link.frames();
  }
  std::size_t lost = 0;
  for (const auto& [name, count] : result.leases_lost) lost += count;
  return "  late frames " + std::to_string(late) + " of " + std::to_string(frames) + "; verdict changes " +
         std::to_string(result.verdicts.size()) + "; link changes " +
         std::to_string(result.link_changes.size()) + "; leases lost " + std::to_string(lost) +
         "; failovers " + std::to_string(result.failovers.size()) + "\n";
}

}  // namespace

void LinkWatch::see(Moment now, std::uint64_t received, Span age) {
  const Moment heard = now - age;
  if (last_ && received > received_) {
    const double gap_ms = to_ms(heard - *last_);
    frames_ += received - received_;
    // With several frames since the last look the gaps between them are not known, but shorter.
    if (received == received_ + 1) {
      gaps_ms_.push_back(gap_ms);
      longest_ms_ = std::max(longest_ms_, gap_ms);
      if (heard - *last_ > late_after_) ++late_;
    }
  }
  if (!last_ || received > received_) last_ = heard;
  received_ = received;
}

FalseDeathResult watch_for_false_death(const FalseDeathOptions& options, const Setup& setup,
                                       const std::function<bool()>& stop,
                                       const std::function<void(const std::string&)>& progress) {
  FalseDeathResult result;
  progress("starting two " + std::string(testbed::to_string(options.product)) +
           " servers and pointsman: " + describe(setup));
  auto stage = Stage::create({.product = options.product,
                              .directory = options.work_directory,
                              .keep = !options.work_directory.empty(),
                              .setup = setup});
  if (!stage) {
    result.error = stage.error();
    return result;
  }
  std::vector<std::unique_ptr<Writer>> writers;
  for (unsigned i = 0; i < options.clients; ++i)
    writers.push_back((*stage)->start_writer(the_run, i, {.think_time = Millis(10)}));
  Watcher watcher(**stage, setup, result);
  if (!watcher.begin()) return result;
  const Moment began = Clock::now();
  std::optional<BusyThreads> busy;
  std::optional<testbed::DatagramFlood> flood;
  if (options.flood) {
    auto started =
        testbed::DatagramFlood::start({.to = {(*stage)->hosts().heartbeat()}, .max_time = options.time});
    if (!started) {
      result.error = started.error();
      return result;
    }
    flood.emplace(std::move(*started));
  }
  if (options.load)
    busy.emplace(options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency()));
  std::jthread([&] {
    come_first();
    Moment tell = began + told_every;
    while (!stop() && Clock::now() < began + options.time) {
      watcher.poll();
      if (Clock::now() >= tell) {
        tell += told_every;
        progress(std::to_string(std::chrono::round<std::chrono::minutes>(Clock::now() - began).count()) +
                 " min:" + total_text(result));
      }
      std::this_thread::sleep_for(poll_pause);
    }
  }).join();
  busy.reset();
  if (flood) {
    flood->stop();
    result.flooded = flood->sent();
  }
  const Moment ended = Clock::now();
  result.watched_s = to_ms(ended - began) / 1000;
  for (const auto& writer : writers) writer->stop();
  std::vector<std::vector<Commit>> commits;
  for (const auto& writer : writers) commits.push_back(writer->record());
  if (!commits.empty()) result.longest_pause_ms = to_ms(longest_pause(commits, began, ended).together);
  if (watcher.end() && stop()) result.error = "interrupted";
  return result;
}

std::string false_death_text(const FalseDeathOptions& options, const Setup& setup,
                             const FalseDeathResult& result) {
  std::string text =
      std::string(testbed::to_string(options.product)) + ", " + format_number(result.watched_s, 1) + " s, " +
      (options.load ? "all cores busy" : "no load") + (options.flood ? ", a flood of datagrams" : "") + ", " +
      std::to_string(options.clients) + " writers\n  " + describe(setup) + "\n";
  Table table({"between two frames (ms)", "frames", "median", "p95", "max", "late"});
  for (const auto& [name, link] : result.links) {
    const auto gaps = summarise(link.gaps_ms());
    if (!gaps) continue;
    table.add({name, format_number(static_cast<double>(link.frames())), format_number(gaps->median, 1),
               format_number(gaps->p95, 1), format_number(gaps->max, 1), std::to_string(link.late())});
  }
  text += table.text() + total_text(result);
  text += "  late: more than two keepalives after the one before; looked " +
          format_number(static_cast<double>(result.polls)) + " times, at the longest " +
          format_number(result.longest_poll_ms, 1) + " ms apart\n";
  if (const auto polls = summarise(result.polls_ms))
    text += "  the daemon answered within " + format_number(polls->median, 1) + " ms at the median, " +
            format_number(polls->p95, 1) + " ms at the 95th percentile, " + format_number(polls->max, 1) +
            " ms at the longest\n";
  if (options.flood)
    text += "  flood: " + format_number(static_cast<double>(result.flooded) / result.watched_s) +
            " datagrams/s sent; " + format_number(static_cast<double>(result.refused)) +
            " frames refused of " + format_number(static_cast<double>(result.flooded)) +
            " datagrams, the kernel dropped others\n";
  if (options.clients > 0)
    text += "  longest time without a commit: " + format_number(result.longest_pause_ms, 1) + " ms\n";
  for (const auto* list : {&result.verdicts, &result.link_changes, &result.failovers}) {
    for (std::size_t i = 0; i < std::min<std::size_t>(list->size(), 20); ++i)
      text += "  " + (*list)[i].value("time", "") + " " + (*list)[i].value("message", "") + "\n";
  }
  return text;
}

nlohmann::json to_json(const FalseDeathResult& result) {
  nlohmann::json links = nlohmann::json::object();
  for (const auto& [name, link] : result.links) {
    const auto gaps = summarise(link.gaps_ms());
    links[name] = {{"frames", link.frames()},
                   {"late", link.late()},
                   {"longest_ms", link.longest_ms()},
                   {"gap_ms", gaps ? to_json(*gaps) : nlohmann::json()}};
  }
  const auto answers = summarise(result.polls_ms);
  return {{"watched_s", result.watched_s},
          {"polls", result.polls},
          {"longest_poll_ms", result.longest_poll_ms},
          {"answer_ms", answers ? to_json(*answers) : nlohmann::json()},
          {"flooded", result.flooded},
          {"refused", result.refused},
          {"links", links},
          {"verdict_changes", result.verdicts},
          {"link_changes", result.link_changes},
          {"failovers", result.failovers},
          {"leases_lost", result.leases_lost},
          {"longest_pause_ms", result.longest_pause_ms}};
}

std::string why_false_death(const FalseDeathResult& result) {
  if (!result.error.empty()) return result.error;
  if (!result.failovers.empty())
    return std::to_string(result.failovers.size()) + " failovers without a reason";
  if (!result.verdicts.empty())
    return std::to_string(result.verdicts.size()) + " changes of a verdict without a reason";
  for (const auto& [name, count] : result.leases_lost) {
    if (count > 0) return "the agent of " + name + " lost its lease " + std::to_string(count) + " times";
  }
  return result.polls == 0 ? "the daemon did not answer" : "";
}

}  // namespace pointsman::bench
