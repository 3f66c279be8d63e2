#include "bench/chaos.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <thread>
#include <utility>

namespace pointsman::bench {

namespace {

using Millis = std::chrono::milliseconds;
using testbed::Product;

// Rescued transactions and the history are there too, and a rescue wants 68 MiB to stay free.
constexpr std::size_t disk_mebibytes = 256;
// Each writer has committed so often before the first fault, and again when all is in order.
constexpr std::uint64_t commits_before_chaos = 10;
constexpr Millis commits_timeout{60000};
constexpr Millis chaos_look_pause{50};
constexpr std::size_t audit_all_every = 10;  // rounds
constexpr std::size_t log_lines = 250;
// In the reasons of quarantines; see Limits in the README.
constexpr std::array undecided{"it was never seen whether its commits waited for a replica",
                               "a MariaDB then answers some of the commits that wait for a replica"};

// Generous: the machines are noisy. A server of MySQL that cannot be undone is copied anew.
Millis settle_timeout(Product product) {
  return product == Product::mysql ? Millis(300'000) : Millis(180'000);
}

std::string seconds(Span span) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%7.3f s", to_ms(span) / 1000);
  return text.data();
}

// What a server is doing; a person may want to know why commits wait.
std::string doings(const testbed::Server& server) {
  auto sql = server.root();
  if (!sql) return sql.error().text + "\n";
  std::string text;
  for (const std::string& question :
       {std::string("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'"), std::string("SHOW FULL PROCESSLIST"),
        std::string(testbed::show_replication(server.product()))}) {
    const auto answer = sql->query(question);
    if (!answer) {
      text += answer.error().text + "\n";
      continue;
    }
    for (const auto& row : answer->rows) {
      for (const auto& value : row) text += value.value_or("-") + "  ";
      text += "\n";
    }
  }
  return text;
}

Setup installation() {
  Setup setup;
  setup.agents = true;
  setup.network = true;
  return setup;
}

}  // namespace

ChaosResult Chaos::run() {
  ChaosResult result;
  progress_("starting two " + std::string(testbed::to_string(options_.product)) + " servers and pointsman: " +
            describe(installation()) + "; seed " + std::to_string(options_.seed));
  if (auto ready = prepare(); !ready) {
    result.error = ready.error();
    return result;
  }
  ChaosPlan plan(options_.seed, options_.kinds);
  const Moment began = Clock::now();
  while (!stop_() && Clock::now() < began + options_.time &&
         (options_.rounds == 0 || result.rounds.size() < options_.rounds)) {
    const RoundPlan next = plan.next();
    ChaosRound& round = result.rounds.emplace_back();
    round.number = static_cast<unsigned>(result.rounds.size());
    round.faults = next.name();
    round.supervised = next.supervised;
    const Outcome played = play(next, round);
    round.passed = played.has_value();
    result.lasted_s = to_ms(Clock::now() - began) / 1000;
    result.looks = witness_->looks();
    if (!played) {
      result.error = failure(round, played.error());
      return result;
    }
    progress_("round " + std::to_string(round.number) + "  " + round.faults + "  " + round.primary_before +
              " -> " + round.primary_after + "  acknowledged " + std::to_string(round.count.acknowledged) +
              "  gap " + std::to_string(std::lround(round.gap_ms)) + " ms  settled after " +
              std::to_string(std::lround(round.settle_ms)) + " ms");
  }
  if (result.rounds.empty()) return result;
  const auto primary = wait_in_order();
  const Outcome same = primary ? audit_->again(*primary) : std::unexpected(primary.error());
  if (!same) result.error = failure(result.rounds.back(), "at the end: " + same.error());
  return result;
}

Chaos::Outcome Chaos::prepare() {
  auto disk = SmallDisk::create(disk_mebibytes);
  if (!disk) return std::unexpected(disk.error());
  disk_.emplace(std::move(*disk));
  auto stage =
      Stage::create({.product = options_.product,
                     .semi_sync = conf::SemiSync::required,
                     .directory = options_.work_directory,
                     .keep = !options_.work_directory.empty(),
                     .setup = installation(),
                     .daemon_keys = {{"proxy", {{"state_dir", testbed::toml_string(disk_->path())}}}}});
  if (!stage) return std::unexpected(stage.error());
  stage_ = std::move(*stage);
  audit_ = std::make_unique<Audit>(*stage_);
  if (auto made = audit_->prepare(0); !made) return made;
  std::vector<std::filesystem::path> sockets;
  sockets.reserve(stage_->hosts().size());
  for (std::size_t i = 0; i < stage_->hosts().size(); ++i) sockets.push_back(stage_->server(i).socket_path());
  witness_ = std::make_unique<Witness>(std::move(sockets));
  nemesis_ = std::make_unique<Nemesis>(*stage_, *disk_);
  return {};
}

std::expected<std::size_t, std::string> Chaos::wait_in_order() {
  const Moment deadline = Clock::now() + settle_timeout(options_.product);
  std::string why;
  do {
    const auto primary = stage_->find_primary();
    if (primary) {
      const auto settled = stage_->wait_settled(*primary, Millis(1000));
      if (settled) return *primary;
      why = settled.error();
    } else {
      why = primary.error();
    }
    decide_for_a_person();
    std::this_thread::sleep_for(chaos_look_pause);
  } while (Clock::now() < deadline);
  return std::unexpected("not in order " + std::to_string(settle_timeout(options_.product).count() / 1000) +
                         " s after all was mended: " + why);
}

