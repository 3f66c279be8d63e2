#include "conf/heartbeat_import.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "conf/config.h"
#include "conf/duration.h"
#include "conf/file.h"
#include "conf/heartbeat_toml.h"
#include "conf/validate.h"

namespace pointsman::conf {
namespace {

// What Pointsman's keys may be; see conf/schema.cc.
constexpr Duration min_keepalive = 10ms;
constexpr Duration max_keepalive = 10s;
constexpr Duration max_deadtime = 10min;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

bool is_node_name(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= max_node_name && std::ranges::all_of(text, good);
}

Duration whole_ms(Duration d) {
  return std::chrono::floor<std::chrono::milliseconds>(d);
}

struct ResourceAdvice {
  std::string_view type;  // in lower case
  std::string_view text;
};

constexpr std::string_view service =
    "Pointsman neither starts nor stops the database server: enable it on every database host to start at "
    "boot, with "
    "read_only=1 in its configuration";
constexpr std::string_view disk =
    "a disk that is mounted on one host only has no place here: each server has its own data directory, kept "
    "alike by "
    "replication";
constexpr std::array resource_advice{
    ResourceAdvice{"mysql", service},
    ResourceAdvice{"mysqld", service},
    ResourceAdvice{"mariadb", service},
    ResourceAdvice{"mysql.server", service},
    ResourceAdvice{"mysql-server", service},
    ResourceAdvice{"filesystem", disk},
    ResourceAdvice{"lvm", disk},
    ResourceAdvice{"drbddisk", disk},
    ResourceAdvice{"drbdupper", disk},
    ResourceAdvice{"raid1", disk},
    ResourceAdvice{"icp", disk},
    ResourceAdvice{"mailto",
                   "watch `pointsman events --follow --json` or the metrics with what sends your alarms"},
    ResourceAdvice{"sendarp", "nothing to do: the address does not move any more"},
    ResourceAdvice{"ipsrcaddr", "nothing to do: the address does not move any more"},
};

std::string advice_on_resource(const std::string& type) {
  const auto* found = std::ranges::find(resource_advice, lower(type), &ResourceAdvice::type);
  if (found != resource_advice.end()) return std::string(found->text);
  return "nobody starts it any more: run it on each host as a systemd service, or beside the proxy if it has "
         "to be where "
         "the address is";
}

class Importer {
 public:
  Importer(const HaCf& ha, std::string ha_file, const HaResources& resources, std::string resources_file,
           const AuthKeys& keys)
      : ha_(ha),
        ha_file_(std::move(ha_file)),
        resources_(resources),
        resources_file_(std::move(resources_file)),
        keys_(keys) {}

  std::expected<HeartbeatImport, std::vector<Problem>> run() {
    read_nodes();
    check_resource_nodes();
    if (!problems_.empty()) return std::unexpected(std::move(problems_));
    fit_times();
    read_media();
    read_failback();
    for (const HaCf::Other& other : ha_.others) {
      const std::string values = other.values.empty() ? "" : " " + other.values;
      note(other.directive.at, "`" + other.directive.text + values +
                                   "`: " + std::string(advice_on_directive(other.directive.text)));
    }
    read_resources();
    read_keys();
    result_.pointsman_toml = pointsman_toml(imported_);
    for (std::size_t i = 0; i < imported_.names.size(); ++i)
      result_.agents.push_back({imported_.names[i], agent_toml(imported_, i)});
    std::ranges::stable_sort(result_.notes, [this](const Problem& a, const Problem& b) {
      return std::tuple(rank(a), a.line, a.column) < std::tuple(rank(b), b.line, b.column);
    });
    return std::move(result_);
  }

 private:
  int rank(const Problem& note) const {
    return note.file == ha_file_ ? 0 : note.file == resources_file_ ? 1 : 2;
  }
  void note(Position at, std::string text) {
    result_.notes.push_back({ha_file_, at.line, at.column, std::move(text)});
  }
  void resource_note(Position at, std::string text) {
    result_.notes.push_back({resources_file_, at.line, at.column, std::move(text)});
  }
  void problem(Position at, std::string text) {
    problems_.push_back({ha_file_, at.line, at.column, std::move(text)});
  }

