#include "bench/demo.h"

#include <algorithm>
#include <cstdio>
#include <thread>
#include <utility>

#include "bench/chart.h"
#include "bench/table.h"
#include "tests/testbed/installation.h"

namespace pointsman::bench {

namespace {

using Outcome = std::expected<void, std::string>;
using Millis = std::chrono::milliseconds;

constexpr Millis commits_timeout{60000};
constexpr Millis demo_look_pause{5};
constexpr Millis stay_pause{200};                 // between two looks while nothing is told
constexpr std::chrono::seconds revive_after{10};  // a server that the user killed
constexpr std::size_t zoom_columns = 48;
// Writers that leave the machine some room: the replica has to keep up on a slow disk too.
constexpr Millis think_time{2};
constexpr double small_lag_ms = 500;
constexpr Millis lag_timeout{60000};

}  // namespace

std::string describe_steps(const nlohmann::json& change) {
  constexpr double shown_from_ms = 0.05;  // less would be printed as 0.0
  std::string before;
  std::string after;
  bool open = false;  // the route is: writes go on, and the rest is no part of the total
  const auto steps = change.find("steps");
  for (const auto& step : steps != change.end() && steps->is_array() ? *steps : nlohmann::json::array()) {
    std::string name = step.value("name", "?");
    const double took = step.value("ms", 0.0);
    std::string& text = open ? after : before;
    open = open || name == "route";
    if (took < shown_from_ms) continue;
    std::ranges::replace(name, '_', ' ');
    text += (text.empty() ? "" : ", ") + name + " " + format_number(took, 1);
  }
  if (change.contains("total_ms") && change["total_ms"].is_number()) {
    before += (before.empty() ? "" : " = ") + format_ms(change["total_ms"].get<double>());
  }
  return after.empty() ? before : before + ", afterwards " + after;
}

Demo::~Demo() {
  board_.reset();  // looks at the writers
}

std::expected<int, std::string> Demo::run() {
  if (auto ready = set_up(); !ready) return std::unexpected(ready.error());
  Outcome told = tell();
  if (told && options_.stay && !stop_.asked()) told = stay();
  board_->stop();
  stop_all(writers_);
  if (!told) {
    return std::unexpected(told.error() + "\nthe daemon's log says:\n" + stage_->daemon().log_tail(15));
  }
  if (missing_.empty()) return 130;
  std::printf("%s", summary().c_str());
  return std::ranges::all_of(missing_, [](std::size_t n) { return n == 0; }) ? 0 : 1;
}

Outcome Demo::set_up() {
  const auto installation = testbed::Installation::find(options_.product);
  if (!installation) return std::unexpected(installation.error());
  auto directory = testbed::TempDirectory::create("demo");
  if (!directory) return std::unexpected(directory.error());
  directory_ = std::move(*directory);
  const std::string product =
      std::string(options_.product == testbed::Product::mariadb ? "MariaDB " : "MySQL ") +
      installation->version;
  std::printf("Pointsman demo: two throwaway %s servers, an agent beside each, and `pointsman run`, in %s\n",
              product.c_str(), directory_.path().c_str());
  std::fflush(stdout);
  Setup setup;
  setup.agents = true;
  auto stage =
      Stage::create({.product = options_.product, .directory = directory_.path() / "hosts", .setup = setup});
  if (!stage) return std::unexpected(stage.error());
  stage_ = std::move(*stage);

  std::vector<const Writer*> watched;
  for (unsigned i = 0; i < options_.clients; ++i) {
    writers_.push_back(stage_->start_writer(the_run, i, {.think_time = think_time}));
    watched.push_back(writers_.back().get());
  }
  Board::Options shown;
  shown.product = product;
  shown.address = conf::to_string(stage_->daemon().address());
  shown.admin_socket = stage_->daemon().admin_socket();
  for (std::size_t i = 0; i < stage_->cluster().size(); ++i) {
    shown.servers.push_back({.name = name(i),
                             .address = conf::to_string(server(i).address()),
                             .pid = server(i).pid(),
                             .role = "",
                             .verdict = "",
                             .detail = "",
                             .links = {}});
  }
  shown.chapters = {"Steady state",
                    "kill -9 of the primary",
                    "The old primary comes back",
                    "Switchover, back to where it was",
                    "The serial line is cut",
                    "kill -STOP: the primary hangs",
                    "Every acknowledged row is there"};
  board_ = std::make_unique<Board>(view_, std::move(watched), std::move(shown));
  return {};
}

void Demo::pause(double share) {
  stop_.wait_for(std::chrono::duration_cast<Millis>(std::chrono::duration<double>(options_.seconds * share)));
}

Outcome Demo::wait_for_end(std::size_t i) {
  const Moment deadline = Clock::now() + settle_timeout;
  while (server(i).running()) {
    if (Clock::now() >= deadline) return std::unexpected("the agent did not end " + name(i));
    std::this_thread::sleep_for(demo_look_pause);
  }
  return {};
}

Outcome Demo::start_again(std::size_t i) {
  board_->mark("start " + name(i));
  if (auto launched = server(i).launch(); !launched) return launched;
  board_->set_pid(i, server(i).pid());
  return {};
}

// Until a server that was just launched replicates again. One that comes back with transactions that nobody
// else has (none of them acknowledged) is built anew.
Outcome Demo::settle(std::size_t chapter, std::size_t returning) {
  const Moment began = Clock::now();
  const auto seconds = [began] { return format_number(to_ms(Clock::now() - began) / 1000, 1) + " s"; };
  if (auto ready = server(returning).wait_ready(); !ready) return ready;
  const std::string booted = seconds();
  for (;;) {
    const auto settled = stage_->wait_settled(primary_, Millis(0));
    if (settled) break;
    if (stage_->role_of(returning) == "quarantined") {
      board_->note(chapter, name(returning) + " has transactions that nobody got an answer to: quarantined");
      board_->now(name(returning) + " is given an empty data directory, and everything anew");
      if (auto built = stage_->rebuild(returning, primary_); !built) return built;
      board_->set_pid(returning, server(returning).pid());
      return stage_->wait_settled(primary_, settle_timeout);
    }
    if (stop_.asked()) return {};
    if (Clock::now() - began >= settle_timeout) return settled;
    std::this_thread::sleep_for(demo_look_pause);
  }
  board_->note(chapter, "up after " + booted + ", in step with " + name(primary_) + " after " + seconds() +
                            "; nobody had to do anything");
  return {};
}

// Until every writer has committed on a connection made after `after`.
Outcome Demo::wait_for_commits(Moment after) {
  const auto deadline = Clock::now() + commits_timeout;
  while (!std::ranges::all_of(writers_, [after](const auto& w) { return w->committing_since() > after; })) {
    if (stop_.asked()) return {};
    if (Clock::now() >= deadline) return std::unexpected("the writers do not commit any more");
    std::this_thread::sleep_for(demo_look_pause);
  }
  return {};
}

// A switchover to a replica that is far behind is refused, and rightly.
Outcome Demo::wait_for_small_lag(std::size_t primary) {
  const std::string replica = name(Stage::other(primary));
  const auto seen = stage_->daemon().wait_status(
      [&replica](const nlohmann::json& status) {
        for (const auto& backend : status.value("backends", nlohmann::json::array())) {
          if (backend.value("name", "") != replica) continue;
          const auto replication = backend.find("replication");
          if (replication == backend.end() || !replication->is_object()) return false;
          const auto lag = replication->value("lag_ms", nlohmann::json());
          return lag.is_number() && lag.get<double>() <= small_lag_ms;
        }
        return false;
      },
      lag_timeout);
  if (!seen) return std::unexpected(seen.error());
  return {};
}

std::expected<Demo::Measured, std::string> Demo::measure(std::size_t chapter, const char* what,
                                                         std::size_t from, Moment event) {
  if (stop_.asked()) return Measured{};
  const std::size_t to = Stage::other(from);
  std::vector<std::vector<Commit>> commits;
  for (const auto& writer : writers_) commits.push_back(writer->record());
  if (auto done = stage_->look_up(to, the_run, commits); !done) return std::unexpected(done.error());
  const auto gap = measure_gap(commits, event, server(to).server_id());
  if (!gap) return std::unexpected(gap.error());
  Measured measured{
      .what = what, .from = name(from), .to = name(to), .gap_ms = to_ms(gap->gap), .change = {}};

  const auto events = stage_->daemon().events();
  if (!events) return std::unexpected(events.error());
  for (const auto& event_record : *events) {
    const std::string kind = event_record.value("kind", "");
    if (kind == "failover" || kind == "switchover") measured.change = event_record;
  }
  board_->note(chapter, zoom(commits, *gap));
  if (const std::string steps = describe_steps(measured.change); !steps.empty()) {
    board_->note(chapter, "steps: " + steps);
  }
  return measured;
}

// The gap under the glass: commits in columns of a few milliseconds, the gap in the middle third.
std::string Demo::zoom(const std::vector<std::vector<Commit>>& commits, const Gap& gap) const {
  const Span each = std::max<Span>(std::chrono::milliseconds(1),
                                   std::chrono::ceil<std::chrono::milliseconds>(gap.gap * 3 / zoom_columns));
  const Moment from = gap.last_before + each / 2 - each * (zoom_columns / 3);
  const auto counts = count_per(commits, from, each, zoom_columns);
  return "|" + bars(counts, zoom_columns, 1, 0, board_->unicode()).front() + "|  " +
         format_number(to_ms(each)) + " ms a column";
}

// What to try, with a short command for the operator's: `pointsman` that knows its socket.
std::expected<std::string, std::string> Demo::hints() const {
  const auto& accounts = stage_->cluster().accounts();
  const testbed::Daemon& daemon = stage_->daemon();
  const std::string pm = (directory_.path() / "pm").string();
  const auto written = testbed::write_file(pm,
                                           "#!/bin/sh\nexec '" + daemon.program().string() +
                                               "' \"$@\" --socket '" + daemon.admin_socket().string() + "'\n",
                                           0755);
  if (!written) return std::unexpected(written.error());
  std::string text = "\nEverything goes on until Ctrl-C. In another terminal:\n";
  const auto add = [&text](const std::string& what, const std::string& command) {
    text += "  " + pad(what, 20) + command + "\n";
  };
  add("an application", "mariadb -h127.0.0.1 -P" + std::to_string(daemon.address().port) + " -u" +
                            accounts.application.user + " -p" + accounts.application.password + " " +
                            accounts.database);
  add("who is who", pm + " status --watch");
  add("if it died now", pm + " explain");
  add("a planned change", pm + " switchover");
  add("what happened", pm + " events");
  add("kill the primary", "kill -9 PID   (its pid is shown; it is started again after " +
                              std::to_string(revive_after.count()) + " s)");
  add("or freeze it", "kill -STOP PID   (its agent kills it)");
  add("configuration, log", daemon.configuration().string() + ", " + daemon.log_file().string());
  for (std::size_t i = 0; i < stage_->hosts().size(); ++i) {
    const testbed::Agent& agent = stage_->hosts().agent(i);
    add("agent of " + agent.node(), agent.configuration().string() + ", " + agent.log_file().string());
  }
  return text + "\n";
}

Outcome Demo::stay() {
  const auto text = hints();
  if (!text) return std::unexpected(text.error());
  board_->stay(*text);
  std::vector<std::optional<Moment>> down(stage_->cluster().size());
  while (!stop_.wait_for(stay_pause)) {
    for (std::size_t i = 0; i < down.size(); ++i) {
      if (server(i).running()) {
        down[i].reset();
        continue;
      }
      if (!down[i]) {
        down[i] = Clock::now();
        board_->set_pid(i, 0);
        board_->mark(name(i) + " died");
      }
      const auto left = revive_after - (Clock::now() - *down[i]);
      board_->now(name(i) + " is down; it is started again in " +
                  std::to_string(std::max<long>(0, std::chrono::ceil<std::chrono::seconds>(left).count())) +
                  " s");
      if (left > Span::zero()) continue;
      board_->now(name(i) + " starts");
      if (auto started = server(i).start(); !started) return started;
      board_->set_pid(i, server(i).pid());
      board_->mark("start " + name(i));
      board_->now("");
    }
    if (!stage_->daemon().running()) return std::unexpected("the daemon has ended");
  }
  return {};
}

std::string Demo::summary() const {
  std::string text = "\n";
  for (const Measured& one : measured_) {
    text += pad(one.what + " of " + one.from, 20) + "writes went on at " + one.to + " after " +
            format_ms(one.gap_ms) + "\n";
  }
  text += pad("acknowledged rows", 20) + format_number(static_cast<double>(acknowledged_));
  for (std::size_t i = 0; i < missing_.size(); ++i) {
    text += ", " + std::to_string(missing_[i]) + " missing on " + stage_->cluster().server(i).name();
  }
  return text + "\n";
}

}  // namespace pointsman::bench
