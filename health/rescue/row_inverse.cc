#include "health/rescue/row_inverse.h"

#include <cstddef>
#include <optional>
#include <ranges>

namespace pointsman::rescue {
namespace {

constexpr std::size_t type_at = 4;
constexpr std::size_t created_bytes = 4;

void append(std::string& text, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i, value >>= 8U) text += static_cast<char>(value & 0xffU);
}

void append_packed(std::string& text, std::uint64_t value) {
  if (value < 251) return append(text, value, 1);
  append(text, 252, 1);
  append(text, value, 2);  // tables have at most 4096 columns
}

// Header and body, without a checksum.
std::string without_checksum(const Event& event) {
  std::string out(event.bytes.substr(0, event_header_bytes));
  out += event.body;
  std::string size;
  append(size, out.size(), 4);
  out.replace(event_size_at, size.size(), size);
  return out;
}

EventType inverse_type(EventType type) {
  switch (type) {
    case EventType::write_rows_v1:
      return EventType::delete_rows_v1;
    case EventType::delete_rows_v1:
      return EventType::write_rows_v1;
    case EventType::write_rows:
      return EventType::delete_rows;
    case EventType::delete_rows:
      return EventType::write_rows;
    default:
      return type;
  }
}

bool has_extra_data(EventType type) {
  return type == EventType::write_rows || type == EventType::update_rows || type == EventType::delete_rows;
}

// The rows as they have to stand in the inverse; nullopt: bytes that cannot be rows of this table.
std::optional<std::string> inverse_rows(const std::vector<Column>& columns, const RowsEvent& rows) {
  struct Row {
    std::string_view before;  // of an insert and a delete the only one
    std::string_view after;
  };
  std::vector<Row> list;
  for (auto rest = rows.rows; !rest.empty();) {
    Row row;
    const auto cut = [&rest, &columns](std::string_view& image) {
      const auto size = image_size(columns, rest);
      if (!size) return false;
      image = rest.substr(0, *size);
      rest.remove_prefix(*size);
      return true;
    };
    if (!cut(row.before)) return std::nullopt;
    if (rows.kind == RowsEvent::Kind::update && !cut(row.after)) return std::nullopt;
    list.push_back(row);
  }
  std::string out;
  out.reserve(rows.rows.size());
  for (const auto& row : std::views::reverse(list)) {
    out += row.after;
    out += row.before;
  }
  return out;
}

}  // namespace

std::expected<void, std::string> RowInverse::add(const Event& event) {
  switch (event.type) {
    case EventType::format_description:
      return on_format(event);
    case EventType::mysql_gtid:
    case EventType::mysql_gtid_tagged:
    case EventType::mysql_anonymous_gtid:
      tables_.clear();
      return {};
    case EventType::table_map: {
      const auto map = read_table_map(event);
      auto columns = read_columns(event);
      if (!columns) return std::unexpected(columns.error());
      if (!map) return std::unexpected("a table map that cannot be read in the binary log");
      tables_[map->id] = {without_checksum(event), std::move(*columns)};
      return {};
    }
    default:
      break;
  }
  const auto rows = read_rows(event);
  return rows ? on_rows(event, *rows) : std::expected<void, std::string>();
}

// Told without checksums, and without the time of a start, which would have a server drop temporary tables.
std::expected<void, std::string> RowInverse::on_format(const Event& event) {
  if (event.bytes.size() < format_created_at + created_bytes + 1 + 1 + event_checksum_bytes)
    return std::unexpected("a format description that cannot be understood in the binary log");
  std::string format(event.bytes);
  format.replace(0, type_at, type_at, '\0');
  format.replace(format_created_at, created_bytes, created_bytes, '\0');
  format.replace(format.size() - event_checksum_bytes - 1, event_checksum_bytes + 1, event_checksum_bytes + 1,
                 '\0');
  // The place and the position in its file, which are not the same after each rotation.
  format.replace(event_size_at + 4, 4, 4, '\0');
  tables_.clear();
  if (!format_.empty() && format != format_)
    return std::unexpected("they were written by two versions of the server");
  format_ = std::move(format);
  return {};
}

std::expected<void, std::string> RowInverse::on_rows(const Event& event, const RowsEvent& rows) {
  const auto table = tables_.find(rows.table_id);
  if (table == tables_.end()) return std::unexpected("a change of rows of a table that is not named");
  const auto& columns = table->second.columns;
  if (!rows.full_image) return std::unexpected("a change of rows that has not all columns");
  auto inverse = rows.columns == columns.size() ? inverse_rows(columns, rows) : std::nullopt;
  if (!inverse || inverse->empty())
    return std::unexpected("a change of rows that does not fit its table in the binary log");

  std::string out(event.bytes.substr(0, event_header_bytes));
  out[type_at] = static_cast<char>(inverse_type(event.type));
  append(out, rows.table_id, 6);
  const auto flags = static_cast<unsigned>(rows.flags) & ~unsigned{RowsEvent::relaxed_unique_checks};
  append(out, flags | RowsEvent::statement_end | RowsEvent::no_foreign_key_checks, 2);
  if (has_extra_data(event.type)) append(out, 2, 2);  // none but its own length
  append_packed(out, columns.size());
  std::string bitmap((columns.size() + 7) / 8, '\xff');
  if (columns.size() % 8 != 0) bitmap.back() = static_cast<char>((1U << columns.size() % 8) - 1);
  out += bitmap;
  if (rows.kind == RowsEvent::Kind::update) out += bitmap;
  out += *inverse;
  std::string size;
  append(size, out.size(), 4);
  out.replace(event_size_at, size.size(), size);
  changes_.push_back(table->second.map + out);
  return {};
}

}  // namespace pointsman::rescue
