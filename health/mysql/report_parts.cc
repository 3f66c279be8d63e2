#include "health/mysql/report_parts.h"

#include <algorithm>

#include "health/mysql/clean_text.h"
#include "health/mysql/concat.h"
#include "health/mysql/dialect.h"

namespace pointsman::mysql {
namespace {

core::ReplicaStatus::Io parse_io(std::string_view text) {
  if (equal_nocase(text, "Yes")) return core::ReplicaStatus::Io::yes;
  // "Connecting", and MariaDB's "Preparing" just before it.
  if (equal_nocase(text, "No") || text.empty()) return core::ReplicaStatus::Io::no;
  return core::ReplicaStatus::Io::connecting;
}

// "binlog.000123" -> 123
std::uint64_t file_number(std::string_view file) {
  const auto dot = file.rfind('.');
  return dot == std::string_view::npos ? 0 : to_number(file.substr(dot + 1));
}

}  // namespace

std::expected<void, core::Failure> run(Connection& connection, std::string_view sql, core::Instant deadline,
                                       std::string_view shown) {
  const auto answer = connection.query(sql, deadline, shown);
  if (!answer) return std::unexpected(answer.error());
  return {};
}

core::ReplicaStatus parse_common_replica(const ResultTable& table, std::size_t row) {
  core::ReplicaStatus replica;
  replica.source.host = clean_text(table.text(row, {"Source_Host", "Master_Host"}));
  replica.source.port = static_cast<std::uint16_t>(table.number(row, {"Source_Port", "Master_Port"}));
  replica.source_server_id =
      static_cast<std::uint32_t>(table.number(row, {"Source_Server_Id", "Master_Server_Id"}));
  replica.io = parse_io(table.text(row, {"Replica_IO_Running", "Slave_IO_Running"}));
  replica.sql = table.flag(row, {"Replica_SQL_Running", "Slave_SQL_Running"});
  replica.io_errno = static_cast<unsigned>(table.number(row, {"Last_IO_Errno"}));
  replica.io_error = clean_text(table.text(row, {"Last_IO_Error"}));
  replica.sql_errno = static_cast<unsigned>(table.number(row, {"Last_SQL_Errno"}));
  replica.sql_error = clean_text(table.text(row, {"Last_SQL_Error"}));
  if (const auto lag = table.get(row, {"Seconds_Behind_Source", "Seconds_Behind_Master"})) {
    replica.lag = std::chrono::seconds(to_number(*lag));
  }
  // Each event moves the position, each new file the number.
  constexpr unsigned file_shift = 40;
  replica.events_received =
      (file_number(table.text(row, {"Source_Log_File", "Master_Log_File"})) << file_shift) +
      table.number(row, {"Read_Source_Log_Pos", "Read_Master_Log_Pos"});
  return replica;
}

std::size_t own_channel(const ResultTable& table, std::string_view column) {
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.text(row, {column}).empty()) return row;
  }
  return 0;
}

std::expected<core::GtidSet, core::Failure> parse_gtids(core::Flavour flavour, std::string_view text,
                                                        std::string_view what, const Connection& connection) {
  auto set = core::GtidSet::parse(flavour, text);
  if (set) return std::move(*set);
  return std::unexpected(
      core::Failure{core::FailureKind::unsupported, 0,
                    concat("read ", what, " of ", connection.address(), ": ", set.error())});
}

bool insists(const ResultTable& variables) {
  const std::chrono::milliseconds timeout(variables.number(0, {"semi_timeout"}));
  return variables.flag(0, {"semi_source"}) && variables.flag(0, {"semi_waits_alone"}) &&
         timeout >= long_semi_sync_timeout;
}

std::string_view named_value(const ResultTable& table, std::string_view name) {
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (equal_nocase(table.at(row, 0).value_or(std::string_view()), name))
      return table.at(row, 1).value_or(std::string_view());
  }
  return {};
}

std::string seconds_text(core::Duration duration) {
  const auto ms = std::max<std::int64_t>(core::to_ms(duration), 0);
  std::string fraction = std::to_string(ms % 1000);
  fraction.insert(0, 3 - fraction.size(), '0');
  return concat(ms / 1000, ".", fraction);
}

std::string network_host(const std::string& host) {
  return equal_nocase(host, "localhost") ? "127.0.0.1" : host;
}

}  // namespace pointsman::mysql
