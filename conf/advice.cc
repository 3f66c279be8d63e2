#include <algorithm>
#include <cerrno>

#include <sys/resource.h>
#include <unistd.h>

#include "conf/address.h"
#include "conf/describe.h"
#include "conf/duration.h"
#include "conf/file.h"

namespace pointsman::conf {
namespace {

using Advice = std::vector<std::string>;

constexpr Duration short_deadtime = 300ms;    // below it, a busy server is soon taken for a dead one
constexpr unsigned first_free_port = 1024;    // lower ones are the system's
constexpr unsigned descriptors_of_own = 100;  // beside two for each client: logs, probes, links, operators

void advise_on_agents(const Config& config, Advice& advice) {
  const auto has_agent = [](const Backend& backend) { return backend.has_agent(); };
  if (std::ranges::none_of(config.backends, has_agent)) {
    advice.emplace_back(
        "no backend has `udp` or `serial`: without agents only SQL silence tells that a primary hangs or is "
        "cut off, a "
        "dead host cannot be told from a broken network, and a primary that cannot be reached is not kept "
        "from writing");
    return;
  }
  for (const Backend& backend : config.backends) {
    if (!backend.has_agent()) {
      advice.push_back("backend " + backend.name +
                       " has no agent (`udp` or `serial`): as primary it is judged by SQL "
                       "silence alone, and not kept from writing when it cannot be reached");
    } else if (backend.udp.empty() || !backend.serial) {
      advice.push_back("backend " + backend.name + " has only one link (" +
                       (backend.serial ? "serial" : "udp") +
                       "): when it fails, a server that is cut off looks like a dead one");
    }
  }
  if (config.heartbeat.lease == 0ns) {
    advice.emplace_back(
        "heartbeat.lease = \"0s\": a primary that is cut off goes on writing while another is promoted");
  }
}

void advise_on_loss(const Config& config, Advice& advice) {
  const Failover& failover = config.failover;
  if (!failover.automatic) {
    advice.emplace_back(
        "failover.automatic = false: when the primary dies, clients wait until somebody runs "
        "`pointsman failover`");
  }
  if (failover.allow_loss) {
    advice.emplace_back(
        "failover.allow_loss = true: an automatic failover may lose commits that clients were told of");
  }
  if (config.replication.semi_sync == SemiSync::off) {
    advice.emplace_back(
        "replication.semi_sync = \"off\": a failover loses the commits that no replica had received yet");
  }
  if (failover.discard == Discard::always) {
    advice.emplace_back(
        "failover.discard = \"always\": a returning server throws away its own transactions, "
        "acknowledged ones too, without asking");
  }
  const auto promotable = std::ranges::count(config.backends, false, &Backend::never_promote);
  if (promotable == 1 && failover.automatic) {
    const auto only = std::ranges::find(config.backends, false, &Backend::never_promote);
    advice.push_back("every backend but " + only->name +
                     " has never_promote: when it dies as the primary, nobody takes over by itself");
  }
  if (failover.failback) {
    advice.emplace_back(
        "failover.failback = true: each failover is followed by a second change of primary when the old "
        "one returns");
  }
}

void advise_on_clients(const Config& config, Advice& advice) {
  const Proxy& proxy = config.proxy;
  if (proxy.hold_timeout == 0ns || proxy.max_held == 0) {
    advice.push_back(std::string(proxy.max_held == 0 ? "proxy.max_held = 0" : "proxy.hold_timeout = \"0s\"") +
                     ": new clients get an error during each failover instead of a short wait");
  }
  for (const std::string& network : proxy.proxy_protocol_from) {
    if (!network.ends_with("/0")) continue;
    advice.push_back("proxy.proxy_protocol_from has " + network +
                     ": anybody may claim to come from any address");
  }
  if (config.monitor.account.user == config.replication.account.user) {
    advice.push_back("monitor.user and replication.user are both " + config.monitor.account.user +
                     ": replicas then hold an account that may do far more than replicate");
  }
  if (config.heartbeat.deadtime < short_deadtime) {
    advice.push_back("heartbeat.deadtime = \"" + format_duration(config.heartbeat.deadtime) +
                     "\": a server that is only busy may be declared dead");
  }
  for (const Backend& backend : config.backends) {
    if (!backend.serial && backend.baud != Backend{}.baud) {
      advice.push_back("backend " + backend.name + " has `baud` without `serial`: it has no effect");
    }
  }
}

void advise_on_listeners(const Config& config, Advice& advice) {
  const bool agents = std::ranges::any_of(config.backends, &Backend::has_agent);
  const auto look = [&advice](const std::string& key, const HostPort& address) {
    if (address.port == 0) {
      advice.push_back(key + " " + to_string(address) + ": the kernel chooses another port at each start");
    } else if (address.port < first_free_port && ::geteuid() != 0) {
      advice.push_back(key + " " + to_string(address) +
                       ": a port below 1024 needs root or CAP_NET_BIND_SERVICE");
    }
  };
  for (const HostPort& address : config.proxy.listen) look("proxy.listen", address);
  if (agents) look("heartbeat.listen", config.heartbeat.listen);
  const auto metrics = parse_address(config.admin.metrics);
  if (!metrics) return;
  look("admin.metrics", *metrics);
  if (!is_loopback(*metrics)) {
    advice.push_back("admin.metrics " + to_string(*metrics) +
                     ": whoever reaches this address reads the metrics; there is no password");
  }
}

std::string parent_of(const std::string& path) {
  const std::string parent = path.substr(0, path.rfind('/'));
  return parent.empty() ? "/" : parent;
}

// "" when files can be made in `path`.
std::string directory_fault(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return errno == ENOENT ? "does not exist" : system_text(errno);
  if (!S_ISDIR(status.st_mode)) return "is not a directory";
  if (::access(path.c_str(), W_OK | X_OK) != 0)
    return "is not writable for user id " + std::to_string(::geteuid());
  return "";
}

void advise_on_host(const Config& config, Advice& advice) {
  if (const std::string fault = directory_fault(config.proxy.state_dir); !fault.empty()) {
    advice.push_back("proxy.state_dir " + config.proxy.state_dir + " " + fault +
                     ": nobody is promoted without a durable epoch");
  }
  if (const std::string fault = directory_fault(parent_of(config.admin.socket)); !fault.empty()) {
    advice.push_back("admin.socket: " + parent_of(config.admin.socket) + " " + fault +
                     ": the operator's commands would not reach the daemon");
  }
  if (!config.log.file.empty()) {
    if (const std::string fault = directory_fault(parent_of(config.log.file)); !fault.empty()) {
      advice.push_back("log.file: " + parent_of(config.log.file) + " " + fault);
    }
  }
  struct rlimit limit{};
  const rlim_t needed = rlim_t{2} * config.proxy.max_connections + descriptors_of_own;
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < needed) {
    advice.push_back("proxy.max_connections = " + std::to_string(config.proxy.max_connections) + " takes " +
                     std::to_string(needed) + " open files, the limit here is " +
                     std::to_string(limit.rlim_max) + " (ulimit -Hn, LimitNOFILE=)");
  }
}

}  // namespace

std::vector<std::string> advice(const Config& config) {
  Advice list;
  advise_on_agents(config, list);
  advise_on_loss(config, list);
  advise_on_clients(config, list);
  advise_on_listeners(config, list);
  advise_on_host(config, list);
  return list;
}

}  // namespace pointsman::conf
