#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "conf/agent_config.h"
#include "health/agent/server_control.h"
#include "health/copy/words.h"

namespace pointsman::agent {

// The programs of a copy, as the configuration or PATH has them.
std::string backup_program(const conf::AgentConfig& config);
std::string unpack_program(const conf::AgentConfig& config);

// "10.11.19" of `mariadb-backup --version`. Error: why it cannot be run.
std::expected<std::string, std::string> backup_version(const conf::AgentConfig& config);

// The local server, which must be the one whose @@datadir is `data`, so that nobody's data are taken for
// another's.
std::expected<LocalServer, std::string> expected_server(const conf::AgentConfig& config,
                                                        const std::string& data);

// What the files of a data folder weigh.
struct FolderBytes {
  std::uint64_t needed = 0;  // by a copy of it that a server runs on
  std::uint64_t copied = 0;  // of these: without what the server makes anew
};
// `logs` are the first parts of the names of binary and relay logs there, which no copy has, one a line.
FolderBytes folder_bytes(const std::string& folder, const std::string& logs);

// What `setup` is told before it decides for a copy this way: `node`, `version` of mariadb-backup, `bytes`
// that a copy needs, `copied` of them, `not_from` and `not_onto`: why the local server cannot be copied from
// or replaced, "" when it can.
copy::Words copy_facts(const conf::AgentConfig& config, const copy::Words& question);

// Why the data of `server` cannot be replaced by `bytes` of a copy; "": they can.
std::string why_not_replaced(const conf::AgentConfig& config, const LocalServer& server, std::uint64_t bytes);

}  // namespace pointsman::agent
