#pragma once

#include <nlohmann/json.hpp>

#include "health/core/controller.h"
#include "health/core/history.h"
#include "health/core/time.h"
#include "proxy/former_processes.h"
#include "proxy/workers.h"

// The JSON of the contract, made from what the core and the workers know. Pure.
namespace pointsman::proxy {

class Heartbeats;

// "2026-01-02T03:04:05.678Z" of the wall clock's milliseconds since 1970.
std::string iso_time(std::int64_t unix_ms);

nlohmann::json event_json(const core::HistoryRecord& record, std::int64_t unix_ms);

struct StatusFacts {
  const core::Controller& controller;
  SessionCounts sessions;
  std::vector<conf::HostPort> listen;
  std::vector<std::string> listen_unix;
  core::Instant now;
  core::Duration uptime{};
  core::Duration in_state{};
  const Heartbeats* heartbeats = nullptr;  // null: no backend has an agent
  std::vector<FormerProcesses::Report> formers{};
  std::optional<core::Duration> drain_left{};  // nullopt: the daemon does not drain
};
nlohmann::json status_json(const StatusFacts& facts);
nlohmann::json explain_json(const core::Controller::Explanation& explanation);
nlohmann::json sessions_json(const std::vector<SessionInfo>& sessions, std::uint64_t total,
                             const core::Cluster& cluster);
nlohmann::json plan_json(const core::Reply& reply);

}  // namespace pointsman::proxy
