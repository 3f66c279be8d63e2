#include "health/setup/proof.h"

#include <random>

#include "health/mysql/boot_clock.h"
#include "health/mysql/command_runner.h"
#include "health/mysql/concat.h"

namespace pointsman::setup {
namespace {

using core::Failure;
using core::FailureKind;
using mysql::concat;

constexpr std::chrono::milliseconds slice{1000};
constexpr core::Duration longest_visible = std::chrono::seconds(10);
constexpr core::Duration look_pause = std::chrono::milliseconds(5);

// Not one that may be there from another time.
std::string nonce() {
  std::random_device random;
  return std::to_string((std::uint64_t{random()} << 20U) ^ random());
}

std::vector<std::string> make_statements(const std::string& number) {
  return {"CREATE DATABASE IF NOT EXISTS pointsman",
          "CREATE TABLE IF NOT EXISTS pointsman.proof (id BIGINT UNSIGNED PRIMARY KEY) ENGINE = InnoDB",
          concat("INSERT INTO pointsman.proof VALUES (", number, ")")};
}

constexpr const char* drop_table = "DROP TABLE IF EXISTS pointsman.proof";
constexpr const char* drop_schema = "DROP DATABASE pointsman";

// Somebody may have a schema of this name.
Outcome remove(Admin& primary) {
  const auto others = primary.value(
      "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'pointsman' AND "
      "TABLE_NAME <>"
      " 'proof') + (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'pointsman') +"
      " (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'pointsman')");
  if (!others) return std::unexpected(others.error());
  const auto there =
      primary.value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'pointsman'");
  if (!there || *there == "0") return there ? Outcome() : std::unexpected(there.error());
  if (auto done = primary.run(drop_table); !done || *others != "0") return done;
  return primary.run(drop_schema);
}

// MariaDB counts a transaction as executed when it is in the binary log, a moment before others can see it.
Outcome read_row(Admin& replica, const std::string& number) {
  const auto until = mysql::boot_now() + longest_visible;
  for (;;) {
    const auto row = replica.value(concat("SELECT COUNT(*) FROM pointsman.proof WHERE id = ", number));
    if (row && *row == "1") return {};
    if (!replica.is_open() || mysql::boot_now() > until || !replica.connection().pause(look_pause)) {
      return std::unexpected(
          Failure{FailureKind::server_error, 0,
                  concat(replica.name(),
                         ": has applied the primary's transactions, but the row that was written there"
                         " is not here: is something left out of replication by a filter? ",
                         row ? "" : row.error().text)});
    }
  }
}

}  // namespace

Outcome wait_caught_up(Admin& primary, Admin& replica, const Proof& proof) {
  const auto goal = primary.report();
  if (!goal) return std::unexpected(goal.error());
  const mysql::CommandRunner::Settings settings{{}, replica.endpoint().account.user, {}};
  mysql::CommandRunner runner(replica.session(), settings);
  auto moved = mysql::boot_now();
  std::uint64_t missing = 0;
  for (;;) {
    const auto done = runner(core::WaitApplied{goal->executed, slice});
    if (done) return {};
    if (done.error().kind != FailureKind::timeout || !replica.is_open()) {
      return std::unexpected(replica.hidden(done.error()));
    }
    const auto now = replica.report();
    if (!now) return std::unexpected(now.error());
    const auto left =
        now->executed.empty() ? goal->executed.count() : goal->executed.minus(now->executed).count();
    if (left != missing) moved = mysql::boot_now();
    missing = left;
    const bool receives = now->replica && now->replica->io == core::ReplicaStatus::Io::yes;
    if (now->replica && now->replica->io_errno != 0 && !receives) {
      return std::unexpected(Failure{FailureKind::server_error, now->replica->io_errno,
                                     concat(replica.name(), ": does not receive: ", now->replica->io_errno,
                                            " ", now->replica->io_error)});
    }
    if (mysql::boot_now() - moved > proof.longest_stall) {
      return std::unexpected(replica.hidden(done.error()));
    }
    if (proof.waiting) proof.waiting(replica.name(), missing);
  }
}

Outcome prove_replication(Admin& primary, const std::vector<Admin*>& replicas, const Proof& proof) {
  const std::string number = nonce();
  Outcome outcome = primary.run_all(make_statements(number));
  for (Admin* replica : replicas) {
    if (outcome) outcome = wait_caught_up(primary, *replica, proof);
    if (outcome) outcome = read_row(*replica, number);
  }
  const Outcome removed = remove(primary);
  if (outcome) outcome = removed;
  // Whoever looks next finds it gone everywhere.
  for (Admin* replica : replicas) {
    if (outcome) outcome = wait_caught_up(primary, *replica, proof);
  }
  return outcome;
}

std::vector<std::string> proof_statements() {
  auto list = make_statements("...");
  list.emplace_back(drop_table);
  list.emplace_back(drop_schema);
  return list;
}

}  // namespace pointsman::setup
