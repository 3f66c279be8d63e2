#include "health/rescue/undo_obstacles.h"

#include "health/mysql/clean_text.h"
#include "health/mysql/concat.h"
#include "health/mysql/quote.h"

namespace pointsman::rescue {

using core::Failure;
using core::Flavour;
using mysql::concat;
using mysql::quote;

namespace {

std::string literal(const std::string& name) {
  return concat("_utf8mb4", quote(name));
}

// A table as MariaDB's InnoDB names it, in the character set of files: "app/odd@0020name".
std::string file_name(const BinlogPicker::Table& table) {
  const auto part = [](const std::string& name) {
    return concat("CAST(CONVERT(", literal(name), " USING filename) AS BINARY)");
  };
  return concat("CONCAT(", part(table.database), ", '/', ", part(table.name), ")");
}

std::expected<bool, Failure> any(ServerCall& call, const std::string& count) {
  const auto found = call.query(count);
  if (!found) return std::unexpected(found.error());
  return mysql::to_number(found->at(0, 0).value_or("0")) != 0;
}

// The monitor account may read InnoDB's own tables of names (PROCESS), but not the tables of the users.
std::expected<std::string, Failure> why_not_mariadb(ServerCall& call, const std::string& name,
                                                    const std::string& shown) {
  // A table in partitions is there once for each: app/t#P#p0.
  const auto there =
      any(call, concat("SELECT COUNT(*) FROM information_schema.INNODB_SYS_TABLES WHERE"
                       " SUBSTRING_INDEX(REPLACE(CAST(NAME AS BINARY), '#p#', '#P#'), '#P#', 1) = ",
                       name));
  if (!there) return std::unexpected(there.error());
  if (!*there) return shown + " is no InnoDB table";
  const auto versioned = any(
      call, concat("SELECT COUNT(*) FROM information_schema.INNODB_SYS_COLUMNS c JOIN"
                   " information_schema.INNODB_SYS_TABLES t USING (TABLE_ID) WHERE CAST(t.NAME AS BINARY) = ",
                   name, " AND c.PRTYPE & 49152 <> 0"));
  if (!versioned) return std::unexpected(versioned.error());
  return *versioned ? shown + " is system-versioned, and an undo would become part of its history" : "";
}

// On MySQL, which writes how a transaction ended, no table is seen here that has no transactions.
std::expected<std::string, Failure> why_not_table(ServerCall& call, Flavour flavour,
                                                  const BinlogPicker::Table& table) {
  const bool mariadb = flavour == Flavour::mariadb;
  const auto shown = mysql::clean_text(table.database + "." + table.name);
  const auto name = mariadb ? file_name(table)
                            : concat("CAST(CONCAT(", literal(table.database), ", '/', ", literal(table.name),
                                     ") AS BINARY)");
  if (mariadb) {
    auto why = why_not_mariadb(call, name, shown);
    if (!why || !why->empty()) return why;
  }
  if (table.only_inserts) return "";
  const auto children = call.query(
      concat("SELECT FOR_NAME FROM information_schema.", mariadb ? "INNODB_SYS_FOREIGN" : "INNODB_FOREIGN",
             " WHERE CAST(REF_NAME AS BINARY) = ", name, " AND TYPE & 15 <> 0 LIMIT 1"));
  if (!children) return std::unexpected(children.error());
  if (children->empty()) return "";
  return concat("rows of ", shown, " were changed or deleted, ",
                mysql::clean_text(children->text(0, {"FOR_NAME"})),
                " follows them by a foreign key, and what that changed is not in the binary log");
}

}  // namespace

std::expected<std::string, Failure> why_no_undo(ServerCall& call, const Record& record,
                                                const Limits& limits) {
  if (!record.why_not.empty()) return record.why_not;
  if (record.bytes > limits.undo_bytes)
    return concat("they have ", record.bytes >> 20U, " MiB, and at most ", limits.undo_bytes >> 20U,
                  " MiB are undone in one transaction");
  if (record.flavour == Flavour::mariadb) {
    const auto triggers = call.query("SELECT @@global.slave_run_triggers_for_rbr");
    if (!triggers) return std::unexpected(triggers.error());
    if (triggers->at(0, 0).value_or("") != "NO")
      return std::string("slave_run_triggers_for_rbr is not NO, so that triggers would act on the undo");
  }
  for (const auto& table : record.tables) {
    auto why = why_not_table(call, record.flavour, table);
    if (!why || !why->empty()) return why;
  }
  return std::string();
}

}  // namespace pointsman::rescue
