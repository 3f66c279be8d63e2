#include "health/agent/agent.h"

#include <algorithm>
#include <array>
#include <utility>

#include "conf/authkeys.h"
#include "health/core/frame_gtids.h"
#include "health/io/clock.h"

namespace pointsman::agent {

using namespace std::chrono_literals;

namespace {

// The shortest that a server's own lock wait can be told.
constexpr std::chrono::milliseconds commit_patience = 1s;

core::GuardMemory remembered(const RoleFile& file, io::Log& log) {
  auto memory = file.load();
  if (memory) return *memory;
  log.error("role_forgotten",
            {{"why", memory.error()}, {"text", "goes on as an agent that was never told a role"}});
  return {};
}

conf::HostPort by_socket(const conf::AgentConfig& config) {
  return {config.mysql.socket, 0};
}

// What is worth a frame of its own when it changes.
core::AgentWord without_flux(core::AgentWord word) {
  word.silent_ms = 0;
  word.gtids.clear();
  word.received.clear();
  return word;
}

core::MysqldState to_word(ProcessWatch::State state) {
  switch (state) {
    case ProcessWatch::State::absent:
      return core::MysqldState::absent;
    case ProcessWatch::State::dying:
      return core::MysqldState::dying;
    case ProcessWatch::State::exited:
      return core::MysqldState::exited;
    case ProcessWatch::State::unknown:
    case ProcessWatch::State::runs:
      break;
  }
  return core::MysqldState::unknown;
}

// How a server answers, or does not, that is being shut down.
bool leaves(core::FailureKind kind) {
  using enum core::FailureKind;
  return kind == lost || kind == refused || kind == unreachable || kind == shutting_down;
}

std::string problems_text(const std::vector<conf::Problem>& problems) {
  std::string text;
  for (const conf::Problem& problem : problems) text += (text.empty() ? "" : "; ") + conf::to_string(problem);
  return text;
}

}  // namespace

Agent::Agent(io::Loop& loop, io::Log& log, conf::AgentConfig config, std::unique_ptr<io::AuthKeyring> keys)
    : loop_(loop),
      log_(log),
      config_(std::move(config)),
      keys_(std::move(keys)),
      role_file_(std::make_shared<const RoleFile>(config_.fence.state_dir)),
      background_(loop),
      mailbox_(loop),
      guard_({.kill_hung = config_.fence.kill_hung, .kill_clients = config_.fence.kill_clients},
             remembered(*role_file_, log), io::now()),
      kept_(guard_.memory()),
      told_epoch_(guard_.epoch()),
      told_role_(guard_.role()),
      watch_(loop, config_.mysql.socket, [this](bool started) { on_process(started); }),
      links_(loop, log, config_.heartbeat, keys_,
             {.on_word = [this](const Links::Word& word) { on_word(word); },
              .least_epoch = [this] { return guard_.epoch(); }}),
      keepalive_(loop, [this] { on_keepalive(); }),
      deadline_(loop, [this] { act(); }) {}

Agent::~Agent() = default;

std::expected<void, std::string> Agent::start() {
  // Proved now: a role that cannot be kept is not enforced after a restart of the agent.
  if (auto saved = role_file_->save(kept_); !saved) log_.error("role_not_kept", {{"why", saved.error()}});
  if (auto started = links_.start(); !started) return started;
  if (kept_.primary) {
    log_.info("role", {{"role", "primary"},
                       {"epoch", kept_.epoch.value},
                       {"lease_ms", core::to_ms(kept_.lease)},
                       {"why", "kept from before the agent was restarted"}});
  }
  mysql::Prober::Options probe{.address = by_socket(config_),
                               .account = config_.mysql.account,
                               .interval = std::max<core::Duration>(config_.heartbeat.keepalive / 2, 20ms),
                               .timeout = config_.mysql.ping_timeout};
  prober_ = std::make_unique<mysql::Prober>(std::move(probe), [this](mysql::ProbeResult result) {
    // A full mailbox loses an answer, and the next probe brings another one.
    (void)mailbox_.post([this, result = std::move(result)]() mutable { on_probe(std::move(result)); });
  });
  mysql::Commander::Options command{
      .address = by_socket(config_),
      .monitor = config_.mysql.account,
      .replication = {},
      .connect_timeout = std::max<core::Duration>(config_.mysql.ping_timeout, 1s)};
  commander_ = std::make_unique<mysql::Commander>(
      std::move(command), [this](core::CommandId id, core::CommandResult result) {
        // Commands are few: at most one of each order at a time.
        (void)mailbox_.post(
            [this, id, result = std::move(result)]() mutable { on_command(id, std::move(result)); });
      });
  keepalive_.start_every(config_.heartbeat.keepalive);
  act();
  return {};
}

void Agent::stop(const std::string& why) {
  stopping_ = true;
  const std::string role = core::to_string(guard_.role());
  log_.warn("stopping",
            {{"why", why},
             {"role", role},
             {"text",
              "the server is left as it is; nobody guards it now: no lease ends its writes, and no "
              "fence reaches it"}});
  keepalive_.stop();
  deadline_.stop();
  prober_.reset();
  commander_.reset();
  mailbox_.close();
  loop_.stop();
}

void Agent::reload_keys() {
  const auto read = conf::load_authkeys(config_.heartbeat.authkeys);
  auto made = read ? io::AuthKeyring::make(*read) : std::unexpected(problems_text(read.error()));
  if (!made) {
    log_.error("keys_refused", {{"why", made.error()}, {"text", "the keys from before stay in use"}});
    return;
  }
  keys_.replace(std::move(*made));
  log_.info("keys_read",
            {{"file", config_.heartbeat.authkeys}, {"keys", read->keys.size()}, {"sending", read->sending}});
  for (const std::string& warning : conf::authkeys_warnings(*read))
    log_.warn("weak_keys", {{"why", warning}});
}

std::string Agent::summary() const {
  return guard_.why() + "; mysqld " + core::to_string(told_.mysqld) + "; " + links_.summary();
}

void Agent::on_word(const Links::Word& word) {
  // What the serial line delivers may be what the proxy has taken back by UDP.
  if (!word.newest) return;
  watch_.check();
  const core::Epoch epoch = guard_.epoch();
  const core::GrantedRole role = guard_.role();
  guard_.on_word(word.word, word.epoch, word.ack_sent_at, io::now());
  if (guard_.epoch() != epoch || guard_.role() != role) {
    log_.info("role", {{"role", core::to_string(guard_.role())},
                       {"epoch", guard_.epoch().value},
                       {"lease_ms", word.word.lease_ms},
                       {"was", core::to_string(role)},
                       {"proxy", word.peer},
                       {"link", core::to_string(word.link)}});
  }
  act();
}

void Agent::on_process(bool started) {
  const ProcessWatch::State state = watch_.state();
  if (kill_running_ && state != ProcessWatch::State::runs) {
    kill_running_ = false;
    guard_.on_done(Order::kill, true, io::now());
  }
  guard_.on_process(to_word(state), started);
  if (state == ProcessWatch::State::runs) {
    log_.info("mysqld", {{"state", started ? "started" : "found"}, {"pid", watch_.pid()}});
    answered_at_.reset();
    leaving_ = false;
    if (prober_) prober_->probe_now();
  }
  if (watch_.problem() != told_problem_) {
    told_problem_ = watch_.problem();
    if (!told_problem_.empty()) log_.error("mysqld_unwatched", {{"why", told_problem_}});
  }
  act();
}

void Agent::on_probe(mysql::ProbeResult result) {
  if (stopping_) return;
  watch_.check();
  // Of a process that is no more; or begun before this one was known, and perhaps of the one before.
  const bool running = watch_.state() == ProcessWatch::State::runs;
  if (running && result.started < watch_.found_at()) return;
  if (running && result.outcome) leaving_ = false;
  if (running && !result.outcome && leaves(result.outcome.error().kind)) leaving_ = true;
  if (result.outcome) {
    answered_at_ = result.finished;
    guard_.on_report(*result.outcome, result.started);
  } else {
    const core::Failure& failure = result.outcome.error();
    if (core::proves_life(failure.kind)) {
      answered_at_ = result.finished;
      guard_.on_answer(result.started);
    } else if (failure.kind == core::FailureKind::timeout) {
      guard_.on_silence(result.started);
    }
    const auto held_back = running ? limiter_.pass("probe " + failure.text, io::now()) : std::nullopt;
    if (held_back) {
      log_.warn("probe_failed",
                {{"kind", core::to_string(failure.kind)}, {"why", failure.text}, {"suppressed", *held_back}});
    }
  }
  act();
}

void Agent::on_command(core::CommandId id, core::CommandResult result) {
  if (stopping_) return;
  const auto found = commands_.find(id);
  if (found == commands_.end()) return;
  const Running running = found->second;
  commands_.erase(found);
  const core::Instant now = io::now();
  const bool of_this_process =
      watch_.state() == ProcessWatch::State::runs && running.asked >= watch_.found_at();
  guard_.on_done(running.order, result.has_value(), now);
  // The order was obeyed before the report was taken, so what it says is as of now, if anything was asked
  // later.
  if (result && of_this_process) guard_.on_report(*result, running.asked);
  const std::string order = to_string(running.order);
  if (result) {
    log_.warn(order, {{"done", true},
                      {"ms", core::to_ms_exact(now - running.asked)},
                      {"gtid", result->executed.to_string()},
                      {"why", guard_.why()}});
    if (prober_) prober_->probe_now();
  } else if (const auto held_back = limiter_.pass(order, now)) {
    log_.error(order, {{"done", false},
                       {"kind", core::to_string(result.error().kind)},
                       {"why", result.error().text},
                       {"suppressed", *held_back}});
  }
  act();
}

void Agent::on_keepalive() {
  watch_.check();
  links_.look();
  act();
  send(word_at(io::now()));
}

void Agent::act() {
  if (stopping_ || !commander_) return;
  const core::Instant now = io::now();
  for (const Order order : guard_.step(now)) carry_out(order, now);
  keep_memory();
  const core::AgentWord word = word_at(now);
  if (without_flux(word) != told_ || guard_.epoch() != told_epoch_) {
    tell_changes(word);
    told_ = without_flux(word);
    told_epoch_ = guard_.epoch();
    send(word);
  }
  const core::Instant next = guard_.next_deadline();
  if (next == core::Instant::max()) {
    deadline_.stop();
  } else {
    // An overdue one must not keep the loop from its sockets.
    deadline_.start_after(std::max<core::Duration>(next - io::now(), 1ms));
  }
  if (std::string text = summary(); text != told_summary_) {
    told_summary_ = std::move(text);
    if (on_summary) on_summary();
  }
}

void Agent::carry_out(Order order, core::Instant now) {
  if (order == Order::kill) return kill(now);
  const core::CommandId id{++last_command_};
  commands_.emplace(id, Running{order, now});
  log_.info("order", {{"order", to_string(order)}, {"why", guard_.why()}});
  commander_->submit(id, core::MakeReadOnly{.timeout = commit_patience,
                                            .end_clients = config_.fence.kill_clients,
                                            .clients_first = config_.fence.kill_clients});
}

// Done is it when the process is seen to go.
void Agent::kill(core::Instant now) {
  const auto killed = watch_.kill();
  if (killed) {
    kill_running_ = true;
    log_.error("kill", {{"done", true}, {"pid", watch_.pid()}, {"why", "mysqld hangs; " + guard_.why()}});
    return;
  }
  guard_.on_done(Order::kill, false, now);
  if (const auto held_back = limiter_.pass("kill", now))
    log_.error("kill", {{"done", false}, {"why", killed.error()}, {"suppressed", *held_back}});
}

// In another thread, one after the other: where fence.state_dir is on a disk, the replacing of a file was
// seen to take half a second (ext4 that discards), and the proxy must not take a host for dead because of
// that.
void Agent::keep_memory() {
  if (keeping_ || kept_ == guard_.memory()) return;
  struct Job {
    core::GuardMemory memory;
    std::expected<void, std::string> saved;
  };
  auto job = std::make_shared<Job>(guard_.memory());
  keeping_ = background_.submit([job, file = role_file_] { job->saved = file->save(job->memory); },
                                [this, job] {
                                  keeping_ = false;
                                  // One that failed is tried again with the next change only.
                                  kept_ = job->memory;
                                  if (!job->saved) log_.error("role_not_kept", {{"why", job->saved.error()}});
                                  act();
                                });
}

// A restarted agent would go on with the lease of now. That the lease itself was prolonged since then it need
// not know: what it has ends earlier.
bool Agent::lease_is_kept() const {
  const core::GuardMemory& memory = guard_.memory();
  const bool kills = kept_.kill_hung || !memory.kill_hung;
  return kept_.epoch == memory.epoch && kept_.primary == memory.primary && kept_.lease == memory.lease &&
         kills;
}

// Nobody is told of a lease that a restart of the agent would forget.
core::AgentWord Agent::word_at(core::Instant now) const {
  core::AgentWord word = guard_.word(now);
  word.lease_held = word.lease_held && lease_is_kept();
  word.killed = core::ends(word.mysqld) && watch_.by_signal() && !leaving_;
  return word;
}

void Agent::send(const core::AgentWord& word) {
  const bool with_gtids = guard_.role() == core::GrantedRole::fence || frames_++ % gtids_every == 0;
  core::AgentWord sent = word;
  if (!with_gtids) {
    sent.gtids.clear();
    sent.received.clear();
  }
  links_.send(sent, guard_.epoch());
}

void Agent::tell_changes(const core::AgentWord& word) {
  const std::uint64_t epoch = guard_.epoch().value;
  if (word.mysqld != told_.mysqld) tell_mysqld(word);
  if (word.read_only && word.read_only != told_.read_only)
    log_.info("read_only", {{"on", *word.read_only}, {"epoch", epoch}});
  if (word.lease_lost && !told_.lease_lost) {
    log_.error("lease_lost",
               {{"epoch", epoch}, {"why", "no proxy was heard for the lease; writes are stopped"}});
  } else if (told_.lease_lost && !word.lease_lost) {
    log_.info("lease_ended_loss", {{"role", core::to_string(guard_.role())}, {"epoch", epoch}});
  }
  if (word.lease_held && !told_.lease_held)
    log_.info("lease_held", {{"epoch", epoch}, {"lease_ms", core::to_ms(guard_.memory().lease)}});
  if (word.fenced > told_.fenced) {
    std::string gtids = core::gtids_of(word.gtids).to_string();
    log_.warn("fenced",
              {{"epoch", word.fenced.value}, {"mysqld", core::to_string(word.mysqld)}, {"gtid", gtids}});
  }
  if (word.fence_failed && !told_.fence_failed)
    log_.error("fence_failed", {{"epoch", epoch}, {"text", "it is tried again"}});
}

void Agent::tell_mysqld(const core::AgentWord& word) {
  const bool bad = word.mysqld != core::MysqldState::answers && word.mysqld != core::MysqldState::unknown;
  const core::Duration age = answered_at_ ? io::now() - *answered_at_ : core::Duration{};
  log_.write(bad ? conf::LogLevel::warn : conf::LogLevel::info, "mysqld",
             std::array<io::LogField, 5>{{{"state", core::to_string(word.mysqld)},
                                          {"was", core::to_string(told_.mysqld)},
                                          {"killed", word.killed},
                                          {"pid", watch_.pid()},
                                          {"answered_ms_ago", core::to_ms(age)}}});
}

}  // namespace pointsman::agent
