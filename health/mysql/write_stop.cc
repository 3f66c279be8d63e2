#include "health/mysql/write_stop.h"

#include <algorithm>
#include <string>
#include <utility>

#include "health/mysql/boot_clock.h"
#include "health/mysql/concat.h"
#include "health/mysql/errors.h"
#include "health/mysql/report_parts.h"
#include "health/mysql/scheduled_events.h"

namespace pointsman::mysql {
namespace {

using core::FailureKind;

constexpr core::Duration look_pause = std::chrono::milliseconds(5);
constexpr unsigned max_looks = 10;
constexpr unsigned lock_wait_timeout_errno = 1205;
constexpr unsigned not_owner_errno = 1095;

core::Instant soon() {
  return boot_now() + statement_timeout;
}

bool waits_for_replica(const ResultTable& processlist, std::size_t row) {
  return processlist.text(row, {"State"}).contains("semi-sync ACK");
}

struct Committing {
  std::string sessions;  // their ids and what they do; "": none commits
  bool waits = false;    // one of them for a replica
};

Committing who_commits(const ResultTable& processlist, const OwnAccounts& own) {
  Committing found;
  for (std::size_t row = 0; row < processlist.rows(); ++row) {
    const bool waits = waits_for_replica(processlist, row);
    const bool commits = waits || processlist.text(row, {"State"}) == "Commit";
    if (!commits || !is_client(processlist, row, own)) continue;
    found.waits = found.waits || waits;
    found.sessions += concat(processlist.number(row, {"Id"}), waits ? " waits," : ",");
  }
  return found;
}

}  // namespace

// The server waits for running statements and commits up to lock_wait_timeout, in whole seconds. Our own
// deadline is later, so that it is the server that gives up, and the variable surely keeps its old value.
WriteStop::Outcome WriteStop::try_once(std::chrono::milliseconds timeout) {
  const auto seconds = std::max(std::chrono::ceil<std::chrono::seconds>(timeout), std::chrono::seconds(1));
  auto& connection = session_.connection();
  if (auto done = run(connection, concat("SET SESSION lock_wait_timeout = ", seconds.count()), soon()); !done)
    return done;
  auto done = session_.dialect().make_read_only(connection, boot_now() + seconds + statement_timeout);
  if (!done && done.error().server_errno == lock_wait_timeout_errno) {
    done.error().kind = FailureKind::timeout;
    done.error().text +=
        concat(" (after ", seconds.count(),
               " s: a long statement, LOCK TABLES, or a commit that waits for a semi-synchronous"
               " replica holds it up; still writable)");
  }
  return done;
}

bool WriteStop::held_up(const Outcome& done) const {
  return !done && done.error().kind == FailureKind::timeout && session_.is_open();
}

WriteStop::Outcome WriteStop::make_read_only(const core::MakeReadOnly& command) {
  Outcome done;
  if (command.stop_events) done = stop_scheduler(session_, soon());
  if (done && command.clients_first) done = end_clients();
  if (done) done = try_once(command.timeout);
  if (held_up(done) && command.end_clients) {
    done = by_force();
  } else if (held_up(done)) {
    done = name_holders(std::move(done), command.end_holders);
    if (command.end_holders && held_up(done)) {
      if (auto second = try_once(std::chrono::seconds(1)); second) done = second;
    }
  }
  if (done && command.end_clients) done = end_clients();
  return done;
}

WriteStop::Outcome WriteStop::make_read_only_at_any_price() {
  auto done = try_once(std::chrono::seconds(1));
  return held_up(done) ? by_force() : done;
}

WriteStop::Outcome WriteStop::by_force() {
  Outcome done;
  for (std::size_t round = 0; round < max_rounds; ++round) {
    if (done = end_clients(); !done) return done;
    done = session_.dialect().release_waiting_commits(session_.connection(), soon());
    if (done) done = try_once(std::chrono::seconds(1));
    const auto admitted = session_.dialect().admit_clients(session_.connection(), soon());
    if (done && !admitted) done = admitted;
    if (!held_up(done)) return done;
  }
  return done;
}

// Which session waits for all shows only when nothing moves any more, as it does soon when no replica
// acknowledges.
std::expected<ResultTable, core::Failure> WriteStop::sessions_at_rest() {
  const auto look = [this] { return session_.connection().query("SHOW PROCESSLIST", soon()); };
  auto list = look();
  std::string before;
  for (unsigned looks = 1; list && looks < max_looks; ++looks) {
    auto now = who_commits(*list, own_);
    if (now.sessions.empty() || (now.waits && now.sessions == before)) break;
    before = std::move(now.sessions);
    if (!session_.connection().pause(look_pause)) break;
    list = look();
  }
  return list;
}

// Of commits that wait together for a replica, MariaDB has one session wait for all. Ended before the others
// it would let them go on, and they answer their clients as if a replica had their commits. So it is ended
// last.
WriteStop::Outcome WriteStop::end_clients() {
  const auto list = sessions_at_rest();
  if (!list) return std::unexpected(list.error());
  for (const bool last : {false, true}) {
    for (std::size_t row = 0; row < list->rows(); ++row) {
      if (!is_client(*list, row, own_) || waits_for_replica(*list, row) != last) continue;
      if (auto ended = end_session(list->number(row, {"Id"})); !ended) return ended;
    }
  }
  return {};
}

WriteStop::Outcome WriteStop::end_session(std::uint64_t thread) {
  auto ended = run(session_.connection(), concat("KILL ", thread), soon());
  if (ended) return ended;
  const auto number = ended.error().server_errno;
  return number == no_such_thread_errno || number == not_owner_errno ? Outcome() : ended;
}

WriteStop::Outcome WriteStop::name_holders(Outcome failed, bool end) {
  const auto occupants = find_occupants(session_, own_, true, soon());
  if (!occupants) return failed;
  std::size_t named = 0;
  for (const auto& occupant : *occupants) {
    // One that idles in a transaction holds up nobody.
    if (occupant.kind == core::Occupant::Kind::transaction && occupant.statement.empty()) continue;
    if (++named <= max_named) failed.error().text += concat(named == 1 ? ": " : "; ", describe(occupant));
    if (!end || occupant.kind == core::Occupant::Kind::backup) continue;
    if (auto ended = end_session(occupant.thread); !ended) return ended;
  }
  return failed;
}

}  // namespace pointsman::mysql
