#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "health/core/gtid_set.h"
#include "health/core/server_report.h"
#include "health/setup/admin.h"
#include "health/setup/copy_marker.h"

namespace pointsman::setup {

// What people have put on a server. Empty databases and MariaDB's own `test` do not count.
struct Contents {
  std::vector<std::string> databases;  // all but the system's and ours, also empty ones
  std::uint64_t objects = 0;           // tables, views, routines, events in them
  std::uint64_t bytes = 0;             // of tables, by the server's estimate
  std::uint64_t events = 0;
  std::vector<std::string> not_innodb;   // "db.table", at most max_named of them
  std::vector<std::string> without_key;  // tables without a primary key, likewise

  bool has_data() const { return objects > 0; }
  std::string summary() const;  // "2 databases, 14 tables and other objects, 120 MiB: app, shop"

  static constexpr std::size_t max_named = 5;
};

// Where a setting's value comes from, as far as the server tells.
enum class Origin { unknown, compiled, file, runtime };

// All that `setup` wants to know of a server, read at one time; nothing is changed. Pure data.
struct Survey {
  std::string name;
  conf::HostPort address;
  core::ServerReport report;
  std::map<std::string, std::string> variables;  // lower case; those that settings.cc asks for
  std::map<std::string, Origin> origins;         // of the same
  std::set<std::string> plugins;                 // active ones, lower case
  Contents contents;
  std::optional<CopyMark> mark;  // MariaDB
  core::GtidSet purged;          // MySQL: executed, and no longer in its binary logs
  std::string cloning_from;  // MySQL: "host:port" of the donor of a clone that runs on it now; "" for none

  std::string variable(const std::string& variable) const;  // "" when the server has none of that name
  // Half of a copy, which is nobody's data.
  bool unfinished() const { return (mark && !mark->whole) || !cloning_from.empty(); }
};

std::expected<Survey, core::Failure> survey(Admin& admin);

// "120 MiB".
std::string size_text(std::uint64_t bytes);

}  // namespace pointsman::setup
