// From events to evidence and verdicts: the part of the controller that listens.
#include <algorithm>
#include <utility>

#include "health/core/candidate.h"
#include "health/core/controller.h"
#include "health/core/frame_gtids.h"

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

// A step that comes later than promised by more than this means that we were not running.
constexpr Duration stall_tolerance = 250ms;

}  // namespace

// Silence counts only while we were listening.
void Controller::forgive_stall(Instant now) {
  const Duration stall = now - promised_;
  if (stall <= stall_tolerance) return;
  for (auto& server : cluster_.servers) server.evidence.forgive(stall);
  if (change_) change_->forgive(stall);
  if (preparation_) preparation_->forgive(stall);
  caretaker_.forgive(stall);
  // What waits to be heard is as old as the stall; the next probes say how things are now.
  hold_until_ = now + cluster_.config.monitor.interval + cluster_.config.monitor.timeout;
}

void Controller::absorb(const Event& event, Instant now) {
  std::visit(
      [&](const auto& e) {
        using E = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<E, ProbeSucceeded>) {
          absorb_probe(e);
        } else if constexpr (std::is_same_v<E, ProbeFailed>) {
          absorb_failure(e);
        } else if constexpr (std::is_same_v<E, AgentHeard>) {
          absorb_frame(e, now);
        } else if constexpr (std::is_same_v<E, TrafficSeen>) {
          cluster_.at(e.backend).evidence.on_traffic(e.at);
        } else if constexpr (std::is_same_v<E, ReconnectChecked>) {
          cluster_.at(e.backend).evidence.on_reconnect_checked(e.refused_in_row, e.accepted, now);
          outbox_.add(ProbeNow{e.backend});
        } else if constexpr (std::is_same_v<E, CommandFinished>) {
          if (e.result) cluster_.at(e.backend).evidence.on_command_ok(*e.result, e.started, now);
          if (change_) change_->on(e, now);
          if (preparation_) preparation_->on(e, now);
          caretaker_.on(e, now);
        } else if constexpr (std::is_same_v<E, TookBack>) {
          caretaker_.on(e, now);
        } else if constexpr (std::is_same_v<E, RouteApplied> || std::is_same_v<E, FenceCommandFinished>) {
          if (change_) change_->on(e, now);
        } else if constexpr (std::is_same_v<E, StateStored>) {
          const bool again = e.result && store_failing();
          store_error_ = e.result ? "" : e.result.error();
          store_again_at_ = now + store_pause;
          outbox_.stored(e.version, e.result);
          if (again) retry_at_ = now;
          if (change_) change_->on(e, now);
        } else if constexpr (std::is_same_v<E, Tick>) {
        } else {
          handle(e, now);
        }
      },
      event);
  for (auto& server : cluster_.servers) note_whole(server);
  if (change_) change_->on_time(now);
  if (preparation_) preparation_->on_time(now);
  caretaker_.on_time(now);
}

void Controller::absorb_probe(const ProbeSucceeded& event) {
  Server& server = cluster_.at(event.backend);
  const bool first = !server.answered();
  server.evidence.on_probe_ok(event.report, event.started, event.finished, event.finished - event.started);
  if (first) note("seen", &server, server.name() + " answers: " + event.report.version);
  if (cluster_.primary == event.backend && server.writable()) {
    if (change_ && ledger_of_ != event.backend) begin_ledger(server);
    ledger_.on_report(event.report, event.started, event.finished, PrimaryLedger::span);
    ledger_of_ = event.backend;
  }
  watch_semi_sync(server, event.started, event.finished);
}

void Controller::watch_semi_sync(const Server& server, Instant started, Instant finished) {
  const Server* primary = cluster_.primary_server();
  if (primary == nullptr || ledger_of_ != cluster_.primary) return;
  SemiSyncPhase& phase = ledger_.phase();
  const std::optional<Degraded> before = phase.mark();
  SemiSyncPhase::News news = SemiSyncPhase::News::none;
  if (&server == primary) {
    if (!server.writable()) return;
    news = phase.on_primary(
        {server.report(), started, finished, cluster_.config.replication.semi_sync, unix_ms(finished)});
  } else if (cluster_.follows(server, *primary)) {
    news = phase.on_replica(holdings(server));
  }
  tell_semi_sync(news, before, server);
  // The beginning and the end at once, how far it has come now and then.
  if (change_ || phase.mark() == durable_.degraded) return;
  if (phase.mark().has_value() == durable_.degraded.has_value() && finished < mark_due_) return;
  mark_due_ = finished + mark_pause;
  persist();
}

