// What the demo tells, chapter by chapter. How it waits and measures is in demo.cc.
#include "bench/demo.h"
#include "bench/table.h"

namespace pointsman::bench {

using Outcome = std::expected<void, std::string>;

Outcome Demo::tell() {
  for (const auto step : {&Demo::tell_steady, &Demo::tell_crash, &Demo::tell_comeback, &Demo::tell_switchover,
                          &Demo::tell_cut, &Demo::tell_hang, &Demo::tell_check}) {
    if (stop_.asked()) return {};
    if (auto told = (this->*step)(); !told) return told;
  }
  return {};
}

Outcome Demo::tell_steady() {
  board_->begin(steady, std::to_string(options_.clients) +
                            " writers commit row after row through the proxy; " + name(1) +
                            " replicates from " + name(0));
  const Moment began = Clock::now();
  if (auto wrote = wait_for_commits({}); !wrote) return wrote;
  board_->note(steady, "heartbeats: " + links_text());
  pause(0.12);
  std::uint64_t commits = 0;
  for (const auto& writer : writers_) commits += writer->commits();
  const double seconds = to_ms(Clock::now() - began) / 1000;
  board_->finish(steady, format_number(static_cast<double>(commits) / seconds) + " commits a second");
  return {};
}

Outcome Demo::tell_crash() {
  const std::size_t from = primary_;
  const std::size_t to = Stage::other(from);
  board_->begin(crash, "kill -9 " + std::to_string(server(from).pid()) + ": " + name(from) + " is gone");
  board_->mark("kill -9 " + name(from));
  const Moment event = Clock::now();
  server(from).kill();
  board_->set_pid(from, 0);
  if (auto wrote = wait_for_commits(event); !wrote) return wrote;
  primary_ = to;
  board_->now(name(to) + " took over; the writers only saw their connections end, and connected again");
  pause(0.04);  // so that the picture of the gap has something on its right
  auto measured = measure(crash, "kill -9", from, event);
  if (!measured) return std::unexpected(measured.error());
  board_->finish(crash, "writes stood still for " + format_ms(measured->gap_ms));
  measured_.push_back(std::move(*measured));
  board_->now(name(to) + " is the primary now, and alone");
  pause(0.1);
  return {};
}

Outcome Demo::tell_comeback() {
  const std::size_t back = Stage::other(primary_);
  board_->begin(comeback,
                name(back) + " is started again; it does not know yet that it is no longer the primary");
  if (auto started = start_again(back); !started) return started;
  if (auto settled = settle(comeback, back); !settled) return settled;
  board_->finish(comeback, name(back) + " replicates from " + name(primary_) + ": the direction has turned");
  pause(0.1);
  return {};
}

Outcome Demo::tell_switchover() {
  const std::size_t from = primary_;
  const std::size_t to = Stage::other(from);
  board_->begin(switchover, "pointsman switchover: the same change, planned");
  if (auto near = wait_for_small_lag(from); !near) return near;
  board_->mark("switchover");
  const Moment event = Clock::now();
  const auto finished = stage_->daemon().command({"switchover"});
  if (!finished) return std::unexpected(finished.error());
  if (finished->code != 0) return std::unexpected("pointsman switchover: " + finished->err);
  if (auto wrote = wait_for_commits(event); !wrote) return wrote;
  primary_ = to;
  pause(0.04);
  auto measured = measure(switchover, "switchover", from, event);
  if (!measured) return std::unexpected(measured.error());
  board_->finish(switchover, "writes stood still for " + format_ms(measured->gap_ms));
  measured_.push_back(std::move(*measured));
  pause(0.1);
  return {};
}

// One of two links: worth a warning, and nothing else.
Outcome Demo::tell_cut() {
  const std::size_t at = primary_;
  const auto serial_is = [](const char* state) {
    return [state](const Stage::LinkStates& links) {
      const auto found = links.find("serial");
      return found != links.end() && found->second == state;
    };
  };
  board_->begin(cut, "the serial cable of " + name(at) + " is pulled; its heartbeats still come over udp");
  board_->mark("cut serial");
  const Moment event = Clock::now();
  stage_->hosts().cut_serial(at);
  const auto dead = stage_->wait_links(at, serial_is("dead"), settle_timeout);
  if (!dead) return std::unexpected(dead.error());
  board_->note(cut, "noticed after " + format_number(to_ms(*dead - event) / 1000, 1) + " s: " + links_text());
  board_->now("a link less; " + name(at) + " stays the primary, and the writers do not notice");
  pause(0.08);
  board_->now("the cable is plugged in again");
  board_->mark("mend");
  stage_->hosts().mend_serial(at);
  if (auto alive = stage_->wait_links(at, serial_is("alive"), settle_timeout); !alive)
    return std::unexpected(alive.error());
  std::vector<std::vector<Commit>> commits;
  for (const auto& writer : writers_) commits.push_back(writer->record());
  const Pause pause_of = longest_pause(commits, event, Clock::now());
  if (stage_->role_of(at) != "primary") return std::unexpected(name(at) + " is no longer the primary");
  board_->finish(cut, "nothing happened, longest pause " + format_ms(to_ms(pause_of.together)));
  pause(0.04);
  return {};
}

// A server that answers nobody keeps all its connections open. Its agent can tell that from a dead host, and
// ends it.
Outcome Demo::tell_hang() {
  const std::size_t from = primary_;
  const std::size_t to = Stage::other(from);
  board_->begin(hang, "kill -STOP " + std::to_string(server(from).pid()) + ": " + name(from) +
                          " keeps its connections and answers nobody; its host is alive");
  if (auto near = wait_for_small_lag(from); !near) return near;
  board_->mark("kill -STOP " + name(from));
  const Moment event = Clock::now();
  if (!server(from).freeze()) return std::unexpected(name(from) + " does not run");
  if (auto wrote = wait_for_commits(event); !wrote) return wrote;
  primary_ = to;
  if (stop_.asked()) return {};
  if (auto ended = wait_for_end(from); !ended) return ended;
  board_->set_pid(from, 0);
  board_->now("the agent of " + name(from) + " has killed it; " + name(to) + " took over");
  pause(0.04);
  auto measured = measure(hang, "kill -STOP", from, event);
  if (!measured) return std::unexpected(measured.error());
  const std::string gap = format_ms(measured->gap_ms);
  measured_.push_back(std::move(*measured));
  if (stop_.asked()) return {};
  board_->now(name(from) + " is started again");
  if (auto started = start_again(from); !started) return started;
  if (auto settled = settle(hang, from); !settled) return settled;
  board_->finish(hang, "writes stood still for " + gap + " (deadtime 1 s)");
  pause(0.1);
  return {};
}

Outcome Demo::tell_check() {
  board_->begin(check, "looking for every acknowledged row on both servers");
  // While the writers go on: the rows acknowledged so far are what counts.
  std::vector<std::vector<Commit>> commits;
  for (const auto& writer : writers_) commits.push_back(writer->record());
  if (auto settled = stage_->wait_settled(primary_, settle_timeout); !settled) return settled;
  for (const auto& of_writer : commits) acknowledged_ += of_writer.size();
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < stage_->cluster().size(); ++i) {
    if (auto done = stage_->look_up(i, the_run, commits); !done) return done;
    missing.push_back(count_missing(commits));
  }
  missing_ = std::move(missing);
  const std::size_t lost = missing_[0] + missing_[1];
  board_->finish(check,
                 lost == 0 ? format_number(static_cast<double>(acknowledged_)) + " rows, all on both servers"
                           : format_number(static_cast<double>(lost)) + " rows are missing",
                 lost == 0);
  return {};
}

// "db1 udp alive, serial alive; db2 ..."
std::string Demo::links_text() {
  std::string text;
  for (std::size_t i = 0; i < stage_->cluster().size(); ++i) {
    text += (text.empty() ? "" : "; ") + name(i) + " " + describe_links(links_of(stage_->backend(i)));
  }
  return text;
}

}  // namespace pointsman::bench
