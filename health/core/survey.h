#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What one server says of who holds it up, asked before a planned change. Made by health/mysql, judged by
// health/core.
namespace pointsman::core {

// A session that a planned change would have to wait for or to end. Those of replication and of ourselves are
// left out.
struct Occupant {
  enum class Kind {
    transaction,  // open for long, whether it works or idles
    statement,    // runs for long outside of a transaction
    table_lock,   // LOCK TABLES
    backup,       // a backup's lock, or FLUSH TABLES WITH READ LOCK
  };

  Kind kind = Kind::transaction;
  std::uint64_t thread = 0;     // what KILL takes
  std::string account;          // user@host
  std::chrono::seconds age{0};  // of the transaction or of what the session does now
  std::string statement;        // its beginning; empty: the session idles
  bool operator==(const Occupant&) const = default;
};
// "thread 12 (app@10.0.0.5), a transaction open for 34 s: UPDATE t SET ..."
std::string describe(const Occupant& occupant);

struct SurveyResult {
  std::vector<Occupant> occupants;
  std::optional<std::uint64_t> free_bytes;  // where its data are; nullopt: the server does not tell
  unsigned enabled_events = 0;              // scheduled events that run here
  bool scheduler_settable = false;          // our account may switch the event scheduler
};

}  // namespace pointsman::core