  // Names as the frames carry them: a longer one is cut at its first dot.
  void read_nodes() {
    if (ha_.nodes.size() < 2) {
      problem(ha_.nodes.empty() ? Position{} : ha_.nodes.front().at,
              "one node: Pointsman needs at least two database servers");
    }
    if (ha_.nodes.size() > max_backends) {
      problem(ha_.nodes[max_backends].at, "more than " + std::to_string(max_backends) + " nodes");
      return;
    }
    for (const Word& node : ha_.nodes) {
      std::string name = node.text;
      if (name.size() > max_node_name) name = name.substr(0, name.find('.'));
      if (!is_node_name(name)) {
        problem(node.at, "node " + quoted(node.text) +
                             " does not fit: a name has 1 to 16 characters out of A-Z, a-z, "
                             "0-9, '.', '_' and '-'");
      } else if (std::ranges::find(imported_.names, name) != imported_.names.end()) {
        problem(node.at,
                "node " + quoted(node.text) + " would have the name " + quoted(name) + " of another");
      }
      if (name != node.text) {
        note(node.at, "node " + quoted(node.text) + " is called " + quoted(name) +
                          " now: names have 16 characters at most");
      }
      imported_.names.push_back(std::move(name));
    }
    imported_.proxy =
        std::ranges::find(imported_.names, "proxy1") == imported_.names.end() ? "proxy1" : "pointsman";
  }

  void check_resource_nodes() {
    for (const HaResources::Group& group : resources_.groups) {
      const auto same = [&](const Word& node) { return lower(node.text) == lower(group.node.text); };
      if (std::ranges::any_of(ha_.nodes, same)) continue;
      problems_.push_back({resources_file_, group.node.at.line, group.node.at.column,
                           "node " + quoted(group.node.text) + " is not one of those in " + ha_file_});
    }
  }

  // Heartbeat's times, moved as little as the relations in conf/README.md demand.
  void fit_times() {
    const auto old = [&](const std::optional<HaCf::Time>& time, Duration otherwise) {
      return time ? whole_ms(time->value) : otherwise;
    };
    Heartbeat& h = imported_.heartbeat;
    h.deadtime = std::clamp<Duration>(old(ha_.deadtime, h.deadtime), 3 * min_keepalive + 20ms, max_deadtime);
    const Duration slowest_line = frame_time();
    // Where only deadtime is given, as where only keepalive is, the other one follows.
    h.keepalive = old(ha_.keepalive, std::min<Duration>(h.keepalive, whole_ms(h.deadtime / 4)));
    h.keepalive = std::clamp(std::max(h.keepalive, slowest_line), min_keepalive, max_keepalive);
    if (h.deadtime < 3 * h.keepalive)
      h.keepalive = std::max({slowest_line, min_keepalive, whole_ms(h.deadtime / 4)});
    if (h.deadtime < 3 * h.keepalive) h.deadtime = 3 * h.keepalive;
    h.warntime = old(ha_.warntime, h.keepalive + whole_ms((h.deadtime - h.keepalive) / 3));
    if (h.warntime <= h.keepalive || h.warntime >= h.deadtime) {
      h.warntime = h.keepalive + whole_ms((h.deadtime - h.keepalive) / 3);
    }
    h.lease = std::max<Duration>(2 * h.keepalive,
                                 std::min<Duration>(h.deadtime - h.keepalive, whole_ms(h.deadtime * 4 / 5)));
    imported_.monitor.timeout = std::min<Duration>(imported_.monitor.timeout, whole_ms(h.deadtime * 5 / 8));
    imported_.monitor.interval = std::min<Duration>(imported_.monitor.interval, whole_ms(h.deadtime / 4));
    say_changed("keepalive", ha_.keepalive, h.keepalive);
    say_changed("warntime", ha_.warntime, h.warntime);
    say_changed("deadtime", ha_.deadtime, h.deadtime);
    if (ha_.deadtime && h.deadtime > 1s) {
      note(ha_.deadtime->at,
           "`deadtime` " + format_duration(h.deadtime) +
               " is kept; it is how long a dead host stays "
               "unnoticed, and Pointsman's own default is 1s (with keepalive 100ms, warntime 400ms, lease "
               "800ms)");
    }
  }

