#pragma once

#include <expected>
#include <string>
#include <vector>

#include "conf/heartbeat_import.h"
#include "conf/problem.h"

namespace pointsman::proxy::cli {

struct ImportPaths {
  std::string ha_cf;
  std::string haresources;
  std::string authkeys;
  std::string output_dir;
  bool force = false;  // existing files may be replaced
};

struct Imported {
  std::vector<std::string> written;  // paths
  std::vector<conf::Problem> notes;  // see conf::HeartbeatImport
};

// Reads a Heartbeat installation and writes OUTPUT/pointsman.toml, for the proxy's host, and
// OUTPUT/NODE/agent.toml for each database host; folders are made. All or nothing, as far as that can be
// known before: nothing is written when one of the files exists (without `force`) or the old files are wrong.
// Each file appears complete or not at all. Blocks on the disk.
std::expected<Imported, std::vector<conf::Problem>> import_heartbeat(const ImportPaths& paths);

}  // namespace pointsman::proxy::cli
