#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

// The few things of a binary log that a rescue has to know, read from bytes that nobody has vouched for: a
// length that does not fit is an error, never a read beyond the end. Format: MySQL internals, "Binary Log";
// MariaDB knowledge base, "Replication Protocol". Pure; any thread.
namespace pointsman::rescue {

enum class EventType : std::uint8_t {
  query = 2,
  stop = 3,
  rotate = 4,
  format_description = 15,
  xid = 16,
  table_map = 19,
  write_rows_v1 = 23,
  update_rows_v1 = 24,
  delete_rows_v1 = 25,
  heartbeat = 27,
  rows_query = 29,
  write_rows = 30,
  update_rows = 31,
  delete_rows = 32,
  mysql_gtid = 33,
  mysql_anonymous_gtid = 34,
  previous_gtids = 35,
  xa_prepare = 38,
  partial_update_rows = 39,
  transaction_payload = 40,
  heartbeat_v2 = 41,
  mysql_gtid_tagged = 42,
  annotate_rows = 160,
  binlog_checkpoint = 161,
  mariadb_gtid = 162,
  mariadb_gtid_list = 163,
  start_encryption = 164,
};

// What a file of a binary log begins with.
inline constexpr std::string_view binlog_magic(
    "\xfe"
    "bin",
    4);
inline constexpr std::size_t event_header_bytes = 19;
inline constexpr std::size_t event_size_at = 9;  // the length of all of it, 4 bytes
inline constexpr std::size_t event_checksum_bytes = 4;
// In a format description: after the version of the format and that of the server, 4 bytes of time.
inline constexpr std::size_t format_created_at = event_header_bytes + 2 + 50;

// One event; the views are valid during the call that hands it out.
struct Event {
  EventType type{};
  std::uint32_t server_id = 0;
  std::string_view bytes;  // all of it: header, body, checksum
  std::string_view body;   // without header and checksum
};

// Cuts a stream into events. One object per file.
class BinlogReader {
 public:
  // What it says ends the reading.
  using Take = std::function<std::expected<void, std::string>(const Event&)>;

  // In pieces of any size.
  std::expected<void, std::string> feed(std::string_view bytes, const Take& take);
  // False: the stream ended in the middle of an event.
  bool complete() const { return begun_ && pending_.empty(); }

  // The server's own limit of a packet (slave_max_allowed_packet). Memory is taken as bytes arrive.
  static constexpr std::uint32_t max_event_bytes = std::uint32_t{1} << 30U;

 private:
  std::expected<void, std::string> one(std::string_view bytes, const Take& take);

  std::string pending_;  // the beginning of an event
  bool begun_ = false;
  std::size_t checksum_ = 0;  // bytes at the end of each event, as the format description said
};

// MariaDB's GTID event, which begins a transaction (a "group").
struct MariaDbGtid {
  std::uint64_t sequence = 0;
  std::uint32_t domain = 0;
  std::uint32_t server = 0;
  std::uint8_t flags = 0;

  static constexpr std::uint8_t standalone = 1;     // no COMMIT follows: a statement such as DDL
  static constexpr std::uint8_t transactional = 4;  // can be rolled back
  static constexpr std::uint8_t ddl = 32;
  static constexpr std::uint8_t xa = 64 | 128;  // prepared, completed

  std::string text() const;  // "0-1-104"
};
std::optional<MariaDbGtid> read_mariadb_gtid(const Event& event);

// MySQL's GTID event without a tag, as "uuid:gno".
std::optional<std::string> read_mysql_gtid(const Event& event);

struct TableMap {
  std::uint64_t id = 0;
  std::string database;
  std::string table;
};
std::optional<TableMap> read_table_map(const Event& event);

struct RowsEvent {
  enum class Kind { write, update, remove };
  Kind kind{};
  std::uint64_t table_id = 0;
  std::uint16_t flags = 0;
  std::uint64_t columns = 0;
  bool full_image = false;  // every column, before and after
  std::string_view rows;    // one after another; of an update each before and after

  static constexpr std::uint16_t statement_end = 1;
  static constexpr std::uint16_t no_foreign_key_checks = 2;
  static constexpr std::uint16_t relaxed_unique_checks = 4;
  // MySQL from 9.6 on: what followed these rows by foreign keys has events of its own.
  static constexpr std::uint16_t cascades_logged = 16;
};
std::optional<RowsEvent> read_rows(const Event& event);

struct QueryEvent {
  std::string database;
  std::string sql;
};
std::optional<QueryEvent> read_query(const Event& event);

}  // namespace pointsman::rescue
