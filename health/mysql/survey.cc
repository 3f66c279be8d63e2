#include "health/mysql/survey.h"

#include <algorithm>
#include <map>

#include "health/mysql/clean_text.h"
#include "health/mysql/concat.h"
#include "health/mysql/report_parts.h"

namespace pointsman::mysql {
namespace {

using core::Failure;
using core::FailureKind;
using core::Instant;
using core::Occupant;
using Kind = core::Occupant::Kind;

constexpr std::size_t most_statement = 60;
constexpr unsigned unknown_table_errno = 1109;

bool is_one_of(std::initializer_list<std::string_view> list, std::string_view text) {
  return std::ranges::any_of(list, [&](auto entry) { return equal_nocase(entry, text); });
}

// INNODB_TRX has the time of the server's host, NOW() that of the session's zone.
constexpr std::string_view transactions =
    "SELECT trx_mysql_thread_id AS thread, TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(),"
    " '+00:00', 'SYSTEM')) AS age FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id > 0";

// GLOBAL and COMMIT are held by FLUSH TABLES WITH READ LOCK.
constexpr std::string_view mysql_locks =
    "SELECT t.PROCESSLIST_ID AS thread, m.OBJECT_TYPE <> 'TABLE' AS backup"
    " FROM performance_schema.metadata_locks m"
    " JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID"
    " WHERE m.LOCK_STATUS = 'GRANTED' AND t.PROCESSLIST_ID IS NOT NULL"
    " AND ((m.OBJECT_TYPE IN ('BACKUP LOCK', 'GLOBAL', 'COMMIT') AND m.LOCK_TYPE = 'SHARED')"
    " OR (m.OBJECT_TYPE = 'TABLE' AND m.LOCK_TYPE IN ('SHARED_NO_READ_WRITE', 'SHARED_READ_ONLY')))";

// Modes of a backup and of FLUSH TABLES WITH READ LOCK (mdl.h); the others are of statements.
constexpr std::string_view mariadb_locks =
    "SELECT THREAD_ID AS thread, LOCK_TYPE = 'Backup lock' AS backup"
    " FROM information_schema.METADATA_LOCK_INFO"
    " WHERE (LOCK_TYPE = 'Backup lock' AND LOCK_MODE IN ('MDL_BACKUP_START', 'MDL_BACKUP_FLUSH',"
    " 'MDL_BACKUP_WAIT_FLUSH', 'MDL_BACKUP_WAIT_DDL', 'MDL_BACKUP_WAIT_COMMIT', 'MDL_BACKUP_FTWRL1',"
    " 'MDL_BACKUP_FTWRL2'))"
    " OR (LOCK_TYPE = 'Table metadata lock' AND LOCK_MODE IN ('MDL_SHARED_NO_READ_WRITE',"
    " 'MDL_SHARED_READ_ONLY'))";

std::string beginning(std::string_view statement) {
  std::string text = clean_text(statement);
  std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  if (text.size() <= most_statement) return text;
  std::size_t end = most_statement;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
    --end;  // a character stays whole
  return text.substr(0, end) + "...";
}

bool begins_with(std::string_view text, std::string_view words) {
  return text.size() >= words.size() && equal_nocase(text.substr(0, words.size()), words);
}

bool is_backup_statement(std::string_view info) {
  return begins_with(info, "BACKUP STAGE") || begins_with(info, "BACKUP LOCK") ||
         begins_with(info, "LOCK INSTANCE FOR BACKUP") ||
         (begins_with(info, "FLUSH TABLES") && info.size() > 12 &&
          begins_with(info.substr(12), " WITH READ LOCK"));
}

// Thread -> is of a backup. What cannot be asked (no plugin, no such table) is not known.
std::expected<std::map<std::uint64_t, bool>, Failure> held_locks(Session& session, Instant deadline) {
  const bool mysql = session.dialect().flavour() == core::Flavour::mysql;
  std::map<std::uint64_t, bool> locks;
  const auto rows = session.connection().query(mysql ? mysql_locks : mariadb_locks, deadline);
  if (!rows) {
    const bool unknown =
        rows.error().server_errno == unknown_table_errno || rows.error().kind == FailureKind::denied;
    if (unknown) return locks;
    return std::unexpected(rows.error());
  }
  for (std::size_t row = 0; row < rows->rows(); ++row)
    locks[rows->number(row, {"thread"})] |= rows->flag(row, {"backup"});
  return locks;
}

std::expected<std::map<std::uint64_t, std::uint64_t>, Failure> open_transactions(Session& session,
                                                                                 Instant deadline) {
  const auto rows = session.connection().query(transactions, deadline);
  if (!rows) return std::unexpected(rows.error());
  std::map<std::uint64_t, std::uint64_t> ages;
  for (std::size_t row = 0; row < rows->rows(); ++row)
    ages[rows->number(row, {"thread"})] = rows->number(row, {"age"});
  return ages;
}

}  // namespace

bool is_client(const ResultTable& processlist, std::size_t row, const OwnAccounts& own) {
  const auto user = processlist.text(row, {"User"});
  return user != own.monitor && user != own.replication &&
         !is_one_of({"system user", "event_scheduler", "unauthenticated user"}, user) &&
         !is_one_of({"Binlog Dump", "Binlog Dump GTID", "Daemon"}, processlist.text(row, {"Command"}));
}

std::expected<std::vector<Occupant>, Failure> find_occupants(Session& session, const OwnAccounts& own,
                                                             bool all, Instant deadline) {
  const auto ages = open_transactions(session, deadline);
  if (!ages) return std::unexpected(ages.error());
  const auto locks = held_locks(session, deadline);
  if (!locks) return std::unexpected(locks.error());
  const auto list = session.connection().query("SHOW PROCESSLIST", deadline);
  if (!list) return std::unexpected(list.error());
  const std::uint64_t least = all ? 0 : static_cast<std::uint64_t>(long_age.count());

  std::vector<Occupant> occupants;
  for (std::size_t row = 0; row < list->rows(); ++row) {
    if (!is_client(*list, row, own)) continue;
    const auto info = list->text(row, {"Info"});
    const bool works = equal_nocase(list->text(row, {"Command"}), "Query");
    Occupant occupant;
    occupant.thread = list->number(row, {"Id"});
    occupant.account = clean_text(concat(list->text(row, {"User"}), "@", list->text(row, {"Host"})));
    occupant.age = std::chrono::seconds(list->number(row, {"Time"}));
    if (works) occupant.statement = beginning(info.empty() ? list->text(row, {"State"}) : info);
    const auto lock = locks->find(occupant.thread);
    const auto transaction = ages->find(occupant.thread);
    if ((lock != locks->end() && lock->second) || (works && is_backup_statement(info))) {
      occupant.kind = Kind::backup;
    } else if (lock != locks->end()) {
      occupant.kind = Kind::table_lock;
    } else if (transaction != ages->end() && transaction->second >= least) {
      occupant.kind = Kind::transaction;
      occupant.age = std::chrono::seconds(transaction->second);
    } else if (works && occupant.age >= std::chrono::seconds(least)) {
      occupant.kind = Kind::statement;
    } else {
      continue;
    }
    occupants.push_back(std::move(occupant));
  }
  return occupants;
}

namespace {

// Of MariaDB's plugin DISKS, whose table needs FILE: the file system with the longest path that leads to the
// data.
std::optional<std::uint64_t> free_bytes(Session& session, Instant deadline) {
  if (session.dialect().flavour() != core::Flavour::mariadb) return std::nullopt;
  const auto rows = session.connection().query(
      "SELECT Available FROM information_schema.DISKS WHERE LEFT(CONCAT(@@global.datadir, '/'),"
      " LENGTH(TRIM(TRAILING '/' FROM Path)) + 1) = CONCAT(TRIM(TRAILING '/' FROM Path), '/')"
      " ORDER BY LENGTH(Path) DESC LIMIT 1",
      deadline);
  if (!rows || rows->empty()) return std::nullopt;
  constexpr std::uint64_t kib = 1024;
  return rows->number(0, {"Available"}) * kib;
}

}  // namespace

std::expected<core::SurveyResult, Failure> survey(Session& session, const OwnAccounts& own,
                                                  Instant deadline) {
  core::SurveyResult result;
  auto occupants = find_occupants(session, own, false, deadline);
  if (!occupants) return std::unexpected(occupants.error());
  result.occupants = std::move(*occupants);
  result.free_bytes = free_bytes(session, deadline);
  const auto events = session.connection().query(
      "SELECT COUNT(*) AS enabled FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'", deadline);
  if (!events) return std::unexpected(events.error());
  result.enabled_events = static_cast<unsigned>(events->number(0, {"enabled"}));
  // To what it is already: that changes nothing, and says whether it would be allowed.
  const auto settable =
      run(session.connection(), "SET GLOBAL event_scheduler = @@global.event_scheduler", deadline);
  if (!settable && !session.is_open()) return std::unexpected(settable.error());
  result.scheduler_settable = settable.has_value();
  return result;
}

}  // namespace pointsman::mysql