  void say_changed(const std::string& name, const std::optional<HaCf::Time>& old, Duration now) {
    if (!old || old->value == now) return;
    note(old->at, "`" + name + "` " + format_duration(old->value) + " becomes " + format_duration(now) +
                      ", so that a heartbeat fits the line and a lease fits between keepalive and deadtime");
  }

  // The least keepalive that every serial line carries: a frame may take half of it.
  Duration frame_time() const {
    Duration longest{};
    for (const HaCf::Serial& serial : ha_.serials) {
      const std::int64_t ns =
          std::int64_t{2} * serial_frame_bytes * serial_bits_per_byte * 1'000'000'000 / serial.baud;
      longest = std::max(longest, Duration(std::chrono::ceil<std::chrono::milliseconds>(Duration(ns))));
    }
    return longest;
  }

  void read_media() {
    imported_.heartbeat.listen.port = ha_.udp_port;
    imported_.udp = !ha_.networks.empty() || ha_.serials.empty();
    if (ha_.networks.empty() && ha_.serials.empty()) {
      note({}, "no medium, neither serial nor bcast, ucast or mcast: UDP to the nodes' names is assumed");
    }
    for (const Word& late : ha_.too_late) {
      note(late.at,
           "`" + late.text + "`: no medium that it could be for stands behind it, so it had no effect");
    }
    for (const HaCf::Network& network : ha_.networks) network_note(network);
    if (imported_.udp && ha_.networks.size() > 1) {
      note(ha_.networks[1].interface.at,
           "several networks: backend.udp may be an array with a host's address in each of them");
    }
    if (ha_.serials.empty()) {
      note({}, "no serial line: with one, a cut of the network is told from a dead host; see backend.serial");
      return;
    }
    note(ha_.serials.front().device.at,
         "the cable joined the database hosts; now one goes from the proxy's host to each of them: "
         "backend.serial is a "
         "device of the proxy's host, `serial` in agent.toml one of the database host. Check both");
    if (ha_.serials.size() > 1) {
      note(ha_.serials[1].device.at, "a second line between two hosts has no counterpart: an agent has one");
    }
  }

  void network_note(const HaCf::Network& network) {
    const Position at = network.interface.at;
    switch (network.kind) {
      case HaCf::Network::Kind::ucast:
        return note(
            at, "`ucast` " + network.interface.text + " " + network.peer +
                    ": backend.address and backend.udp have the node's name instead; if names are not in the "
                    "proxy host's /etc/hosts or DNS, put the addresses there");
      case HaCf::Network::Kind::bcast:
        return note(
            at, "`bcast` " + network.interface.text +
                    ": heartbeats are sent to backend.udp now, to the node's name; if names are not in the "
                    "proxy host's /etc/hosts or DNS, put the addresses there");
      case HaCf::Network::Kind::mcast:
        return note(at,
                    "`mcast` " + network.interface.text + " " + network.peer +
                        ": there is no multicast; heartbeats are sent to backend.udp, to the node's name");
    }
  }

  void read_failback() {
    if (!ha_.failback) return;
    const HaCf::Failback& f = *ha_.failback;
    using Meaning = HaCf::Failback::Meaning;
    imported_.failback = f.meaning == Meaning::on;
    const std::string said = "`" + f.directive.text + " " + f.value + "`";
    if (f.directive.text == "nice_failback") {
      note(f.directive.at,
           said + ": taken as documented, so failover.failback = " + (imported_.failback ? "true" : "false") +
               "; Heartbeat 3.0.6 itself read it the other way round");
    } else if (f.meaning == Meaning::unclear) {
      note(f.directive.at, said + ": failover.failback = false, so a returned server stays a replica");
    } else if (imported_.failback) {
      note(f.directive.at,
           said +
               ": kept as failover.failback = true; each return of the old primary is a second "
               "interruption");
    }
  }

