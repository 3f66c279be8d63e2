#pragma once

#include <functional>
#include <string>
#include <vector>

#include "health/core/time.h"
#include "health/setup/admin.h"

// That replication works is shown by a row: written on the primary, read on each replica, and removed again.
namespace pointsman::setup {

struct Proof {
  // Called now and then while a replica catches up: its name, and how many transactions it still lacks.
  std::function<void(const std::string& replica, std::uint64_t missing)> waiting;
  core::Duration longest_stall = std::chrono::minutes(2);  // without any progress of the replica
};

// The schema `pointsman`, and what is in it, are removed afterwards, also when it failed.
Outcome prove_replication(Admin& primary, const std::vector<Admin*>& replicas, const Proof& proof);

// Waits until `replica` has applied all that `primary` has at this moment.
Outcome wait_caught_up(Admin& primary, Admin& replica, const Proof& proof);

std::vector<std::string> proof_statements();

}  // namespace pointsman::setup
