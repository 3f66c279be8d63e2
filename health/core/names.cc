#include <algorithm>
#include <array>
#include <iterator>

#include "health/core/command.h"
#include "health/core/server_report.h"

namespace pointsman::core {

const char* to_string(Flavour flavour) {
  return flavour == Flavour::mariadb ? "MariaDB" : "MySQL";
}

std::string why_no_proxy_header(const ServerReport& report) {
  if (report.takes_proxy_header) return {};
  const char* const wish = "proxy.proxy_protocol = \"v2\" sends it a header that it would refuse: ";
  return report.flavour == Flavour::mariadb
             ? std::string(wish) + "set its proxy_protocol_networks to the address of this host"
             : std::string(wish) + "MySQL has no PROXY protocol";
}

bool ReplicaStatus::killed_midway() const {
  constexpr unsigned inconsistent_data_errno = 1756;
  return !sql && sql_errno == inconsistent_data_errno;
}

bool ReplicaStatus::interrupted() const {
  // A lock that was not got in time, a deadlock; MariaDB: killed. Not 1317, an interrupted statement: it can
  // be that of the primary, which is in the binary log for good.
  static constexpr std::array<unsigned, 3> numbers = {1205, 1213, 1927};
  return killed_midway() || (!sql && std::ranges::find(numbers, sql_errno) != numbers.end());
}

const char* to_string(FailureKind kind) {
  switch (kind) {
    case FailureKind::refused:
      return "refused";
    case FailureKind::lost:
      return "lost";
    case FailureKind::timeout:
      return "timeout";
    case FailureKind::denied:
      return "denied";
    case FailureKind::too_many:
      return "too_many";
    case FailureKind::shutting_down:
      return "shutting_down";
    case FailureKind::not_mysql:
      return "not_mysql";
    case FailureKind::unreachable:
      return "unreachable";
    case FailureKind::server_error:
      return "server_error";
    case FailureKind::unsupported:
      return "unsupported";
  }
  return "?";
}

bool proves_life(FailureKind kind) {
  switch (kind) {
    case FailureKind::denied:
    case FailureKind::too_many:
    case FailureKind::shutting_down:
    case FailureKind::server_error:
    case FailureKind::unsupported:
      return true;
    default:
      return false;
  }
}

const char* name_of(const Command& command) {
  static constexpr const char* names[] = {
      "stop_receiving",  "resume_receiving", "start_applier",   "wait_applied",
      "promote",         "make_read_only",   "make_writable",   "set_semi_sync_source",
      "prompt_replicas", "follow",           "end_replication", "inspect",
      "survey",          "end_occupants",    "enable_events"};
  static_assert(std::size(names) == std::variant_size_v<Command>);
  return names[command.index()];
}

}  // namespace pointsman::core