void Controller::tell_semi_sync(SemiSyncPhase::News news, const std::optional<Degraded>& before,
                                const Server& server) {
  const Server& primary = *cluster_.primary_server();
  HistoryRecord record;
  if (news == SemiSyncPhase::News::began) {
    const Degraded& mark = *ledger_.phase().mark();
    record = about("degraded", cluster_, primary,
                   primary.name() + " answers commits without a replica since " + in_words(mark.since));
    record.gtid = mark.since.to_string();
  } else if (news == SemiSyncPhase::News::ended && ledger_.phase().state() == SemiSyncState::waits) {
    const std::uint64_t count = before->known.minus(before->since).count();
    record = about("restored", cluster_, primary,
                   primary.name() + "'s commits wait for a replica again: " + server.name() +
                       " has all up to " + in_words(before->known) + ", of which " + std::to_string(count) +
                       (count == 1 ? " was" : " were") + " answered without one");
    record.gtid = before->known.to_string();
  }
  if (!record.kind.empty()) outbox_.record(std::move(record));
}

void Controller::note_whole(Server& server) {
  const Server* primary = cluster_.primary_server();
  if (primary == nullptr || ledger_of_ != primary->id || !server.answered() || server.whole()) return;
  if (!cluster_.follows(server, *primary)) return;
  const bool as_the_last_report_says = primary->writable() &&
                                       *primary->evidence.report_from >= *server.forgot_at() &&
                                       holdings(server).contains(primary->report().executed);
  if (as_the_last_report_says || ledger_.vouches_for(holdings(server), *server.forgot_at()))
    server.whole_at = server.evidence.report_from;
}

void Controller::absorb_frame(const AgentHeard& event, Instant now) {
  Server& server = cluster_.at(event.backend);
  const bool knew = server.evidence.agent.saw_end_at.has_value();
  server.evidence.agent.on_frame({event.link, event.newest, event.ack_sent_at, event.at}, event.word,
                                 cluster_.config.heartbeat.deadtime, server.evidence.run_started());
  if (event.newest) {
    learn_epoch(server, event.epoch, now);
    const bool serves = cluster_.primary == event.backend && event.word.read_only == false;
    if (serves && ledger_of_ == event.backend && !change_)
      ledger_.on_heard(gtids_of(event.word.gtids), event.at, PrimaryLedger::span);
    // It stopped the writes for want of a lease; to allow them again is ours.
    // Or a fence that we have taken back was carried out late.
    const bool fenced = role_for(server) == GrantedRole::fence;
    const bool stopped = event.word.lease_lost || (event.word.fenced > Epoch{} && !fenced);
    if (stopped && event.word.read_only == true && !std::exchange(server.read_only_by_us, true))
      outbox_.add(ProbeNow{server.id});
    // Under a fence it keeps more than a lease: the server stays read-only without one.
    const bool leased = keeps_lease(event.word) || (fenced && server.leased);
    if (std::exchange(server.leased, leased) != leased && cluster_.primary == server.id && !change_)
      persist();
  }
  if (change_) change_->on_agent(event.backend, now);
  if (knew || !server.evidence.agent.saw_end_at) return;
  // By the time that the failover begins, what the others have should be known afresh.
  for (const auto& other : cluster_.servers) outbox_.add(ProbeNow{other.id});
}

void Controller::absorb_failure(const ProbeFailed& event) {
  Server& server = cluster_.at(event.backend);
  const bool was_connected = !server.evidence.failure && server.answered();
  server.evidence.on_probe_failed(event.failure, event.finished);
  if (!was_connected || event.failure.kind != FailureKind::lost) return;
  // The quickest proof of a crash; and by the time it is there, what the others have should be known afresh.
  outbox_.add(CheckReconnect{event.backend, cluster_.config.failover.refused_confirm});
  if (cluster_.primary != event.backend) return;
  for (const auto& other : cluster_.servers) {
    if (other.id != event.backend) outbox_.add(ProbeNow{other.id});
  }
}

void Controller::judge_all(Instant now) {
  const JudgeTimes times = cluster_.judge_times();
  for (auto& server : cluster_.servers) {
    const Verdict before = server.judgement.verdict;
    server.judgement = judge(server.evidence, times, now);
    const Verdict after = server.judgement.verdict;
    if (before == after) continue;
    // Suspicion comes and goes; only what follows from it is history, and that once.
    if (after != Verdict::suspect && after != server.noted) {
      server.noted = after;
      note("verdict", &server, server.name() + " is " + to_string(after) + ": " + server.judgement.why);
    }
    if (change_) change_->on_verdict(server.id, now);
    if (after != Verdict::dead || cluster_.primary != server.id) continue;
    // Whether it fell silent alone is decided by what the others say now.
    for (const auto& other : cluster_.servers) {
      if (other.id != server.id) outbox_.add(ProbeNow{other.id});
    }
  }
}

// When the cables are mended one server is heard before the other. The silence of that one was ours: it
// counts anew from the first sign of life of anybody.
void Controller::notice_isolation(Instant now) {
  const bool all_silent =
      std::ranges::all_of(cluster_.servers, [](const Server& s) { return s.is(Verdict::dead); });
  if (all_silent) {
    cut_off_ = true;
  } else if (std::exchange(cut_off_, false)) {
    const JudgeTimes times = cluster_.judge_times();
    hold_until_ = now + std::max(times.deadtime, times.first_answer());
  }
}

}  // namespace pointsman::core
