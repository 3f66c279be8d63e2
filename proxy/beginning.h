#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/core/durable_state.h"
#include "health/io/descriptor.h"
#include "health/io/log.h"
#include "health/io/systemd.h"
#include "proxy/daemon.h"
#include "proxy/heartbeats.h"
#include "proxy/socket_file.h"
#include "proxy/state_dir.h"
#include "proxy/takeover.h"
#include "proxy/workers.h"

namespace pointsman::proxy {

// What is made before the daemon, in the order of its making; with a takeover, up to the moment from which
// nobody else decides. Before any loop runs; blocks.
struct Beginning {
  conf::Config config;
  DaemonStart start;
  io::Systemd systemd;
  std::vector<io::Descriptor> activated;  // by systemd
  std::shared_ptr<io::Log> log{};
  std::optional<Takeover> takeover{};
  std::optional<StateDir> state_dir{};
  core::DurableState stored{};
  std::expected<void, std::string> saved{};  // whether the state could be written just now
  std::unique_ptr<io::AuthKeyring> keys{};
  std::shared_ptr<Workers> workers{};
  // With a takeover alone: what has to be there before the other process stops deciding.
  std::optional<SocketFile> admin_place{};
  io::Descriptor admin_listener{};
  Heartbeats::Given links{};
  Takeover::Commit commit{};

  std::expected<void, std::string> prepare();
  std::expected<void, std::string> take_over();

 private:
  std::expected<void, std::string> prepare_state();
};

}  // namespace pointsman::proxy
