#include "proxy/beginning.h"

#include <algorithm>
#include <utility>

#include "conf/duration.h"
#include "health/io/udp_port.h"
#include "proxy/admin_server.h"

namespace pointsman::proxy {

std::expected<void, std::string> Beginning::prepare() {
  auto opened = io::Log::open(config.log);
  if (!opened) return std::unexpected(opened.error());
  log = std::move(*opened);
  if (start.takeover) {
    auto begun = Takeover::begin(config.proxy.state_dir);
    if (!begun) return std::unexpected(begun.error());
    takeover.emplace(std::move(*begun));
  }
  if (auto done = prepare_state(); !done) return done;
  if (std::ranges::any_of(config.backends, &conf::Backend::has_agent)) {
    auto loaded = load_keys(config.heartbeat.authkeys, *log);
    if (!loaded) return std::unexpected(loaded.error());
    keys = std::move(*loaded);
  }
  workers = std::make_shared<Workers>(Workers::Options{config.proxy, log.get()});
  return takeover ? take_over() : std::expected<void, std::string>();
}

std::expected<void, std::string> Beginning::prepare_state() {
  auto opened = takeover
                    ? StateDir::adopt(config.proxy.state_dir, std::move(takeover->inheritance().state_lock))
                    : StateDir::open(config.proxy.state_dir);
  if (!opened) return std::unexpected(opened.error());
  state_dir.emplace(std::move(*opened));
  auto loaded = state_dir->load();
  if (!loaded) return std::unexpected(loaded.error());
  stored = std::move(*loaded);
  if (takeover) return {};  // the other one may write it still
  // Proved now: without it there is no failover later. On a disk that is full since then the primary on
  // record is served nevertheless.
  saved = StateDir::save(state_dir->path(), stored);
  if (!saved && stored.primary.empty()) return std::unexpected(saved.error());
  return {};
}

// All that can fail comes before the commit.
std::expected<void, std::string> Beginning::take_over() {
  Inheritance& inheritance = takeover->inheritance();
  // We would take a lease for over that an agent still goes by.
  if (config.heartbeat.lease < inheritance.lease)
    return std::unexpected("heartbeat.lease becomes shorter, which takes a stop of the daemon for at least " +
                           conf::format_duration(inheritance.lease));
  if (auto bound = workers->bind(inheritance.service); !bound) return bound;
  if (inheritance.admin && inheritance.admin->path == config.admin.socket) {
    admin_place.emplace(std::move(inheritance.admin->file));
    admin_listener = std::move(inheritance.admin->socket);
    inheritance.admin.reset();
  } else {
    auto claimed = SocketFile::claim(config.admin.socket, admin_socket);
    if (!claimed) return std::unexpected(claimed.error());
    admin_place.emplace(std::move(*claimed));
    admin_listener = io::Descriptor(admin_place->release());
  }
  links.lines = std::move(inheritance.lines);
  const auto listen = io::Address::numeric(config.heartbeat.listen);
  const bool any_udp =
      std::ranges::any_of(config.backends, [](const conf::Backend& b) { return !b.udp.empty(); });
  if (any_udp && listen) {
    const auto& given = inheritance.udp;
    const bool same = given && given->address.host_port().host == listen->host_port().host &&
                      (listen->port() == 0 || listen->port() == given->address.port());
    if (same) {
      links.udp = std::move(inheritance.udp->socket);
    } else if (auto opened = io::open_udp(*listen)) {
      links.udp = std::move(*opened);
    } else {
      return std::unexpected("heartbeat.listen: " + opened.error());
    }
  }
  auto committed = takeover->commit();
  if (!committed) return std::unexpected(committed.error());
  commit = std::move(*committed);
  auto loaded = state_dir->load();  // as the other one left it
  if (!loaded) return std::unexpected(loaded.error());
  stored = std::move(*loaded);
  return {};
}

}  // namespace pointsman::proxy
