#pragma once

#include <expected>
#include <string>
#include <vector>

#include "conf/authkeys.h"
#include "conf/heartbeat_files.h"
#include "conf/problem.h"

// From a Linux-HA Heartbeat installation to Pointsman's configuration.
//
// Heartbeat moved an address between two database hosts; Pointsman owns that address on a host of its own,
// and the database hosts run its agent. So the virtual address becomes proxy.listen, each node a [[backend]]
// and a host with an agent, and what has no counterpart is said, one note each, with what to do about it.
namespace pointsman::conf {

struct HeartbeatImport {
  struct Agent {
    std::string node;  // the host that the file is for
    std::string text;  // its agent.toml
  };
  std::string pointsman_toml;
  std::vector<Agent> agents;  // in the order of ha.cf
  // Where it stands in the old files, and what to do: in the order ha.cf, haresources, authkeys.
  std::vector<Problem> notes;
};

// Pure. The files' names are for comments and messages. Problems: what Heartbeat itself would have refused,
// and what Pointsman cannot do (one node, more than max_backends, names that do not fit).
std::expected<HeartbeatImport, std::vector<Problem>> import_heartbeat(const HaCf& ha_cf,
                                                                      const std::string& ha_cf_file,
                                                                      const HaResources& haresources,
                                                                      const std::string& haresources_file,
                                                                      const AuthKeys& keys);

// Reads the three files and imports; the problems of all three come together. Blocks on files only.
std::expected<HeartbeatImport, std::vector<Problem>> import_heartbeat_files(
    const std::string& ha_cf_file, const std::string& haresources_file, const std::string& authkeys_file);

}  // namespace pointsman::conf
