#include "health/setup/survey.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <utility>

#include "health/mysql/concat.h"
#include "health/mysql/result_table.h"

namespace pointsman::setup {
namespace {

using core::Failure;
using mysql::concat;
using mysql::ResultTable;

constexpr std::string_view system_schemas =
    "('mysql', 'information_schema', 'performance_schema', 'sys', 'pointsman_copy')";
// Left behind when a proof was interrupted.
constexpr std::string_view not_proof = "NOT (TABLE_SCHEMA = 'pointsman' AND TABLE_NAME = 'proof')";

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

Origin origin_of(std::string_view word) {
  // MariaDB's, then MySQL's.
  if (word == "COMPILE-TIME" || word == "AUTO" || word == "COMPILED") return Origin::compiled;
  if (word == "CONFIG" || word == "ENV" || word == "GLOBAL" || word == "SERVER" || word == "EXPLICIT" ||
      word == "EXTRA" || word == "COMMAND_LINE" || word == "PERSISTED" || word == "LOGIN") {
    return Origin::file;
  }
  if (word == "SQL" || word == "DYNAMIC") return Origin::runtime;
  return Origin::unknown;
}

std::string_view column(const ResultTable& table, std::size_t row, std::size_t at) {
  return table.at(row, at).value_or(std::string_view());
}

// Without the rights to ask where a value comes from, that is simply not known.
std::expected<void, Failure> read_variables(Admin& admin, Survey& out) {
  const auto all = admin.ask("SHOW GLOBAL VARIABLES");
  if (!all) return std::unexpected(all.error());
  for (std::size_t row = 0; row < all->rows(); ++row) {
    out.variables[lower(column(*all, row, 0))] = column(*all, row, 1);
  }
  const auto origins =
      admin.ask(admin.flavour() == core::Flavour::mariadb
                    ? "SELECT VARIABLE_NAME, GLOBAL_VALUE_ORIGIN FROM information_schema.SYSTEM_VARIABLES"
                    : "SELECT VARIABLE_NAME, VARIABLE_SOURCE FROM performance_schema.variables_info");
  if (!origins) return admin.is_open() ? std::expected<void, Failure>() : std::unexpected(origins.error());
  for (std::size_t row = 0; row < origins->rows(); ++row) {
    out.origins[lower(column(*origins, row, 0))] = origin_of(column(*origins, row, 1));
  }
  return {};
}

std::expected<void, Failure> read_plugins(Admin& admin, Survey& out) {
  const auto plugins =
      admin.ask("SELECT PLUGIN_NAME FROM information_schema.PLUGINS WHERE PLUGIN_STATUS = 'ACTIVE'");
  if (!plugins) return std::unexpected(plugins.error());
  for (std::size_t row = 0; row < plugins->rows(); ++row) out.plugins.insert(lower(column(*plugins, row, 0)));
  return {};
}

std::expected<std::vector<std::string>, Failure> names(Admin& admin, const std::string& sql) {
  const auto rows = admin.ask(sql);
  if (!rows) return std::unexpected(rows.error());
  std::vector<std::string> list;
  list.reserve(rows->rows());
  for (std::size_t row = 0; row < rows->rows(); ++row) list.emplace_back(column(*rows, row, 0));
  return list;
}

std::expected<void, Failure> read_contents(Admin& admin, Contents& out) {
  const auto databases =
      names(admin, concat("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ",
                          system_schemas, " ORDER BY 1"));
  if (!databases) return std::unexpected(databases.error());
  out.databases = *databases;
  const auto counts = admin.ask(concat(
      "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE ", not_proof, " AND TABLE_SCHEMA NOT IN ",
      system_schemas, ") + (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA NOT IN ",
      system_schemas, ") + (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA NOT IN ",
      system_schemas,
      ") AS objects, (SELECT SUM(DATA_LENGTH) FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ",
      system_schemas,
      ") AS bytes, (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA NOT IN ",
      system_schemas, ") AS events"));
  if (!counts) return std::unexpected(counts.error());
  out.objects = counts->number(0, {"objects"});
  out.bytes = counts->number(0, {"bytes"});
  out.events = counts->number(0, {"events"});
  const auto other_engines =
      names(admin, concat("SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES WHERE"
                          " TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB' AND TABLE_SCHEMA NOT IN ",
                          system_schemas, " LIMIT ", Contents::max_named));
  if (!other_engines) return std::unexpected(other_engines.error());
  out.not_innodb = *other_engines;
  const auto keyless = names(
      admin,
      concat(
          "SELECT CONCAT(t.TABLE_SCHEMA, '.', t.TABLE_NAME) FROM information_schema.TABLES t LEFT JOIN"
          " information_schema.STATISTICS s ON s.TABLE_SCHEMA = t.TABLE_SCHEMA AND s.TABLE_NAME ="
          " t.TABLE_NAME AND s.NON_UNIQUE = 0 WHERE t.TABLE_TYPE = 'BASE TABLE' AND s.INDEX_NAME IS NULL AND"
          " t.TABLE_SCHEMA NOT IN ",
          system_schemas, " LIMIT ", Contents::max_named));
  if (!keyless) return std::unexpected(keyless.error());
  out.without_key = *keyless;
  return {};
}

// The table is there with the plugin only.
std::string read_running_clone(Admin& admin) {
  const auto row =
      admin.ask("SELECT SOURCE FROM performance_schema.clone_status WHERE STATE = 'In Progress'");
  return row ? row->text(0, {"SOURCE"}) : "";
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  const auto tenths = static_cast<std::uint64_t>(std::llround(value * 10));
  const bool whole = unit == 0 || tenths >= 100;
  return whole ? concat(tenths / 10, " ", units[unit])
               : concat(tenths / 10, ".", tenths % 10, " ", units[unit]);
}

std::string Contents::summary() const {
  if (!has_data()) return "no data";
  std::string list;
  for (std::size_t i = 0; i < databases.size() && i < max_named; ++i) {
    list += (i == 0 ? "" : ", ") + databases[i];
  }
  if (databases.size() > max_named) list += ", ...";
  return concat(objects, objects == 1 ? " table or other object" : " tables and other objects", ", about ",
                size_text(bytes), ", in ", list);
}

std::string Survey::variable(const std::string& variable) const {
  const auto found = variables.find(variable);
  return found == variables.end() ? "" : found->second;
}

std::expected<Survey, Failure> survey(Admin& admin) {
  Survey out;
  out.name = admin.name();
  out.address = admin.endpoint().address;
  auto report = admin.report();
  if (!report) return std::unexpected(report.error());
  out.report = std::move(*report);
  for (const auto& read : {read_variables, read_plugins}) {
    if (auto done = read(admin, out); !done) return std::unexpected(done.error());
  }
  if (auto done = read_contents(admin, out.contents); !done) return std::unexpected(done.error());
  if (admin.flavour() == core::Flavour::mariadb) {
    auto mark = read_copy_mark(admin);
    if (!mark) return std::unexpected(mark.error());
    out.mark = std::move(*mark);
    return out;
  }
  if (auto purged = core::GtidSet::parse(core::Flavour::mysql, out.variable("gtid_purged"))) {
    out.purged = std::move(*purged);
  }
  if (out.plugins.contains("clone")) out.cloning_from = read_running_clone(admin);
  return out;
}

}  // namespace pointsman::setup
