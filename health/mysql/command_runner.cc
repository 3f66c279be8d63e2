#include "health/mysql/command_runner.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "health/mysql/boot_clock.h"
#include "health/mysql/concat.h"
#include "health/mysql/report_parts.h"
#include "health/mysql/scheduled_events.h"

namespace pointsman::mysql {
namespace {

using core::CommandResult;
using core::Failure;
using core::FailureKind;
using Io = core::ReplicaStatus::Io;

// The server has no event for "the receiver has read everything", nor for "the receiver is connected".
constexpr core::Duration drain_pause = std::chrono::milliseconds(1);
constexpr core::Duration settle_patience = std::chrono::seconds(2);
constexpr core::Duration settle_pause = std::chrono::milliseconds(5);
// A wait inside the server does not end when the applier breaks, so it is taken in slices.
constexpr std::chrono::milliseconds longest_slice{1000};
constexpr core::Duration events_timeout = std::chrono::seconds(25);

// What a server says that finds relay logs missing which it knows of: MariaDB 1201, MySQL 1871 and 1872. It
// neither starts to replicate then nor (MariaDB) takes another source before it has forgotten the old one.
// Nothing is lost by that but what was received and not applied, which the source is asked for again.
bool lacks_relay_logs(const Failure& failure) {
  static constexpr std::array<unsigned, 3> numbers = {1201, 1871, 1872};
  return std::ranges::find(numbers, failure.server_errno) != numbers.end();
}

core::Instant soon() {
  return boot_now() + statement_timeout;
}

}  // namespace

Failure CommandRunner::failure(FailureKind kind, std::string_view text) const {
  return {kind, 0, concat(session_.connection().address(), ": ", text)};
}

CommandRunner::Outcome CommandRunner::execute(std::string_view sql, std::string_view shown) {
  return run(session_.connection(), sql, soon(), shown);
}

CommandResult CommandRunner::report() {
  return session_.report(soon());
}

CommandResult CommandRunner::operator()(const core::Inspect&) {
  return report();
}

CommandResult CommandRunner::operator()(const core::Survey&) {
  auto found = survey(session_, own(), soon());
  if (!found) return std::unexpected(found.error());
  // Read last: what has ended until then is in `executed`, and the replica is asked for it.
  auto now = report();
  if (now) now->survey = std::move(*found);
  return now;
}

CommandResult CommandRunner::operator()(const core::EndOccupants& command) {
  const auto occupants = find_occupants(session_, own(), false, soon());
  if (!occupants) return std::unexpected(occupants.error());
  for (const auto& occupant : *occupants) {
    if (std::ranges::find(command.threads, occupant.thread) == command.threads.end()) continue;
    if (auto done = write_stop().end_session(occupant.thread); !done) return std::unexpected(done.error());
  }
  return report();
}

CommandResult CommandRunner::operator()(const core::EnableEvents& command) {
  // Usually AfterPromotion has done it; not when its daemon was killed.
  const auto replica = session_.dialect().replica_status(session_.connection(), soon());
  if (!replica) return std::unexpected(replica.error());
  if (*replica && (*replica)->io == Io::no && !(*replica)->sql) {
    if (auto done = execute(session_.dialect().forget_replication()); !done)
      return std::unexpected(done.error());
  }
  if (auto done = enable_events(session_, command.scheduler, boot_now() + events_timeout); !done)
    return std::unexpected(done.error());
  return report();
}

CommandResult CommandRunner::operator()(const core::StopReceiving& command) {
  auto& dialect = session_.dialect();
  const auto end_of_drain = boot_now() + command.drain;
  auto last_news = boot_now();
  std::optional<core::ReplicaStatus> before;
  bool source_is_silent = false;
  for (;;) {
    const auto replica = dialect.replica_status(session_.connection(), soon());
    if (!replica) return std::unexpected(replica.error());
    if (!*replica) return report();
    // A receiver that has lost its source has read all that the source had sent.
    source_is_silent = (*replica)->io == Io::yes;
    const auto now = boot_now();
    if (before && before->received != (*replica)->received) last_news = now;
    before = **replica;
    if (!source_is_silent || now >= end_of_drain || now - last_news >= command.quiet) break;
    if (!session_.connection().pause(drain_pause)) break;
  }
  // First of all: while the receiver runs, what it has received is kept.
  const bool forgets = before->io == Io::no && dialect.start_forgets_received();
  if (auto done = forgets ? Outcome() : start_stopped_applier(*before); !done)
    return std::unexpected(done.error());
  if (source_is_silent) {
    if (auto done = dialect.loosen_receiver(session_.connection(), soon()); !done)
      return std::unexpected(done.error());
  }
  if (auto done = execute(dialect.stop_receiver()); !done) return std::unexpected(done.error());
  auto now = report();
  if (!now || !now->replica) return now;
  const auto gone = before->received.minus(now->executed.united(now->replica->received));
  if (gone.empty()) return now;
  return std::unexpected(
      failure(FailureKind::server_error, concat("has thrown away what it had received: ", gone.to_string())));
}

CommandResult CommandRunner::operator()(const core::ResumeReceiving&) {
  auto& dialect = session_.dialect();
  const auto replica = dialect.replica_status(session_.connection(), soon());
  if (!replica) return std::unexpected(replica.error());
  if (!*replica) return report();
  if (auto done = start_stopped_applier(**replica); !done) return std::unexpected(done.error());
  if ((*replica)->io == Io::no) {
    if (auto done = execute(dialect.start_receiver()); !done) return std::unexpected(done.error());
  }
  return report();
}

CommandResult CommandRunner::operator()(const core::StartApplier&) {
  auto& dialect = session_.dialect();
  const auto replica = dialect.replica_status(session_.connection(), soon());
  if (!replica) return std::unexpected(replica.error());
  if (*replica && (*replica)->io == Io::yes && !(*replica)->sql) {
    if (auto done = execute(dialect.start_applier()); !done) return std::unexpected(done.error());
  }
  return report();
}

// Not one that stopped with an error, unless that was in the middle of a transaction and it has something to
// do: beside a source that is gone it would begin what was received in part, and be hard to stop again.
CommandRunner::Outcome CommandRunner::start_stopped_applier(const core::ReplicaStatus& replica) {
  if (replica.sql || (replica.sql_errno != 0 && !replica.killed_midway())) return {};
  if (replica.killed_midway() && replica.io != Io::yes) {
    const auto now = report();
    if (!now) return std::unexpected(now.error());
    if (now->executed.contains(replica.received)) return {};
  }
  return execute(session_.dialect().start_applier());
}

// From a source that lives the rest of a transaction comes while the applier is being stopped.
CommandRunner::Outcome CommandRunner::stop_replication(const std::optional<core::ReplicaStatus>& replica) {
  auto& dialect = session_.dialect();
  if (replica && replica->io == Io::connecting) {
    if (auto done = execute(dialect.stop_receiver()); !done) return done;
  }
  if (replica && replica->io != Io::yes) {
    if (auto done = dialect.loosen_applier(session_.connection(), soon()); !done) return done;
  }
  return execute(dialect.stop_replication());
}

CommandResult CommandRunner::operator()(const core::WaitApplied& command) {
  const auto deadline = boot_now() + command.timeout;
  for (;;) {
    auto now = report();
    if (!now || now->executed.contains(command.target)) return now;
    const auto missing = now->executed.empty() ? command.target : command.target.minus(now->executed);
    if (!now->replica) {
      return std::unexpected(
          failure(FailureKind::server_error,
                  concat("replicates from nobody and has not applied ", missing.to_string())));
    }
    if (!now->replica->sql) {
      auto broken = failure(FailureKind::server_error,
                            concat("the applier is stopped: ", now->replica->sql_errno, " ",
                                   now->replica->sql_error, "; not applied: ", missing.to_string()));
      broken.server_errno = now->replica->sql_errno;
      return std::unexpected(std::move(broken));
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - boot_now());
    if (left <= left.zero()) {
      return std::unexpected(
          failure(FailureKind::timeout,
                  concat("not applied within ", command.timeout.count(), " ms: ", missing.to_string())));
    }
    const auto slice = std::min(left, longest_slice);
    const auto waited = session_.connection().query(session_.dialect().wait_applied(command.target, slice),
                                                    boot_now() + slice + statement_timeout);
    if (!waited) return std::unexpected(waited.error());
    // Trusted beyond our own comparison: MariaDB compares positions, which are less than what its binary log
    // can tell.
    if (waited->at(0, 0) == "0") return report();
  }
}

CommandResult CommandRunner::operator()(const core::Promote& command) {
  auto& dialect = session_.dialect();
  // Its receiver stands, or has nothing more to get of a source that is read-only.
  if (auto done = dialect.loosen_applier(session_.connection(), soon()); !done)
    return std::unexpected(done.error());
  if (auto done = execute(dialect.stop_replication()); !done) return std::unexpected(done.error());
  const bool forget_later = dialect.forgetting_is_slow();
  if (!forget_later) {
    if (auto done = execute(dialect.forget_replication()); !done) return std::unexpected(done.error());
  }
  if (auto done = dialect.become_source(session_.connection(), command.semi_sync, soon()); !done) {
    return std::unexpected(done.error());
  }
  auto promoted = report();
  if (promoted && forget_later) {
    // It is stopped, and AfterPromotion removes it when nothing else is queued.
    promoted->replica.reset();
    promoted->sources = 0;
  }
  return promoted;
}

CommandResult CommandRunner::operator()(const core::MakeWritable& command) {
  if (auto done = session_.dialect().become_source(session_.connection(), command.semi_sync, soon()); !done) {
    return std::unexpected(done.error());
  }
  return report();
}

CommandResult CommandRunner::operator()(const core::SetSemiSyncSource& command) {
  if (auto done = session_.dialect().set_semi_sync_source(session_.connection(), command, soon()); !done) {
    return std::unexpected(done.error());
  }
  return report();
}

// A row of InnoDB, gone before it was there, in a table that every server has and that whoever has the right
// may write to. Nothing simpler will do: MariaDB's recovery with init_rpl_role = SLAVE refuses to start a
// server whose unacknowledged tail holds what no engine has a transaction for, as FLUSH and all DDL.
CommandResult CommandRunner::operator()(const core::PromptReplicas&) {
  static constexpr std::array<std::string_view, 4> statements{
      "START TRANSACTION",
      "INSERT INTO mysql.innodb_table_stats (database_name, table_name, n_rows, clustered_index_size,"
      " sum_of_other_index_sizes) VALUES ('pointsman', 'prompt', 0, 0, 0)",
      "DELETE FROM mysql.innodb_table_stats WHERE database_name = 'pointsman' AND table_name = 'prompt'",
      "COMMIT"};
  for (const auto sql : statements) {
    auto done = execute(sql);
    if (done) continue;
    // Or the next START TRANSACTION would commit the row.
    if (session_.is_open()) static_cast<void>(execute("ROLLBACK"));
    return std::unexpected(done.error());
  }
  return report();
}

CommandResult CommandRunner::operator()(const core::MakeReadOnly& command) {
  if (auto done = write_stop().make_read_only(command); !done) return std::unexpected(done.error());
  return report();
}

bool CommandRunner::follows_already(const core::ServerReport& report, const core::Follow& command) const {
  if (!report.replica || !report.read_only || report.semi_sync.source_enabled) return false;
  const auto& replica = *report.replica;
  const bool semi_sync_right = !report.semi_sync.available ||
                               report.semi_sync.replica_enabled == (command.semi_sync != conf::SemiSync::off);
  return semi_sync_right && replica.by_gtid && replica.io == Io::yes && replica.sql &&
         replica.source.host == network_host(command.source.host) &&
         replica.source.port == command.source.port;
}

// The order is what keeps `required` true. Ending the source role releases every commit that waits for a
// replica, and its client would be told that it is safe. So: read-only first, which waits for those commits
// (they hold the commit lock); when they do not end, their clients are ended, which ends the wait without an
// answer to anybody; and only when nobody can commit any more is the role given up. That comes last of all,
// as the new primary may itself wait for this replica.
CommandResult CommandRunner::operator()(const core::Follow& command) {
  auto& dialect = session_.dialect();
  const auto before = report();
  if (!before || follows_already(*before, command)) return before;
  if (!before->read_only) {
    if (auto done = write_stop().make_read_only_at_any_price(); !done) return std::unexpected(done.error());
  }
  // Not on a replica that only changes its source: its readers need not notice.
  if (!before->read_only || before->semi_sync.source_enabled) {
    if (auto done = write_stop().end_clients(); !done) return std::unexpected(done.error());
  }
  // Half turned by a daemon that was killed then: what it applies waits for a replica of its own, and so
  // would the end of its applier. Nobody else commits here.
  if (before->semi_sync.source_enabled && before->read_only && before->replica && before->replica->sql) {
    if (auto done = dialect.resign_source(session_.connection(), soon()); !done)
      return std::unexpected(done.error());
  }
  if (before->replica && before->replica->sql && dialect.start_forgets_received()) {
    if (auto done = apply_what_is_received(); !done) return std::unexpected(done.error());
  }
  if (auto done = stop_replication(before->replica); !done) return std::unexpected(done.error());
  if (auto done = dialect.become_replica(session_.connection(), command.semi_sync, soon()); !done) {
    return std::unexpected(done.error());
  }
  // Only now is it final: nobody writes, nothing is applied.
  const auto stopped = report();
  if (!stopped) return stopped;
  auto started = start_following(command, stopped->executed);
  if (!started && lacks_relay_logs(started.error())) {
    if (auto done = execute(dialect.forget_replication()); !done) return std::unexpected(done.error());
    started = start_following(command, stopped->executed);
  }
  if (!started) return std::unexpected(started.error());
  if (auto done = wait_until_connected(); !done) return std::unexpected(done.error());
  if (stopped->semi_sync.source_enabled) {
    if (auto done = dialect.resign_source(session_.connection(), soon()); !done) {
      return std::unexpected(done.error());
    }
  }
  return report();
}

// What both threads leave unapplied the next start throws away, and should the source die before that, nobody
// has it who could be promoted. An applier that is far behind is not waited for: the source sends it again.
CommandRunner::Outcome CommandRunner::apply_what_is_received() {
  if (auto done = execute(session_.dialect().stop_receiver()); !done) return done;
  for (const auto deadline = boot_now() + settle_patience; boot_now() < deadline;) {
    const auto now = report();
    if (!now) return std::unexpected(now.error());
    if (!now->replica || !now->replica->sql || now->executed.contains(now->replica->received)) break;
    if (!session_.connection().pause(settle_pause)) break;
  }
  return {};
}

CommandRunner::Outcome CommandRunner::start_following(const core::Follow& command,
                                                      const core::GtidSet& executed) {
  auto& dialect = session_.dialect();
  if (const auto start = dialect.set_start(executed); !start.empty()) {
    if (auto done = execute(start); !done) return done;
  }
  const auto source = dialect.set_source({command.source, settings_.replication, settings_.heartbeat});
  if (auto done = execute(source.sql, source.shown); !done) return done;
  return execute(dialect.start_replication());
}

CommandResult CommandRunner::operator()(const core::EndReplication&) {
  auto& dialect = session_.dialect();
  const auto replica = dialect.replica_status(session_.connection(), soon());
  if (!replica) return std::unexpected(replica.error());
  if (auto done = stop_replication(*replica); !done) return std::unexpected(done.error());
  if (auto done = execute(dialect.forget_replication()); !done) return std::unexpected(done.error());
  return report();
}

CommandRunner::Outcome CommandRunner::wait_until_connected() {
  const auto deadline = boot_now() + follow_settle;
  while (boot_now() < deadline) {
    const auto replica = session_.dialect().replica_status(session_.connection(), soon());
    if (!replica) return std::unexpected(replica.error());
    if (!*replica || (*replica)->io == Io::yes || (*replica)->io_errno != 0) break;
    if (!session_.connection().pause(settle_pause)) break;
  }
  return {};
}

}  // namespace pointsman::mysql