// A daemon that died together with the primary cannot know whether the primary's last commits were answered,
// nor can any daemon of a MariaDB that was shut down while its replica did not get them; and what it is told
// to do with them is an operator's decision. Ours costs nothing: the writers know what they were told, and if
// that is gone the audit says so.
void Chaos::decide_for_a_person() {
  const auto status = stage_->daemon().status();
  if (!status) return;
  for (const auto& backend : (*status)["backends"]) {
    const std::string trouble = backend.value("trouble", "");
    const auto is_reason = [&](const char* reason) { return trouble.contains(reason); };
    if (std::ranges::none_of(undecided, is_reason)) continue;
    const std::string name = backend.value("name", "");
    const auto answer = stage_->daemon().command({"rejoin", name, "--discard"});
    std::string text = "the operator discards what only ";
    text.append(name).append(" has (").append(trouble).append("): ");
    decisions_.push_back({Clock::now(), text.append(answer ? answer->out + answer->err : answer.error())});
  }
}

Chaos::Outcome Chaos::wait_for_commits(const Writers& writers, const std::string& when) {
  const Moment deadline = Clock::now() + commits_timeout;
  std::vector<std::uint64_t> wanted;
  for (const auto& writer : writers) wanted.push_back(writer->commits() + commits_before_chaos);
  for (;;) {
    bool all = true;
    for (std::size_t i = 0; i < writers.size(); ++i) all = all && writers[i]->commits() >= wanted[i];
    if (all) return {};
    if (Clock::now() >= deadline) break;
    std::this_thread::sleep_for(chaos_look_pause);
  }
  std::string text = "writers have no commits " + when + ":";
  for (std::size_t i = 0; i < writers.size(); ++i) {
    if (writers[i]->commits() >= wanted[i]) continue;
    const auto broken = writers[i]->interruptions();
    text +=
        " writer " + std::to_string(i) + (broken.empty() ? " waits" : " after: " + broken.back().error) + ";";
  }
  return std::unexpected(text);
}

Chaos::Outcome Chaos::play(const RoundPlan& plan, ChaosRound& round) {
  // The machine itself may have stood still for longer than a lease since the last look, which ends a primary
  // as any other fault does.
  const auto before = wait_in_order();
  if (!before) return std::unexpected("at the begin: " + before.error());
  round.primary_before = stage_->server(*before).name();
  if (auto ready = audit_->begin_run(round.number, options_.writers); !ready) return ready;
  Writers writers;
  for (unsigned i = 0; i < options_.writers; ++i)
    writers.push_back(stage_->start_writer(round.number, i, Pace{}));
  if (auto wrote = wait_for_commits(writers, "before the round"); !wrote) return wrote;

  const Moment began = Clock::now();
  const auto finish = [&](const std::string& error) -> Outcome {
    tell_story(round, began);
    if (!witness_->violation().empty()) return std::unexpected(witness_->violation());
    if (!error.empty()) return std::unexpected(error);
    return {};
  };
  if (auto struck = nemesis_->strike(plan, *before); !struck) return finish(struck.error());
  const Moment mended = Clock::now();
  const auto after = wait_in_order();
  if (!after) return finish(after.error());
  round.settle_ms = to_ms(Clock::now() - mended);
  round.primary_after = stage_->server(*after).name();
  if (auto wrote = wait_for_commits(writers, "although all is in order"); !wrote)
    return finish(wrote.error());
  const Moment ended = Clock::now();
  stop_all(writers);
  // What the writers still wrote has to arrive; and it is still in order.
  const auto primary = wait_in_order();
  if (!primary) return finish(primary.error());

  std::vector<std::vector<Commit>> commits;
  for (const auto& writer : writers) commits.push_back(writer->record());
  round.gap_ms = to_ms(longest_pause(commits, began, ended).together);
  if (auto right = audit_->end_run(round.number, *primary, commits, round.count); !right)
    return finish(right.error());
  if (round.number % audit_all_every == 0) {
    if (auto same = audit_->again(*primary); !same) return finish(same.error());
  }
  return finish("");
}

void Chaos::tell_story(ChaosRound& round, Moment began) {
  std::vector<ChaosMoment> moments = nemesis_->take_story();
  round.decisions = static_cast<unsigned>(decisions_.size());
  std::ranges::move(std::exchange(decisions_, {}), std::back_inserter(moments));
  for (const auto& change : witness_->take_changes())
    moments.push_back({change.at, stage_->server(change.server).name() + " " + change.state});
  std::ranges::stable_sort(moments, {}, &ChaosMoment::at);
  for (const ChaosMoment& moment : moments)
    round.story.push_back(seconds(moment.at - began) + "  " + moment.what);
}

std::string Chaos::failure(const ChaosRound& round, const std::string& why) {
  std::string text = "seed " + std::to_string(options_.seed) + ", round " + std::to_string(round.number) +
                     " (" + round.faults + (round.supervised ? ", servers supervised" : "") + "): " + why +
                     "\n";
  for (const std::string& line : round.story) text += line + "\n";
  text += stage_->hosts().story(log_lines);
  for (std::size_t i = 0; i < stage_->hosts().size(); ++i)
    text += "\n--- server " + stage_->server(i).name() + "\n" + stage_->server(i).error_log_tail(log_lines) +
            "\n" + doings(stage_->server(i));
  return text + "\n";
}

}  // namespace pointsman::bench
