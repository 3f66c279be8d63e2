#include "health/verify/table.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "health/mysql/concat.h"
#include "health/mysql/quote.h"

namespace pointsman::verify {

using core::Failure;
using mysql::concat;
using mysql::quote;
using mysql::quote_name;
using mysql::ResultTable;

namespace {

constexpr std::string_view our_schemas_out =
    "TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'ndbinfo')";

bool is_one_of(std::string_view type, std::initializer_list<std::string_view> list) {
  return std::ranges::find(list, type) != list.end();
}

bool is_number(std::string_view type) {
  return is_one_of(type, {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year"});
}
bool is_binary(std::string_view type) {
  return is_one_of(type, {"binary", "varbinary"});
}
// Types that come back from a text as what they were, in their own order. Not: floats (not exact), ENUM and
// SET (ordered by number, compared by name), BIT, blobs.
bool fits_key(std::string_view type) {
  return is_number(type) || is_binary(type) ||
         is_one_of(type,
                   {"char", "varchar", "date", "datetime", "timestamp", "time", "uuid", "inet4", "inet6"});
}

// Not MD5, which MySQL has only with a component since 9.6.
std::string digest(const std::string& expression) {
  return concat("SHA2(", expression, ", 256)");
}

// A column's value for the checksum: its bytes, not what a character set or a display width makes of them.
// Long ones as a digest, as a row's text is limited by max_allowed_packet and NULL beyond it.
std::string value_of(const Table::Column& column) {
  auto name = quote_name(column.name);
  const std::string_view type = column.type;
  if (type.ends_with("text") || type.ends_with("blob") || type == "json" || type == "vector")
    return digest(name);
  if (type == "char" || type == "varchar" || type == "enum" || type == "set")
    return concat("CAST(", name, " AS BINARY)");
  if (type == "float") return concat(name, " + 0e0");
  if (type == "bit") return concat(name, " + 0");
  if (is_binary(type)) return name;
  if (is_number(type) ||
      is_one_of(type, {"double", "date", "datetime", "timestamp", "time", "uuid", "inet4", "inet6"}))
    return name;
  return digest(name);  // geometry and what may come
}

std::string join(const std::vector<std::string>& parts, std::string_view between) {
  std::string text;
  for (const auto& part : parts) {
    if (!text.empty()) text += between;
    text += part;
  }
  return text;
}

using Tables = std::map<std::string, Table>;

std::expected<void, Failure> read_names(Peer& peer, Tables& tables) {
  const auto names =
      peer.query(concat("SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE ",
                        our_schemas_out, " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"));
  if (!names) return std::unexpected(names.error());
  for (std::size_t row = 0; row < names->rows(); ++row) {
    Table table;
    table.database = names->at(row, 0).value_or("");
    table.name = names->at(row, 1).value_or("");
    const auto shown = table.shown();
    tables.emplace(shown, std::move(table));
  }
  return {};
}

std::expected<void, Failure> read_columns(Peer& peer, Tables& tables) {
  const auto list =
      peer.query(concat("SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, LOWER(DATA_TYPE), CONCAT_WS(' ', "
                        "COLUMN_TYPE, COLLATION_NAME), IS_NULLABLE"
                        " FROM information_schema.COLUMNS WHERE ",
                        our_schemas_out, " ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"));
  if (!list) return std::unexpected(list.error());
  for (std::size_t row = 0; row < list->rows(); ++row) {
    const auto text = [&](std::size_t column) { return std::string(list->at(row, column).value_or("")); };
    const auto table = tables.find(text(0) + "." + text(1));
    if (table == tables.end()) continue;  // a view
    table->second.columns.push_back({text(2), text(3), text(4), text(5) == "YES"});
  }
  return {};
}

// The first unique index, the primary key before all others, whose columns all have a value and an order that
// a text can carry.
std::expected<void, Failure> read_keys(Peer& peer, Tables& tables) {
  const auto list =
      peer.query(concat("SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART IS NOT NULL FROM "
                        "information_schema.STATISTICS WHERE ",
                        our_schemas_out,
                        " AND NON_UNIQUE = 0 ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME <> 'PRIMARY', "
                        "INDEX_NAME, SEQ_IN_INDEX"));
  if (!list) return std::unexpected(list.error());
  std::map<std::pair<std::string, std::string>, std::vector<std::size_t>> indices;  // of a table, in order
  std::map<std::string, std::vector<std::string>> order;
  std::set<std::pair<std::string, std::string>> unfit;
  for (std::size_t row = 0; row < list->rows(); ++row) {
    const auto text = [&](std::size_t column) { return std::string(list->at(row, column).value_or("")); };
    const auto shown = text(0) + "." + text(1);
    const auto table = tables.find(shown);
    if (table == tables.end()) continue;
    const auto id = std::pair(shown, text(2));
    if (indices.try_emplace(id).second) order[shown].push_back(text(2));
    const auto& columns = table->second.columns;
    const auto column = std::ranges::find(columns, text(3), &Table::Column::name);
    if (column == columns.end() || column->nullable || text(4) != "0" || !fits_key(column->type)) {
      unfit.insert(id);
      continue;
    }
    indices[id].push_back(static_cast<std::size_t>(column - columns.begin()));
  }
  for (auto& [shown, names] : order) {
    const auto good =
        std::ranges::find_if(names, [&](const auto& name) { return !unfit.contains({shown, name}); });
    if (good != names.end()) tables.at(shown).key = indices[{shown, *good}];
  }
  return {};
}

}  // namespace

std::string Table::definition() const {
  std::vector<std::string> parts;
  parts.reserve(columns.size());
  for (const auto& column : columns)
    parts.push_back(column.name + " " + column.definition + (column.nullable ? "" : " NOT NULL"));
  return join(parts, ", ");
}

std::string Table::quoted_name() const {
  return quote_name(database) + "." + quote_name(name);
}

std::string Table::checksum_sql(const std::string& where) const {
  std::vector<std::string> values;
  std::vector<std::string> nulls;
  for (const auto& column : columns) {
    values.push_back(value_of(column));
    if (column.nullable) nulls.push_back(concat("ISNULL(", quote_name(column.name), ")"));
  }
  // CONCAT_WS leaves out what is NULL.
  if (!nulls.empty()) values.push_back(concat("CONCAT(", join(nulls, ", "), ")"));
  const auto row = concat("CONCAT_WS('#', ", join(values, ", "), ")");
  return concat("SELECT COUNT(*) AS n, COALESCE(BIT_XOR(CAST(CONV(LEFT(", digest(row),
                ", 16), 16, 10) AS UNSIGNED)), 0) AS x, COALESCE(SUM(CRC32(", row, ")), 0) AS s FROM ",
                quoted_name(), where.empty() ? "" : " WHERE ", where);
}

std::string Table::boundary_sql(const std::string& after, std::uint32_t rows) const {
  std::vector<std::string> names;
  std::vector<std::string> shown;
  for (const auto column : key) {
    names.push_back(quote_name(columns[column].name));
    shown.push_back(is_binary(columns[column].type) ? concat("HEX(", names.back(), ")") : names.back());
  }
  return concat("SELECT ", join(shown, ", "), " FROM ", quoted_name(), after.empty() ? "" : " WHERE ", after,
                " ORDER BY ", join(names, ", "), " LIMIT 1 OFFSET ", rows - 1);
}

std::string Table::literal(std::size_t column, const std::string& text) const {
  const auto& type = columns[column].type;
  if (is_number(type)) return text;
  if (is_binary(type)) return concat("x'", text, "'");
  return quote(text);
}

// (a, b) > (1, 2) in a form for which both servers use the index: a > 1 OR (a = 1 AND b > 2).
std::string Table::compare(const ResultTable& key_row, bool greater) const {
  std::vector<std::string> ways;
  std::string equal;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const auto column = quote_name(columns[key[i]].name);
    const auto value = literal(key[i], std::string(key_row.at(0, i).value_or("")));
    const bool last = i + 1 == key.size();
    const std::string_view sign = greater ? " > " : last ? " <= " : " < ";
    ways.push_back(equal.empty() ? concat(column, sign, value)
                                 : concat("(", equal, " AND ", column, sign, value, ")"));
    equal += concat(equal.empty() ? "" : " AND ", column, " = ", value);
  }
  return ways.size() == 1 ? ways.front() : concat("(", join(ways, " OR "), ")");
}

std::string Table::beyond(const ResultTable& key_row) const {
  return compare(key_row, true);
}
std::string Table::up_to(const ResultTable& key_row) const {
  return compare(key_row, false);
}

std::expected<Tables, Failure> read_tables(Peer& peer) {
  Tables tables;
  if (auto done = read_names(peer, tables); !done) return std::unexpected(done.error());
  if (auto done = read_columns(peer, tables); !done) return std::unexpected(done.error());
  if (auto done = read_keys(peer, tables); !done) return std::unexpected(done.error());
  return tables;
}

}  // namespace pointsman::verify
