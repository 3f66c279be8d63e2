#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "health/core/controller.h"

namespace pointsman::core {

inline conf::Config two_backends(bool agents) {
  conf::Config config;
  config.replication.semi_sync = conf::SemiSync::required;
  for (const char* name : {"db1", "db2"}) {
    conf::Backend backend;
    backend.name = name;
    backend.address = {"192.0.2." + std::string(1, name[2]), 3306};
    if (agents) backend.udp = {{"192.0.2." + std::string(1, name[2]), 694}};
    config.backends.push_back(backend);
  }
  return config;
}

// A controller between two servers that say what they are told to say, five times a second.
struct Stand {
  static constexpr Duration period = std::chrono::milliseconds(200);
  static constexpr Duration query = std::chrono::milliseconds(1);

  explicit Stand(Flavour its_flavour, bool agents = false) : Stand(its_flavour, two_backends(agents)) {}
  Stand(Flavour its_flavour, const conf::Config& config) : flavour(its_flavour), controller(config, {}, now) {
    keep(controller.begin());
    for (auto* server : {&primary, &replica}) {
      server->flavour = flavour;
      server->version = "10.11.6";
      server->uptime = std::chrono::seconds(1000);
      server->log_bin = server->log_replica_updates = server->gtid_on = server->gtid_strict = true;
      server->semi_sync.available = true;
    }
    primary.server_id = 1;
    primary.server_uuid = "00000000-0000-0000-0000-000000000001";
    primary.read_only = false;
    auto& source = primary.semi_sync;
    source.source_enabled = source.source_active = source.source_insists = source.source_waits_alone = true;
    source.source_clients = 1;
    source.source_timeout = std::chrono::seconds(1000000);
    replica.server_id = 2;
    replica.sources = 1;
    replica.semi_sync.replica_enabled = replica.semi_sync.replica_active = true;
    replica.replica = ReplicaStatus{.source = {"192.0.2.1", 3306},
                                    .source_server_id = 1,
                                    .source_uuid = {},
                                    .io = ReplicaStatus::Io::yes,
                                    .sql = true,
                                    .io_error = {},
                                    .sql_error = {},
                                    .received = {},
                                    .lag = {},
                                    .by_gtid = true};
    commit(10);
    replicate(10);
  }
  GtidSet up_to(unsigned last) const {
    return *GtidSet::parse(flavour, flavour == Flavour::mariadb
                                        ? "0-1-" + std::to_string(last)
                                        : "00000000-0000-0000-0000-000000000001:1-" + std::to_string(last));
  }
  void commit(unsigned last) { primary.executed = up_to(last); }
  void replicate(unsigned last) { replica.executed = replica.replica->received = up_to(last); }

  void run_for(Duration time) {
    for (const Instant end = now + time; now < end;) {
      now += period;
      keep(controller.step(ProbeSucceeded{BackendId{0}, primary, now - query, now}, now));
      keep(controller.step(ProbeSucceeded{BackendId{1}, replica, now - query, now}, now));
    }
  }
  void keep(const Actions& actions) {
    for (const Action& action : actions) {
      if (const auto* store = std::get_if<StoreState>(&action)) stores.push_back(store->version);
      const auto* sent = std::get_if<SendCommand>(&action);
      if (sent == nullptr) continue;
      if (std::holds_alternative<PromptReplicas>(sent->command)) prompts.push_back(*sent);
      if (const auto* role = std::get_if<SetSemiSyncSource>(&sent->command))
        roles.emplace_back(sent->id, *role);
    }
    for (const auto version : std::exchange(stores, {})) keep(controller.step(StateStored{version, {}}, now));
  }

  Flavour flavour;
  Instant now{std::chrono::seconds(1000)};
  ServerReport primary;
  ServerReport replica;
  Controller controller;
  std::vector<decltype(StoreState::version)> stores;
  std::vector<SendCommand> prompts;
  std::vector<std::pair<CommandId, SetSemiSyncSource>> roles;  // ordered of the primary
};

}  // namespace pointsman::core
