#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "conf/config.h"
#include "health/core/command.h"
#include "health/core/server_report.h"
#include "health/core/time.h"
#include "health/mysql/connection.h"

namespace pointsman::mysql {

// One statement to send; `shown` stands for it in error texts when it carries a secret.
struct Statement {
  std::string sql;
  std::string shown;
};

// Everything in which MariaDB and MySQL differ. An instance belongs to one open connection and may remember
// what it found there (MySQL: under which of two names the semi-synchronous plugin was loaded).
class Dialect {
 public:
  using Outcome = std::expected<void, core::Failure>;

  struct Source {
    conf::HostPort address;
    conf::Account account;
    core::Duration heartbeat{};  // how often a silent source must give a sign of life
  };

  virtual ~Dialect() = default;

  virtual core::Flavour flavour() const = 0;

  // All that the server says of itself, in as few round trips as possible: a probe is this.
  virtual std::expected<core::ServerReport, core::Failure> report(Connection& connection,
                                                                  core::Instant deadline) = 0;
  // Only its replication; nullopt: replicates from nobody.
  virtual std::expected<std::optional<core::ReplicaStatus>, core::Failure> replica_status(
      Connection& connection, core::Instant deadline) = 0;

  // Before stop_receiver() when the source is silent, so that it does not wait for it.
  virtual Outcome loosen_receiver(Connection&, core::Instant) { return {}; }

  virtual std::string stop_receiver() const = 0;
  virtual std::string start_receiver() const = 0;
  virtual std::string start_applier() const = 0;
  // Starting one of the two while both stand still throws away what was received and not applied.
  virtual bool start_forgets_received() const { return false; }
  // Before stop_replication(), when nothing more is received: ends an applier that would not stop for long as
  // it waits for the rest of a transaction that was received in part.
  virtual Outcome loosen_applier(Connection&, core::Instant) { return {}; }
  virtual std::string stop_replication() const = 0;
  virtual std::string start_replication() const = 0;
  virtual std::string forget_replication() const = 0;  // of a stopped replica
  // Then a promotion does it when writes are allowed already.
  virtual bool forgetting_is_slow() const { return false; }

  // Yields 0 when `target` is applied, anything else after `slice`.
  virtual std::string wait_applied(const core::GtidSet& target, std::chrono::milliseconds slice) const = 0;

  // Sets both semi-synchronous roles for a primary, `mode` as in core::SetSemiSyncSource.
  virtual Outcome set_semi_sync_source(Connection& connection, const core::SetSemiSyncSource& mode,
                                       core::Instant deadline) = 0;
  // The same with nobody there, then `read_only` off as the very last thing.
  virtual Outcome become_source(Connection& connection, conf::SemiSync mode, core::Instant deadline) = 0;
  // Sets the role of a semi-synchronous replica; counts from the receiver's next start.
  virtual Outcome become_replica(Connection& connection, conf::SemiSync mode, core::Instant deadline) = 0;
  // Ends the role of a semi-synchronous source: releases every commit that waits for a replica. MySQL takes
  // up to a second to answer, as it waits for a thread that looks once a second whether it should end.
  virtual Outcome resign_source(Connection& connection, core::Instant deadline) = 0;
  // Waits for running commits as long as the session's lock_wait_timeout; on failure nothing has changed.
  virtual Outcome make_read_only(Connection& connection, core::Instant deadline) = 0;

  // When commits that wait for a semi-synchronous replica hold up make_read_only(), and their clients'
  // sessions have been ended: makes them end without an answer to anybody and keeps new clients out;
  // admit_clients() undoes the latter.
  virtual Outcome release_waiting_commits(Connection&, core::Instant) { return {}; }
  virtual Outcome admit_clients(Connection&, core::Instant) { return {}; }

  // Where to start from (empty: nothing to say) and from whom, for a stopped replica.
  virtual std::string set_start(const core::GtidSet& executed) const = 0;
  virtual Statement set_source(const Source& source) const = 0;
};

// By what the server called itself when it was connected to, "8.4.3" or "5.5.5-10.11.6-MariaDB-log". Kind
// unsupported for versions without the GTID replication that everything here rests on.
std::expected<std::unique_ptr<Dialect>, core::Failure> choose_dialect(const Connection& connection);

// Without the "5.5.5-" that MariaDB before 11.0 puts in front for the sake of old replicas; one of the
// libraries takes it away.
std::string_view plain_version(std::string_view version);
// "8.0.36-log" -> 80036, 0 when there is no number.
unsigned version_number(std::string_view version);

std::unique_ptr<Dialect> make_mariadb_dialect();
std::unique_ptr<Dialect> make_mysql_dialect(unsigned version);

// How long a primary in mode `preferred` waits for a replica before it goes on without.
inline constexpr std::chrono::milliseconds preferred_semi_sync_timeout{2500};
// What waits longer than this waits for ever.
inline constexpr std::chrono::milliseconds long_semi_sync_timeout = std::chrono::hours(24);

}  // namespace pointsman::mysql
