#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "conf/heartbeat_files.h"

// What was made of a Heartbeat installation, as the text of configuration files. Pure.
namespace pointsman::conf {

inline constexpr std::uint16_t imported_mysql_port = 3306;
inline constexpr std::string_view imported_authkeys_path = "/etc/pointsman/authkeys";

struct ImportedCluster {
  const HaCf& ha;  // both outlive this
  const std::string& ha_file;
  std::vector<std::string> names{};  // of the servers, one for each of ha.nodes, as frames carry them
  std::string proxy{};
  std::vector<HostPort> listen{};  // empty: every address of the proxy's host
  Heartbeat heartbeat{};
  Monitor monitor{};
  bool udp = false;
  bool failback = false;
};

// pointsman.toml, for the proxy's host. Where a value was taken from is said behind it.
std::string pointsman_toml(const ImportedCluster& imported);
// agent.toml, for the host of that server.
std::string agent_toml(const ImportedCluster& imported, std::size_t server);

}  // namespace pointsman::conf
