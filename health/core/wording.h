#pragma once

#include <cstdint>
#include <string>

#include "health/core/server_report.h"

// Words that several sentences share.
namespace pointsman::core {

inline std::string transactions(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " transaction" : " transactions");
}

inline std::string why_applier_stopped(const ReplicaStatus& replica) {
  return "its SQL thread stopped with error " + std::to_string(replica.sql_errno) + ": " + replica.sql_error;
}

}  // namespace pointsman::core
