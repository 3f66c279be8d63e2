#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "health/core/gtid_set.h"
#include "health/core/server_report.h"
#include "health/rescue/binlog_picker.h"
#include "health/rescue/rescue.h"

namespace pointsman::rescue {

// rescue.json of one saved directory: what it holds, and how far the taking back has come.
struct Record {
  // In this order. `undoing` is noted before the undo is sent to the server, so whether it was committed only
  // the server knows.
  enum class Phase { saved, undoing, undone, done, needs_copy, settled };

  std::filesystem::path directory;
  std::string server;
  core::Flavour flavour = core::Flavour::mariadb;
  std::string saved_at;  // UTC, ISO 8601
  core::GtidSet errant;
  std::uint64_t transactions = 0;
  std::uint64_t bytes = 0;
  std::string why_not;  // why they cannot be undone row by row, as far as the binary log tells; "": they can
  std::vector<BinlogPicker::Table> tables;
  Phase phase = Phase::saved;
  std::string marker;    // GTID of the undo, from `undoing` on
  core::GtidSet target;  // what the server is to have afterwards, from `undone` on

  Saved saved() const { return {directory, errant, transactions, bytes}; }
};
const char* to_string(Record::Phase phase);

// Files of a directory in the making or made.
inline constexpr const char* binlog_name = "transactions.binlog";
inline constexpr const char* sql_name = "transactions.sql";
inline constexpr const char* record_name = "rescue.json";
inline constexpr const char* undo_name = "undo.sql";

// Durable when it returns.
std::expected<void, core::Failure> store(const Record& record);
std::expected<Record, core::Failure> load(const std::filesystem::path& directory);
// All of one server, the oldest first. A directory without a record is none of ours and left out; a record
// that cannot be understood is a failure.
std::expected<std::vector<Record>, core::Failure> list(const std::filesystem::path& state_dir,
                                                       const std::string& server);

// What a server's GTID state says after the undo with this GTID. MariaDB: all numbers up to it.
core::GtidSet marker_set(const std::string& marker);

// state_dir/rescue
std::filesystem::path rescue_root(const std::filesystem::path& state_dir);
// The server's name, fit for a file name.
std::string file_name(const std::string& server);

}  // namespace pointsman::rescue
