#include "health/core/evidence.h"

#include <algorithm>

namespace pointsman::core {

void Evidence::on_probe_ok(const ServerReport& fresh, Instant started, Instant finished,
                           Duration probe_latency) {
  if (!command_ended_at || started >= *command_ended_at) take_report(fresh, started, finished);
  last_ok = std::max(finished, last_ok.value_or(finished));
  true_contact_ = std::max(finished, true_contact_.value_or(finished));
  last_ok_started = std::max(started, last_ok_started.value_or(started));
  latency = probe_latency;
  failure.reset();
  shut_down = false;
  failed_at.reset();
  lost_at.reset();
  refused_since.reset();
  refused = 0;
}

void Evidence::on_command_ok(const ServerReport& fresh, Instant started, Instant now) {
  command_ended_at = now;
  take_report(fresh, started, now);
}

void Evidence::take_report(const ServerReport& fresh, Instant started, Instant now) {
  const bool both_replicate = report_from && report.replica && fresh.replica;
  if (both_replicate && report.replica->events_received != fresh.replica->events_received)
    received_change_at = now;
  if (!fresh.replica) {
    replicates_since.reset();
    received_change_at.reset();
  } else if (!replicates_since) {
    replicates_since = now;
  }
  note_start(fresh, started, now);
  if (fresh.semi_sync.source_waiting == 0 || fresh.executed != report.executed) jammed = false;
  report = fresh;
  report_from = started;
  report_until = now;
  if (!fresh.read_only) writable_seen_at = now;
}

// The server counts `uptime` from one whole second of its clock to another: it may be a second too long. So
// each report of a run has another bound, never later than the report itself. The earliest counts, or the
// server would seem to start anew again and again. A restart ends connections, which is seen before the next
// report; or the uptime tells it.
void Evidence::note_start(const ServerReport& fresh, Instant started, Instant now) {
  constexpr Duration whole = std::chrono::seconds(1);
  const Instant at_the_latest = std::min(now, now - fresh.uptime + whole);
  const Instant at_the_earliest = started - fresh.uptime - whole;
  const bool unbroken = !failure && !lost_at && refused == 0;
  const bool same_run = run_started_ && unbroken && at_the_earliest <= *run_started_;
  run_started_ = same_run ? std::min(*run_started_, at_the_latest) : at_the_latest;
}

bool Evidence::restarted_since_writable() const {
  return !writable_seen_at || *run_started() > *writable_seen_at;
}

void Evidence::on_probe_failed(const Failure& what, Instant finished) {
  failure = what;
  failed_at = finished;
  if (proves_life(what.kind)) alive_at = true_contact_ = finished;
  if (what.kind == FailureKind::shutting_down) shut_down = true;
  if (what.kind == FailureKind::lost) lost_at = lost_at.value_or(finished);
  if (what.kind == FailureKind::refused) {
    on_reconnect_checked(1, false, finished);
  } else if (what.kind != FailureKind::lost) {
    refused = 0;
    refused_since.reset();
  }
}

void Evidence::on_reconnect_checked(unsigned refused_in_row, bool accepted, Instant now) {
  if (refused_in_row > 0) {
    refused += refused_in_row;
    refused_since = refused_since.value_or(now);
  }
  if (accepted) {
    refused = 0;
    refused_since.reset();
  }
}

void Evidence::on_traffic(Instant at) {
  last_traffic = std::max(at, last_traffic.value_or(at));
  true_contact_ = std::max(at, true_contact_.value_or(at));
}

void AgentEvidence::on_frame(const Arrival& arrival, const AgentWord& said, Duration deadtime,
                             std::optional<Instant> started) {
  const Instant at = arrival.at;
  if (!host_alive(deadtime, at)) heard_since = at;
  auto& last = heard[index(arrival.link)];
  last = std::max(at, last.value_or(at));
  truly_heard_at = std::max(at, truly_heard_at.value_or(at));
  if (!arrival.newest || (word_at && at < *word_at)) return;
  const auto runs = [](const AgentWord& w) {
    return w.mysqld == MysqldState::answers || w.mysqld == MysqldState::silent;
  };
  const bool of_this_one = !started || (ran_after && *ran_after >= *started);
  if (ends(said.mysqld) && !saw_end_at && word && runs(*word) && of_this_one) saw_end_at = at;
  saw_kill = saw_end_at && said.killed;
  if (runs(said)) {
    // Another run may have lost some of them.
    if (saw_end_at) {
      committed.clear();
      received.clear();
    }
    saw_end_at.reset();
    ran_after = arrival.ack_sent_at;
  }
  word = said;
  word_at = at;
  if (!said.gtids.empty()) committed = said.gtids;
  if (!said.received.empty()) received = said.received;
}

std::optional<Instant> AgentEvidence::last_heard() const {
  std::optional<Instant> latest;
  for (const auto& at : heard) {
    if (at) latest = std::max(*at, latest.value_or(*at));
  }
  return latest;
}

Instant Evidence::last_contact() const {
  Instant latest = watched_since;
  for (const auto& sign : {last_ok, last_traffic, alive_at}) {
    if (sign) latest = std::max(latest, *sign);
  }
  return latest;
}

void Evidence::forgive(Duration stall) {
  watched_since += stall;
  for (auto* sign : {&last_ok, &last_traffic, &alive_at, &failed_at, &refused_since, &replicates_since,
                     &received_change_at}) {
    if (*sign) **sign += stall;
  }
  for (auto& sign : agent.heard) {
    if (sign) *sign += stall;
  }
}

}  // namespace pointsman::core
