#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "conf/config.h"
#include "health/core/gtid_set.h"
#include "health/core/survey.h"

// What one server says of itself, flavour already translated away. Made by health/mysql, judged by
// health/core.
namespace pointsman::core {

// SHOW REPLICA STATUS, in one vocabulary.
struct ReplicaStatus {
  enum class Io { no, connecting, yes };

  conf::HostPort source;
  std::uint32_t source_server_id = 0;  // 0: not told yet
  std::string source_uuid;             // MySQL only
  Io io = Io::no;
  bool sql = false;
  unsigned io_errno = 0;
  std::string io_error;
  unsigned sql_errno = 0;
  std::string sql_error;
  GtidSet received;                         // what the receiver has queued completely
  std::optional<std::chrono::seconds> lag;  // nullopt: the server says NULL
  std::uint64_t events_received =
      0;  // grows with each heartbeat or event from the source; only its change means something
  bool by_gtid = false;

  // The applier stands with an error that does not speak of its data, so that it goes on when it is started
  // again: it got no lock, or was ended.
  bool interrupted() const;
  // MySQL's: ended in the middle of a transaction, of which it may not have the rest.
  bool killed_midway() const;
};

struct SemiSyncStatus {
  bool available = false;  // plugin there (MariaDB: always)
  bool source_enabled = false;
  bool source_active = false;  // commits really wait for a replica now
  // They go on waiting however long, and when no replica is there: mode `required`. Otherwise `preferred`.
  bool source_insists = false;
  // A commit waits also when the last replica has gone away.
  bool source_waits_alone = false;
  unsigned source_clients = 0;
  unsigned source_waiting = 0;                  // sessions that wait for a replica now
  std::chrono::milliseconds source_timeout{0};  // after which a commit is answered without one
  bool replica_enabled = false;
  bool replica_active = false;
};

struct ServerReport {
  Flavour flavour = Flavour::mysql;
  std::string version;  // as the server prints it
  std::uint32_t server_id = 0;
  std::string server_uuid;               // MySQL only
  bool read_only = true;                 // clients without a special privilege cannot write
  GtidSet executed;                      // everything committed here, own and replicated
  std::optional<ReplicaStatus> replica;  // nullopt: replicates from nobody
  unsigned sources = 0;  // number of replication channels configured; more than one is not supported
  SemiSyncStatus semi_sync;
  std::chrono::seconds uptime{0};
  bool log_bin = false;
  bool log_replica_updates = false;
  bool gtid_on = false;      // MySQL gtid_mode=ON; MariaDB: always
  bool gtid_strict = false;  // MariaDB gtid_strict_mode; MySQL enforce_gtid_consistency
  // As a replica: how many threads apply side by side, by the settings; nullopt: not told.
  std::optional<unsigned> appliers;
  bool keeps_commit_order = true;  // MariaDB: always
  bool event_scheduler = false;    // runs
  // Somebody may begin a connection with a PROXY protocol header (MariaDB's proxy_protocol_networks).
  bool takes_proxy_header = false;
  std::optional<SurveyResult> survey;  // only in the answer to Survey
};

// Why clients cannot be sent there with a PROXY protocol header; "": they can.
std::string why_no_proxy_header(const ServerReport& report);

// Why a probe or command failed, by what it proves about the server.
enum class FailureKind {
  refused,        // nobody listens (host alive)
  lost,           // an established connection got EOF or a reset
  timeout,        // no answer in time
  denied,         // 1045, 1130, 1227, ...: alive
  too_many,       // 1040, 1203: alive
  shutting_down,  // 1053, 1079: alive, not for long
  not_mysql,      // something listens that does not speak the protocol
  unreachable,    // no route, name not found, local error
  server_error,   // any other error that the server itself sent: alive
  unsupported,    // alive, but a version or setting that we cannot work with
};
const char* to_string(FailureKind kind);
// The server process itself produced the answer.
bool proves_life(FailureKind kind);

struct Failure {
  FailureKind kind = FailureKind::timeout;
  unsigned server_errno = 0;  // 0: not from the server
  std::string text;           // what was tried, on what, what the system said
};

}  // namespace pointsman::core
