#include "conf/describe.h"

#include <algorithm>
#include <array>
#include <thread>

#include "conf/duration.h"

namespace pointsman::conf {
namespace {

constexpr std::size_t label_width = 13;

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string joined(const std::vector<HostPort>& addresses) {
  std::string list;
  for (const HostPort& address : addresses) list += (list.empty() ? "" : ", ") + to_string(address);
  return list;
}

// Lines under labels: the label stands before the first line of its paragraph only.
class Page {
 public:
  void line(const std::string& label, const std::string& text) {
    text_ += padded(label, label_width) + text + "\n";
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string joined_sockets(const std::vector<std::string>& paths) {
  std::string list;
  for (const std::string& path : paths) list += ", " + path;
  return list;
}

void describe_clients(const Proxy& proxy, Page& page) {
  page.line("clients", "connect to " + joined(proxy.listen) + joined_sockets(proxy.listen_unix) +
                           ", at most " + std::to_string(proxy.max_connections));
  const std::string workers =
      proxy.threads == 0
          ? "one worker thread per core (" + std::to_string(std::thread::hardware_concurrency()) + " here)"
          : std::to_string(proxy.threads) + (proxy.threads == 1 ? " worker thread" : " worker threads");
  page.line("", workers + (proxy.io_uring ? "" : ", not by io_uring") +
                    "; a server must accept a connection within " + format_duration(proxy.connect_timeout));
  if (proxy.hold_timeout == 0ns || proxy.max_held == 0) {
    page.line("", "get an error at once while no primary is routed");
  } else {
    page.line("", "are held up to " + format_duration(proxy.hold_timeout) +
                      " while no primary is routed, at most " + std::to_string(proxy.max_held) + "; then " +
                      std::to_string(proxy.release_rate) + " per second are let through");
  }
  if (proxy.proxy_protocol == ProxyProtocol::v2)
    page.line(
        "",
        "their address is told to the servers (PROXY protocol v2), which must be MariaDB with this host in "
        "proxy_protocol_networks");
  if (!proxy.proxy_protocol_from.empty()) {
    std::string list;
    for (const std::string& network : proxy.proxy_protocol_from) list += (list.empty() ? "" : ", ") + network;
    page.line("", "must begin with a PROXY protocol header from " + list + ", and may not from elsewhere");
  }
}

std::string links_of(const Backend& backend) {
  if (!backend.has_agent()) return "no agent";
  std::string text = "agent by ";
  if (!backend.udp.empty()) text += "udp " + joined(backend.udp);
  if (!backend.udp.empty() && backend.serial) text += " and ";
  if (backend.serial) text += "serial " + *backend.serial + " at " + std::to_string(backend.baud) + " baud";
  return text;
}

// What a change of primary makes of it, where that is not the usual.
std::string place_of(const Backend& backend) {
  if (backend.never_promote) return ", never promoted";
  if (backend.priority == Backend{}.priority) return "";
  return ", priority " + std::to_string(backend.priority);
}

void describe_backends(const Config& config, Page& page) {
  std::size_t name_width = 0;
  std::size_t address_width = 0;
  for (const Backend& backend : config.backends) {
    name_width = std::max(name_width, backend.name.size() + 2);
    address_width = std::max(address_width, to_string(backend.address).size() + 2);
  }
  for (const Backend& backend : config.backends) {
    page.line(&backend == config.backends.data() ? "backends" : "",
              padded(backend.name, name_width) + padded(to_string(backend.address), address_width) +
                  links_of(backend) + place_of(backend));
  }
}

void describe_detection(const Config& config, Page& page) {
  const Heartbeat& heartbeat = config.heartbeat;
  const bool agents = std::ranges::any_of(config.backends, &Backend::has_agent);
  page.line("detection", "each server is asked every " + format_duration(config.monitor.interval) +
                             " as user " + config.monitor.account.user + " and has " +
                             format_duration(config.monitor.timeout) + " to answer");
  page.line("", "a crashed primary is replaced once " + std::to_string(config.failover.refused_confirm) +
                    (config.failover.refused_confirm == 1 ? " reconnect is" : " reconnects in a row are") +
                    " refused");
  page.line("", "a silent primary is declared dead after " + format_duration(heartbeat.deadtime));
  if (!agents) return;
  page.line("", "agents send a heartbeat every " + format_duration(heartbeat.keepalive) + ", heard as " +
                    heartbeat.node + " on " + to_string(heartbeat.listen) + ", late after " +
                    format_duration(heartbeat.warntime));
  if (heartbeat.lease != 0ns) {
    page.line(
        "", "a primary whose agent hears nothing for " + format_duration(heartbeat.lease) + " stops writing");
  }
}

void describe_failover(const Config& config, Page& page) {
  const Failover& failover = config.failover;
  page.line("failover", failover.automatic ? "automatic, at most " + std::to_string(failover.max_in_window) +
                                                 " within " + format_duration(failover.window)
                                           : "only by command (pointsman failover)");
  page.line("", "a new primary first applies what it has received, for at most " +
                    format_duration(failover.catchup_timeout));
  page.line("", std::string("a returning server with transactions of its own is quarantined; any other ") +
                    (failover.failback ? "becomes primary again" : "stays a replica"));
  constexpr std::array semi_sync{"required: a commit is acknowledged only when a replica has it",
                                 "preferred: a commit waits for a replica while one is there",
                                 "off: a commit waits for no replica"};
  page.line("replication", "as user " + config.replication.account.user);
  page.line("",
            std::string("semi-sync ") + semi_sync.at(static_cast<std::size_t>(config.replication.semi_sync)));
  if (config.backends.size() > 2) {
    page.line("", std::string("a replica of a replica ") + (config.replication.chained == Chained::keep
                                                                ? "is left where it is"
                                                                : "is moved up to the primary"));
  }
  const bool agents = std::ranges::any_of(config.backends, &Backend::has_agent);
  std::string fence = agents && config.fence.kill_hung ? "agents kill a mysqld that hangs" : "";
  if (!config.fence.command.empty()) fence += (fence.empty() ? "" : "; ") + config.fence.command.front();
  page.line("fencing",
            fence.empty() ? (agents && config.heartbeat.lease != 0ns ? "by leases only" : "none") : fence);
}

void describe_hooks(const Hooks& hooks, Page& page) {
  if (hooks.command.empty()) return;
  std::string list;
  for (const std::string& kind : hooks.events) list += (list.empty() ? "" : ", ") + kind;
  page.line("hooks",
            hooks.command.front() + ", for at most " + format_duration(hooks.timeout) + ", on " + list);
}

void describe_daemon(const Config& config, Page& page) {
  constexpr std::array levels{"trace", "debug", "info", "warn", "error"};
  page.line("state", config.proxy.state_dir);
  page.line("admin",
            config.admin.socket + (config.admin.metrics.empty()
                                       ? ", no metrics"
                                       : ", metrics on http://" + config.admin.metrics + "/metrics"));
  page.line("log", std::string(levels.at(static_cast<std::size_t>(config.log.level))) + " and above, as " +
                       (config.log.format == LogFormat::json ? "json" : "text") + ", to " +
                       (config.log.file.empty() ? "standard error" : config.log.file));
}

}  // namespace

std::string summary(const Config& config) {
  Page page;
  describe_clients(config.proxy, page);
  describe_backends(config, page);
  describe_detection(config, page);
  describe_failover(config, page);
  describe_hooks(config.hooks, page);
  describe_daemon(config, page);
  return page.take();
}

}  // namespace pointsman::conf
