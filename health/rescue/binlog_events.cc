#include "health/rescue/binlog_events.h"

#include <array>

#include "health/rescue/byte_reader.h"

namespace pointsman::rescue {
namespace {

// The first `bits` bits of a bitmap are all set.
bool all_set(std::string_view bitmap, std::uint64_t bits) {
  for (std::uint64_t i = 0; i < bits; ++i) {
    const auto byte = static_cast<unsigned char>(bitmap[static_cast<std::size_t>(i / 8)]);
    if ((byte >> (i % 8) & 1U) == 0) return false;
  }
  return true;
}

// A format description ends with the kind of checksum of what follows, and has one itself in any case.
std::optional<std::size_t> checksum_after(std::string_view format_description) {
  if (format_description.size() < format_created_at + 4 + 1 + 1 + event_checksum_bytes) return std::nullopt;
  const char kind = format_description[format_description.size() - event_checksum_bytes - 1];
  if (kind == 0) return 0;
  if (kind == 1) return event_checksum_bytes;
  return std::nullopt;
}

}  // namespace

std::expected<void, std::string> BinlogReader::feed(std::string_view bytes, const Take& take) {
  pending_.append(bytes);
  std::string_view rest = pending_;
  if (!begun_) {
    if (rest.size() < binlog_magic.size()) return {};
    if (!rest.starts_with(binlog_magic))
      return std::unexpected("this is no binary log: it does not begin like one");
    rest.remove_prefix(binlog_magic.size());
    begun_ = true;
  }
  while (rest.size() >= event_header_bytes) {
    const auto size = static_cast<std::uint32_t>(ByteReader(rest.substr(event_size_at)).number(4));
    if (size < event_header_bytes || size > max_event_bytes) {
      return std::unexpected("an event of " + std::to_string(size) + " bytes in the binary log");
    }
    if (rest.size() < size) break;
    if (auto taken = one(rest.substr(0, size), take); !taken) return taken;
    rest.remove_prefix(size);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return {};
}

std::expected<void, std::string> BinlogReader::one(std::string_view bytes, const Take& take) {
  ByteReader header(bytes);
  header.take(4);
  Event event;
  event.bytes = bytes;
  event.type = static_cast<EventType>(header.number(1));
  event.server_id = static_cast<std::uint32_t>(header.number(4));
  std::size_t checksum = checksum_;
  if (event.type == EventType::format_description) {
    const auto told = checksum_after(bytes);
    if (!told) return std::unexpected("a format description that cannot be understood in the binary log");
    checksum_ = *told;
    checksum = event_checksum_bytes;
  }
  if (bytes.size() < event_header_bytes + checksum) return std::unexpected("an event without its checksum");
  event.body = bytes.substr(event_header_bytes, bytes.size() - event_header_bytes - checksum);
  return take(event);
}

std::string MariaDbGtid::text() const {
  return std::to_string(domain) + "-" + std::to_string(server) + "-" + std::to_string(sequence);
}

std::optional<MariaDbGtid> read_mariadb_gtid(const Event& event) {
  if (event.type != EventType::mariadb_gtid) return std::nullopt;
  ByteReader in(event.body);
  MariaDbGtid gtid;
  gtid.server = event.server_id;
  gtid.sequence = in.number(8);
  gtid.domain = static_cast<std::uint32_t>(in.number(4));
  gtid.flags = static_cast<std::uint8_t>(in.number(1));
  if (!in.ok() || gtid.sequence == 0) return std::nullopt;
  return gtid;
}

std::optional<std::string> read_mysql_gtid(const Event& event) {
  if (event.type != EventType::mysql_gtid) return std::nullopt;
  constexpr std::array digits{'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  ByteReader in(event.body);
  in.take(1);
  const auto uuid = in.take(16);
  const auto number = in.number(8);
  if (!in.ok()) return std::nullopt;
  std::string text;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    const auto byte = static_cast<unsigned char>(uuid[i]);
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += digits.at(byte >> 4U);
    text += digits.at(byte & 15U);
  }
  return text + ":" + std::to_string(number);
}

std::optional<TableMap> read_table_map(const Event& event) {
  if (event.type != EventType::table_map) return std::nullopt;
  ByteReader in(event.body);
  TableMap map;
  map.id = in.number(6);
  in.take(2);
  map.database = in.take(in.number(1));
  in.take(1);
  map.table = in.take(in.number(1));
  in.take(1);
  if (!in.ok()) return std::nullopt;
  return map;
}

std::optional<RowsEvent> read_rows(const Event& event) {
  using Kind = RowsEvent::Kind;
  RowsEvent rows;
  bool extra = true;
  switch (event.type) {
    case EventType::write_rows_v1:
    case EventType::update_rows_v1:
    case EventType::delete_rows_v1:
      extra = false;
      break;
    case EventType::write_rows:
    case EventType::update_rows:
    case EventType::delete_rows:
      break;
    default:
      return std::nullopt;
  }
  const auto order = static_cast<unsigned>(event.type) -
                     static_cast<unsigned>(extra ? EventType::write_rows : EventType::write_rows_v1);
  rows.kind = static_cast<Kind>(order);
  ByteReader in(event.body);
  rows.table_id = in.number(6);
  rows.flags = static_cast<std::uint16_t>(in.number(2));
  if (extra) {
    const auto length = in.number(2);  // counts itself
    if (length < 2) return std::nullopt;
    in.take(length - 2);
  }
  rows.columns = in.packed();
  const auto bitmap_bytes = rows.columns / 8 + (rows.columns % 8 == 0 ? 0 : 1);
  const auto before = in.take(bitmap_bytes);
  const auto after = rows.kind == Kind::update ? in.take(bitmap_bytes) : before;
  if (!in.ok()) return std::nullopt;
  rows.full_image = all_set(before, rows.columns) && all_set(after, rows.columns);
  rows.rows = in.rest();
  return rows;
}

std::optional<QueryEvent> read_query(const Event& event) {
  if (event.type != EventType::query) return std::nullopt;
  ByteReader in(event.body);
  in.take(8);
  const auto database_bytes = in.number(1);
  in.take(2);
  in.take(in.number(2));
  QueryEvent query;
  query.database = in.take(database_bytes);
  in.take(1);
  query.sql = in.rest();
  if (!in.ok()) return std::nullopt;
  return query;
}

}  // namespace pointsman::rescue
