#include "health/setup/copy_marker.h"

#include "health/mysql/concat.h"
#include "health/mysql/quote.h"

namespace pointsman::setup {
namespace {

constexpr unsigned unknown_database = 1049;
constexpr unsigned no_such_table = 1146;

}  // namespace

std::vector<std::string> write_mark_statements(const CopyMark& mark) {
  const std::string table = mysql::concat(mark_schema, ".state");
  return {"SET SESSION sql_log_bin = 0", mysql::concat("CREATE DATABASE IF NOT EXISTS ", mark_schema),
          mysql::concat("CREATE TABLE IF NOT EXISTS ", table,
                        " (id INT PRIMARY KEY, whole INT, donor VARCHAR(255), event_scheduler VARCHAR(16))"
                        " ENGINE = InnoDB DEFAULT CHARSET = utf8mb4"),
          mysql::concat("REPLACE INTO ", table, " VALUES (1, ", mark.whole ? 1 : 0, ", ",
                        mysql::quote(mark.donor), ", ", mysql::quote(mark.event_scheduler), ")")};
}

std::vector<std::string> drop_mark_statements() {
  return {"SET SESSION sql_log_bin = 0", mysql::concat("DROP DATABASE IF EXISTS ", mark_schema),
          "SET SESSION sql_log_bin = 1"};
}

std::expected<std::optional<CopyMark>, core::Failure> read_copy_mark(Admin& admin) {
  const auto table =
      admin.ask(mysql::concat("SELECT whole, donor, event_scheduler FROM ", mark_schema, ".state"));
  if (!table) {
    const unsigned number = table.error().server_errno;
    if (number == unknown_database || number == no_such_table) return std::optional<CopyMark>();
    return std::unexpected(table.error());
  }
  // A schema without a row: killed between the two.
  if (table->empty()) return std::optional(CopyMark{});
  return std::optional(CopyMark{.whole = table->flag(0, {"whole"}),
                                .donor = table->text(0, {"donor"}),
                                .event_scheduler = table->text(0, {"event_scheduler"})});
}

Outcome write_copy_mark(Admin& admin, const CopyMark& mark) {
  return admin.run_all(write_mark_statements(mark));
}

Outcome drop_copy_mark(Admin& admin) {
  return admin.run_all(drop_mark_statements());
}

}  // namespace pointsman::setup
