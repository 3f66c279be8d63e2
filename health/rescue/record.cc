#include "health/rescue/record.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <nlohmann/json.hpp>

#include "health/rescue/files.h"

namespace pointsman::rescue {

namespace fs = std::filesystem;
using core::Failure;
using core::GtidSet;

namespace {

constexpr int format_version = 1;
constexpr std::array phase_names{"saved", "undoing", "undone", "done", "needs_copy", "settled"};
// Longer than any that could be ours.
constexpr std::uintmax_t max_record_bytes = 8 << 20;

nlohmann::json to_json(const Record& record) {
  auto tables = nlohmann::json::array();
  for (const auto& table : record.tables) {
    tables.push_back(
        {{"database", table.database}, {"table", table.name}, {"only_inserts", table.only_inserts}});
  }
  return {{"format", format_version},
          {"server", record.server},
          {"flavour", core::to_string(record.flavour)},
          {"saved_at", record.saved_at},
          {"errant", record.errant.to_string()},
          {"transactions", record.transactions},
          {"bytes", record.bytes},
          {"why_not", record.why_not},
          {"tables", tables},
          {"phase", to_string(record.phase)},
          {"marker", record.marker},
          {"target", record.target.to_string()}};
}

GtidSet gtids(core::Flavour flavour, const nlohmann::json& in) {
  auto set = GtidSet::parse(flavour, in.get<std::string>());
  if (!set) throw std::runtime_error(set.error());
  return std::move(*set);
}

Record from_json(const nlohmann::json& in) {
  Record record;
  if (in.at("format").get<int>() != format_version) throw std::runtime_error("written by another version");
  const auto flavour = in.at("flavour").get<std::string>();
  record.flavour =
      flavour == core::to_string(core::Flavour::mysql) ? core::Flavour::mysql : core::Flavour::mariadb;
  record.server = in.at("server").get<std::string>();
  record.saved_at = in.at("saved_at").get<std::string>();
  record.errant = gtids(record.flavour, in.at("errant"));
  record.transactions = in.at("transactions").get<std::uint64_t>();
  record.bytes = in.at("bytes").get<std::uint64_t>();
  record.why_not = in.at("why_not").get<std::string>();
  for (const auto& table : in.at("tables")) {
    record.tables.push_back({table.at("database").get<std::string>(), table.at("table").get<std::string>(),
                             table.at("only_inserts").get<bool>()});
  }
  const auto phase = std::ranges::find(phase_names, in.at("phase").get<std::string>());
  if (phase == phase_names.end()) throw std::runtime_error("unknown phase");
  record.phase = static_cast<Record::Phase>(phase - phase_names.begin());
  record.marker = in.at("marker").get<std::string>();
  record.target = gtids(record.flavour, in.at("target"));
  return record;
}

}  // namespace

const char* to_string(Record::Phase phase) {
  return phase_names.at(static_cast<std::size_t>(phase));
}

GtidSet marker_set(const std::string& marker) {
  const auto flavour = marker.find(':') == std::string::npos ? core::Flavour::mariadb : core::Flavour::mysql;
  return GtidSet::parse(flavour, marker).value_or(GtidSet());
}

fs::path rescue_root(const fs::path& state_dir) {
  return state_dir / "rescue";
}

std::string file_name(const std::string& server) {
  std::string name;
  for (const char c : server) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
    name += plain ? c : '_';
  }
  return name;
}

std::expected<void, Failure> store(const Record& record) {
  // A table's name need not be UTF-8.
  const auto text = to_json(record).dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  return replace_file(record.directory / record_name, text + "\n");
}

std::expected<Record, Failure> load(const fs::path& directory) {
  const auto path = directory / record_name;
  std::error_code error;
  const auto size = fs::file_size(path, error);
  std::ifstream in(path);
  if (error || !in || size > max_record_bytes)
    return std::unexpected(unsupported("cannot read " + path.string()));
  std::stringstream text;
  text << in.rdbuf();
  // The library reports a wrong shape by exceptions; they end here.
  try {
    auto record = from_json(nlohmann::json::parse(text.str()));
    record.directory = directory;
    return record;
  } catch (const std::exception& e) {
    return std::unexpected(unsupported(path.string() + " cannot be understood (" + e.what() +
                                       "); move its directory away when you know what it was"));
  }
}

std::expected<std::vector<Record>, Failure> list(const fs::path& state_dir, const std::string& server) {
  std::vector<Record> records;
  std::error_code error;
  for (fs::directory_iterator at(rescue_root(state_dir), error), end; !error && at != end;
       at.increment(error)) {
    const auto name = at->path().filename().string();
    if (name.starts_with('.') || !name.starts_with(file_name(server) + "-")) continue;
    if (!fs::exists(at->path() / record_name)) continue;
    auto record = load(at->path());
    if (!record) return std::unexpected(record.error());
    if (record->server == server) records.push_back(std::move(*record));
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return std::unexpected(
        unsupported("cannot read " + rescue_root(state_dir).string() + ": " + error.message()));
  std::ranges::sort(records, {}, [](const Record& r) { return r.directory.string(); });
  return records;
}

}  // namespace pointsman::rescue