  void read_resources() {
    for (const HaResources::Group& group : resources_.groups) {
      for (const auto& resource : group.resources) {
        if (!resource.address) {
          resource_note(resource.at, "`" + resource.type + "`: " + advice_on_resource(resource.type));
          continue;
        }
        HostPort listen{resource.address->host, imported_mysql_port};
        if (std::ranges::find(imported_.listen, listen) != imported_.listen.end()) continue;
        if (imported_.listen.size() == 16) {
          resource_note(resource.at, "more than 16 addresses: " + listen.host + " is left out");
          continue;
        }
        resource_note(resource.at,
                      "address " + listen.host +
                          " is proxy.listen now: give it to the proxy's host for good "
                          "(in its network configuration), and take it away from the database hosts");
        imported_.listen.push_back(std::move(listen));
      }
    }
    if (resources_.groups.size() > 1 && std::ranges::any_of(resources_.groups, [&](const auto& g) {
          return g.node.text != resources_.groups.front().node.text;
        })) {
      resource_note(resources_.groups[1].node.at,
                    "several nodes own resources: there is one primary now, and every address leads to it");
    }
    if (!resources_.groups.empty()) {
      resource_note(
          resources_.groups.front().node.at,
          "node " + quoted(resources_.groups.front().node.text) +
              " was preferred: Pointsman takes who is primary from the servers; `pointsman switchover --to " +
              resources_.groups.front().node.text + "` moves the role");
    }
    if (imported_.listen.empty()) {
      resource_note({}, "no address: proxy.listen is 0.0.0.0:3306, every address of the proxy's host");
      resource_note({},
                    "put the address of the proxy's host into `proxies` of each agent.toml, where its name " +
                        quoted(imported_.proxy) + " stands now");
    }
  }

  void read_keys() {
    const auto say = [&](std::string text) { result_.notes.push_back({keys_.file, 0, 0, std::move(text)}); };
    say("its syntax is the same: copy it to " + std::string(imported_authkeys_path) +
        " on the proxy's host and on every database host, mode 0600, owned by the user that runs Pointsman");
    for (const std::string& warning : authkeys_warnings(keys_)) {
      const std::string prefix = keys_.file + ": ";  // which the note has anyway
      say(warning.starts_with(prefix) ? warning.substr(prefix.size()) : warning);
    }
  }

  const HaCf& ha_;
  const std::string ha_file_;
  const HaResources& resources_;
  const std::string resources_file_;
  const AuthKeys& keys_;

  HeartbeatImport result_;
  std::vector<Problem> problems_;
  ImportedCluster imported_{ha_, ha_file_};
};

template <class T>
std::expected<T, std::vector<Problem>> read_and_parse(
    const std::string& path,
    std::expected<T, std::vector<Problem>> (*parse)(std::string_view, const std::string&)) {
  const auto file = InputFile::open(path);
  if (!file) return std::unexpected(std::vector{Problem{path, 0, 0, file.error()}});
  const auto text = file->read(max_heartbeat_file);
  if (!text) return std::unexpected(std::vector{Problem{path, 0, 0, text.error()}});
  return parse(*text, path);
}

}  // namespace

std::expected<HeartbeatImport, std::vector<Problem>> import_heartbeat(const HaCf& ha_cf,
                                                                      const std::string& ha_cf_file,
                                                                      const HaResources& haresources,
                                                                      const std::string& haresources_file,
                                                                      const AuthKeys& keys) {
  return Importer(ha_cf, ha_cf_file, haresources, haresources_file, keys).run();
}

std::expected<HeartbeatImport, std::vector<Problem>> import_heartbeat_files(
    const std::string& ha_cf_file, const std::string& haresources_file, const std::string& authkeys_file) {
  const auto ha_cf = read_and_parse(ha_cf_file, parse_ha_cf);
  const auto haresources = read_and_parse(haresources_file, parse_haresources);
  const auto keys = load_authkeys(authkeys_file);
  std::vector<Problem> problems;
  const auto add = [&problems](const auto& result) {
    if (!result) problems.insert(problems.end(), result.error().begin(), result.error().end());
  };
  add(ha_cf);
  add(haresources);
  add(keys);
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return import_heartbeat(*ha_cf, ha_cf_file, *haresources, haresources_file, *keys);
}

}  // namespace pointsman::conf
