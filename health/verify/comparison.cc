#include "health/verify/comparison.h"

#include <algorithm>
#include <array>

#include "health/mysql/concat.h"

namespace pointsman::verify {

using core::Failure;
using mysql::concat;

namespace {

// Looks at a chunk before it is locked, and pauses between them: a write in between shows a difference once,
// not after each of these.
constexpr std::array<std::chrono::milliseconds, 6> pauses{
    {std::chrono::milliseconds(0), std::chrono::milliseconds(10), std::chrono::milliseconds(50),
     std::chrono::milliseconds(200), std::chrono::milliseconds(500), std::chrono::milliseconds(500)}};
// Differing looks in a row, the primary's sum being the same in all of them, that make a difference.
constexpr unsigned enough = 4;
constexpr unsigned locked_tries = 3;

}  // namespace

std::expected<void, Failure> Comparison::compare(const Table& table, std::uint64_t tables_done) {
  std::string after;
  for (bool more = true; more;) {
    std::string where = after;
    more = false;
    if (!table.key.empty()) {
      const auto key = primary_.query(table.boundary_sql(after, order_.chunk_rows));
      if (!key) return std::unexpected(key.error());
      if (!key->empty()) {
        where += concat(after.empty() ? "" : " AND ", table.up_to(*key));
        after = table.beyond(*key);
        more = true;
      }
    }
    if (auto done = compare_chunk(table, where); !done) return done;
    ++report_.chunks;
    if (order_.progress) order_.progress({table.shown(), tables_done, report_.tables, report_.rows});
    if (std::ranges::all_of(replicas_, [](const Peer* replica) { return replica == nullptr; })) return {};
  }
  return {};
}

std::expected<void, Failure> Comparison::compare_chunk(const Table& table, const std::string& where) {
  std::uint64_t rows = 0;
  for (auto& replica : replicas_) {
    if (replica == nullptr) continue;
    Sum ours;
    Sum theirs;
    const auto verdict = judge(table, where, replica, ours, theirs);
    if (!verdict) return std::unexpected(verdict.error());
    rows = ours.rows;
    if (*verdict == Verdict::different) note(*replica, table, where, ours, theirs);
    if (*verdict == Verdict::restless) {
      report_.unknown.push_back(
          {replica->name(), table.shown(),
           "changes too fast to be compared" + (where.empty() ? "" : " where " + where)});
    }
  }
  report_.rows += rows;
  return {};
}

std::expected<Comparison::Verdict, Failure> Comparison::judge(const Table& table, const std::string& where,
                                                              Peer*& replica, Sum& ours, Sum& theirs) {
  const auto sql = table.checksum_sql(where);
  unsigned same = 0;
  for (const auto pause : pauses) {
    const Sum before = ours;
    if (pause.count() > 0) primary_.pause(pause);
    const auto seen = look(table, sql, replica, ours, theirs, order_.replica_timeout);
    if (!seen || *seen != Verdict::different) return seen;
    same = same > 0 && ours == before ? same + 1 : 1;
    if (same == enough) return Verdict::different;
  }
  return look_locked(table, where, replica, ours, theirs);
}

std::expected<Comparison::Verdict, Failure> Comparison::look(const Table& table, const std::string& sql,
                                                             Peer*& replica, Sum& ours, Sum& theirs,
                                                             core::Duration limit) {
  auto primary = sum(primary_, sql);
  if (!primary) return std::unexpected(primary.error());
  ours = std::move(*primary);
  const auto position = primary_.position();
  if (!position) return std::unexpected(position.error());
  const auto arrived = replica->wait_applied(*position, limit);
  if (!arrived) return give_up(replica, table, arrived.error().text);
  if (!*arrived) {
    if (limit < order_.replica_timeout) return Verdict::restless;
    return give_up(replica, table, concat("had not applied ", position->position(), " in time"));
  }
  auto other = sum(*replica, sql);
  if (!other) {
    // A table that is not there (any more), or not the same, is a difference, not a failure of the server.
    if (other.error().kind != core::FailureKind::server_error)
      return give_up(replica, table, other.error().text);
    theirs = {};
    theirs.x = other.error().text;
    return Verdict::different;
  }
  theirs = std::move(*other);
  return ours == theirs ? Verdict::equal : Verdict::different;
}

// Nobody changes these rows until the replica has caught up with what was done to them. Only chunks of a
// limited size.
std::expected<Comparison::Verdict, Failure> Comparison::look_locked(const Table& table,
                                                                    const std::string& where, Peer*& replica,
                                                                    Sum& ours, Sum& theirs) {
  if (table.key.empty() && ours.rows > order_.chunk_rows) return Verdict::restless;
  const auto sql = table.checksum_sql(where);
  for (unsigned i = 0; i < locked_tries; ++i) {
    if (auto begun = primary_.query("START TRANSACTION"); !begun) return std::unexpected(begun.error());
    auto seen = look(table, sql + " LOCK IN SHARE MODE", replica, ours, theirs, order_.lock_limit);
    if (auto ended = primary_.query("ROLLBACK"); !ended) return std::unexpected(ended.error());
    if (!seen || *seen == Verdict::equal || *seen == Verdict::gone) return seen;
    // A commit is seen by readers a moment before it is in the GTID position.
    if (*seen == Verdict::different && i + 1 == locked_tries) return seen;
    primary_.pause(pauses.back());
  }
  return Verdict::restless;
}

std::expected<Comparison::Sum, Failure> Comparison::sum(Peer& peer, const std::string& sql) {
  const auto answer = peer.query(sql);
  if (!answer) return std::unexpected(answer.error());
  return Sum{answer->number(0, {"n"}), answer->text(0, {"x"}), answer->text(0, {"s"})};
}

Comparison::Verdict Comparison::give_up(Peer*& replica, const Table& table, const std::string& why) {
  report_.unknown.push_back({replica->name(), table.shown(), why + "; from there on it was not compared"});
  replica = nullptr;
  return Verdict::gone;
}

void Comparison::note(const Peer& replica, const Table& table, const std::string& where, const Sum& ours,
                      const Sum& theirs) {
  const auto known = std::ranges::count_if(report_.differences, [&](const Difference& d) {
    return d.server == replica.name() && d.table == table.shown();
  });
  if (static_cast<std::size_t>(known) >= max_differences) return;
  std::string what = ours.rows == theirs.rows ? concat("other contents in ", ours.rows, " rows")
                                              : concat(theirs.rows, " rows instead of ", ours.rows);
  if (theirs.s.empty()) what = "cannot be read there: " + theirs.x;
  report_.differences.push_back({replica.name(), table.shown(), where, what});
}

}  // namespace pointsman::verify
