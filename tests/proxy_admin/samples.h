#pragma once

#include <nlohmann/json.hpp>

// What a daemon answers, for tests of how it is shown.
namespace pointsman::proxy::testing {

// Two MariaDB servers, all well.
inline nlohmann::json steady_status() {
  return nlohmann::json::parse(R"({
    "version": "0.1.0", "state": "steady", "epoch": 4, "primary": "dbserv1", "automatic": true,
    "listen": ["0.0.0.0:3306"], "sessions": {"active": 12, "held": 0, "total": 340},
    "since_ms": 11567000, "uptime_s": 90000, "pid": 4242, "reason": "", "warnings": [],
    "backends": [
      {"name": "dbserv1", "address": "192.168.10.1:3306", "role": "primary", "verdict": "up", "why": "probe fresh",
       "server": "MariaDB 10.11.19-MariaDB-0+deb12u1-log",
       "probe": {"ok": true, "age_ms": 80, "latency_us": 412, "error": ""},
       "links": {"udp": {"state": "alive", "age_ms": 30}, "serial": {"state": "late", "age_ms": 450}},
       "replication": null, "read_only": false, "errant": [], "sessions": 12, "semi_sync_source": true,
       "executed": "0-1-4711"},
      {"name": "dbserv2", "address": "192.168.10.2:3306", "role": "replica", "verdict": "up", "why": "probe fresh",
       "server": "MariaDB 10.11.19-MariaDB-0+deb12u1-log",
       "probe": {"ok": true, "age_ms": 20, "latency_us": 1234, "error": ""},
       "links": {"udp": {"state": "off", "age_ms": null}, "serial": {"state": "off", "age_ms": null}},
       "replication": {"source": "dbserv1", "io": "yes", "sql": "yes", "lag_ms": 0, "gtid": "0-1-4711", "semi_sync": true},
       "read_only": true, "errant": [], "sessions": 0, "executed": "0-1-4711"}
    ]})");
}

inline nlohmann::json failover_event() {
  return nlohmann::json::parse(R"({
    "time": "2026-10-19T03:12:44.161Z", "kind": "failover", "epoch": 5, "message": "", "ok": true,
    "from": "dbserv1", "to": "dbserv2", "verdict": "crashed", "total_ms": 37.42,
    "steps": [{"name": "fence", "ms": 0.31}, {"name": "choose", "ms": 0.12, "note": "dbserv2 has all"},
              {"name": "catch up", "ms": 2.1}, {"name": "promote", "ms": 18.03}, {"name": "repoint", "ms": 0}],
    "lost": []})");
}

}  // namespace pointsman::proxy::testing
