#include "conf/validate.h"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "conf/address.h"
#include "conf/duration.h"
#include "conf/schema.h"

namespace pointsman::conf {
namespace {

constexpr std::string_view keepalive_key = "heartbeat.keepalive";
constexpr std::string_view warntime_key = "heartbeat.warntime";
constexpr std::string_view deadtime_key = "heartbeat.deadtime";
constexpr std::string_view lease_key = "heartbeat.lease";
constexpr std::string_view interval_key = "monitor.interval";
constexpr std::string_view timeout_key = "monitor.timeout";

std::string backend_key(std::size_t i, std::string_view name) {
  return "backend[" + std::to_string(i) + "]." + std::string(name);
}
std::string element_key(const std::string& key, std::size_t i) {
  return key + "[" + std::to_string(i) + "]";
}

class Validator {
 public:
  Validator(const Config& config, const Positions& positions)
      : config_(config),
        positions_(positions),
        has_link_(std::ranges::any_of(config.backends, &Backend::has_agent)) {}

  std::vector<Problem> run() {
    check_times();
    check_limits();
    check_listeners();
    check_backends();
    check_promotable();
    check_links();
    check_command("fence.command", config_.fence.command);
    check_command("hooks.command", config_.hooks.command);
    check_hooks();
    return std::move(problems_);
  }

 private:
  using Keys = std::initializer_list<std::string_view>;

  void report(Keys where, std::string message) {
    problems_.push_back(positions_.problem(positions_.of(where), std::move(message)));
  }
  bool usable(Keys keys) const {
    return std::ranges::none_of(keys, [this](std::string_view key) { return positions_.bad(key); });
  }
  // "heartbeat.lease (800ms, the default)"
  std::string named(std::string_view key, Duration value) const {
    return std::string(key) + " (" + format_duration(value) +
           (positions_.written(key) ? ")" : ", the default)");
  }

  void check_times() {
    if (usable({deadtime_key, keepalive_key})) check_heartbeat_times();
    if (usable({deadtime_key, interval_key, timeout_key})) check_probe_times();
  }

  void check_heartbeat_times() {
    const Heartbeat& h = config_.heartbeat;
    if (h.deadtime <= h.keepalive) {
      report({deadtime_key, keepalive_key},
             named(deadtime_key, h.deadtime) + " must be longer than " + named(keepalive_key, h.keepalive));
      return;
    }
    if (usable({warntime_key}) && (has_link_ || positions_.written(warntime_key))) check_warntime();
    if (usable({lease_key}) && (has_link_ || positions_.written(lease_key)) && h.lease != 0ns) check_lease();
  }

  // The last answer of a server that always answers just in time is up to interval + timeout old.
  void check_probe_times() {
    const Monitor& m = config_.monitor;
    const Duration deadtime = config_.heartbeat.deadtime;
    if (m.interval + m.timeout <= deadtime) return;
    report({timeout_key, interval_key, deadtime_key},
           named(interval_key, m.interval) + " and " + named(timeout_key, m.timeout) +
               " together must not exceed " + named(deadtime_key, deadtime) +
               ": a server that answers just in time would be declared dead");
  }

  void check_warntime() {
    const Heartbeat& h = config_.heartbeat;
    const std::string warntime = named(warntime_key, h.warntime);
    if (h.warntime <= h.keepalive) {
      report({warntime_key, keepalive_key},
             warntime + " must be longer than " + named(keepalive_key, h.keepalive));
    }
    if (h.warntime >= h.deadtime) {
      report({warntime_key, deadtime_key},
             warntime + " must be shorter than " + named(deadtime_key, h.deadtime));
    }
  }

  // The proxy grants leases only while it hears the agent. When the primary falls silent, the last grant was
  // sent at most one keepalive after its last frame, so that lease + keepalive <= deadtime makes every lease
  // expire before the verdict `dead` falls: the promotion never has to wait for it.
  void check_lease() {
    const Heartbeat& h = config_.heartbeat;
    const std::string lease = named(lease_key, h.lease);
    const std::string keepalive = named(keepalive_key, h.keepalive);
    if (h.lease + h.keepalive > h.deadtime) {
      report({lease_key, deadtime_key, keepalive_key},
             lease + " and " + keepalive + " together must not exceed " + named(deadtime_key, h.deadtime) +
                 ": a primary that hears nothing must have stopped writing before another is promoted");
    }
    if (h.lease < 2 * h.keepalive) {
      report({lease_key, keepalive_key}, lease + " must be at least twice " + keepalive +
                                             ": one lost frame would stop a healthy primary");
    }
  }

  void check_limits() {
    const Proxy& p = config_.proxy;
    // A default max_held above a lowered max_connections does no harm; a written one promises what cannot be.
    if (!usable({"proxy.max_held", "proxy.max_connections"}) || !positions_.written("proxy.max_held")) return;
    if (p.max_held > p.max_connections) {
      report({"proxy.max_held"}, "proxy.max_held (" + std::to_string(p.max_held) +
                                     ") must not exceed proxy.max_connections (" +
                                     std::to_string(p.max_connections) +
                                     (positions_.written("proxy.max_connections") ? ")" : ", the default)"));
    }
  }

  void check_listeners() {
    const auto& listen = config_.proxy.listen;
    for (std::size_t i = 0; i < listen.size(); ++i) {
      const std::string key = element_key("proxy.listen", i);
      if (!usable({"proxy.listen"}) || listen[i].port == 0) continue;
      if (std::ranges::any_of(listen.begin(), listen.begin() + static_cast<std::ptrdiff_t>(i),
                              [&](const HostPort& earlier) { return same_endpoint(earlier, listen[i]); })) {
        report({key, "proxy.listen"}, "proxy.listen has " + to_string(listen[i]) + " twice");
        continue;
      }
      check_listener_against_backends(listen[i], key);
    }
    check_sockets();
    const auto metrics = parse_address(config_.admin.metrics);
    if (!metrics || metrics->port == 0 || !usable({"admin.metrics", "proxy.listen"})) return;
    if (std::ranges::any_of(listen, [&](const HostPort& a) { return same_endpoint(a, *metrics); })) {
      report({"admin.metrics", "proxy.listen"},
             "admin.metrics and proxy.listen are both " + to_string(*metrics));
    }
  }

  // Compared as text: what else names the same file is found when it is bound.
  void check_sockets() {
    const auto& sockets = config_.proxy.listen_unix;
    if (!usable({"proxy.listen_unix"})) return;
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      const std::string key = element_key("proxy.listen_unix", i);
      if (std::ranges::find(sockets, sockets[i]) != sockets.begin() + static_cast<std::ptrdiff_t>(i))
        report({key, "proxy.listen_unix"}, "proxy.listen_unix has " + sockets[i] + " twice");
      if (usable({"admin.socket"}) && sockets[i] == config_.admin.socket)
        report({key, "admin.socket"}, "proxy.listen_unix and admin.socket are both " + sockets[i]);
    }
  }

  static bool reaches(const HostPort& listener, const HostPort& target) {
    return same_endpoint(listener, target) || (listener.port == target.port && is_wildcard(listener) &&
                                               (is_loopback(target) || is_wildcard(target)));
  }

  void check_listener_against_backends(const HostPort& listener, const std::string& listen_key) {
    for (std::size_t i = 0; i < config_.backends.size(); ++i) {
      const std::string key = backend_key(i, "address");
      const HostPort& address = config_.backends[i].address;
      if (!usable({key}) || !reaches(listener, address)) continue;
      report({key, listen_key}, "backend.address " + to_string(address) + " is where proxy.listen " +
                                    to_string(listener) +
                                    " listens: Pointsman would relay clients to itself");
    }
  }

  // Each value once among all backends; the report names the one that has it already.
  template <class Value>
  class Unique {
   public:
    const std::string* owner(const Value& value, const std::string& backend) {
      const auto [found, added] = owners_.try_emplace(value, backend);
      return added ? nullptr : &found->second;
    }

   private:
    std::map<Value, std::string> owners_;
  };

  static std::string folded(const HostPort& address) {
    std::string text = to_string(address);
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
  }

  void check_backends() {
    Unique<std::string> names;
    Unique<std::string> addresses;
    Unique<std::string> udp;
    Unique<std::string> serials;
    for (std::size_t i = 0; i < config_.backends.size(); ++i) {
      const Backend& backend = config_.backends[i];
      const std::string who =
          "backend " + (backend.name.empty() ? std::to_string(i + 1) : quoted(backend.name));
      const auto once = [&](Unique<std::string>& seen, const std::string& value, const std::string& shown,
                            std::string_view name, const std::string& where) {
        const std::string key = backend_key(i, name);
        if (!usable({key}) || value.empty()) return;
        if (const std::string* owner = seen.owner(value, who)) {
          report({where, key}, "backend." + std::string(name) + " " + shown +
                                   (*owner == who ? " is there twice" : " is already that of " + *owner));
        }
      };
      once(names, backend.name, quoted(backend.name), "name", backend_key(i, "name"));
      if (backend.address.port != 0) {
        once(addresses, folded(backend.address), to_string(backend.address), "address",
             backend_key(i, "address"));
      }
      for (std::size_t n = 0; n < backend.udp.size(); ++n) {
        once(udp, folded(backend.udp[n]), to_string(backend.udp[n]), "udp",
             element_key(backend_key(i, "udp"), n));
      }
      if (backend.serial)
        once(serials, *backend.serial, quoted(*backend.serial), "serial", backend_key(i, "serial"));
    }
  }

  void check_promotable() {
    const auto& backends = config_.backends;
    if (backends.empty() || !std::ranges::all_of(backends, &Backend::never_promote)) return;
    const std::string last = backend_key(backends.size() - 1, "never_promote");
    if (usable({last}))
      report({last}, "backend.never_promote is true for every backend: none could ever be the primary");
  }

  void check_links() {
    if (!has_link_) return;
    const Heartbeat& h = config_.heartbeat;
    for (std::size_t i = 0; i < config_.backends.size(); ++i) {
      const Backend& backend = config_.backends[i];
      if (backend.serial) check_line(i, *backend.serial, backend.baud);
      for (std::size_t n = 0; n < backend.udp.size(); ++n) {
        if (!usable({"heartbeat.listen"}) || h.listen.port == 0 || !reaches(h.listen, backend.udp[n]))
          continue;
        report({element_key(backend_key(i, "udp"), n), backend_key(i, "udp")},
               "backend.udp " + to_string(backend.udp[n]) + " is where heartbeat.listen " +
                   to_string(h.listen) + " listens: Pointsman would hear itself");
      }
      if (!h.node.empty() && h.node == backend.name && usable({"heartbeat.node"})) {
        report({"heartbeat.node"},
               "heartbeat.node " + quoted(h.node) +
                   " is the name of a backend; it must name the host that Pointsman runs on");
      }
    }
    if (h.node.empty() && usable({"heartbeat.node"})) report_missing_node();
    check_names();
  }

  void report_missing_node() {
    for (std::size_t i = 0; i < config_.backends.size(); ++i) {
      if (!config_.backends[i].has_agent()) continue;
      const std::string udp = backend_key(i, "udp");
      const std::string serial = backend_key(i, "serial");
      report({udp, serial},
             "heartbeat.node is missing: it is mandatory as soon as a backend has `udp` or `serial`");
      return;
    }
  }

  void check_line(std::size_t i, const std::string& device, unsigned baud) {
    const std::string baud_key = backend_key(i, "baud");
    const Duration keepalive = config_.heartbeat.keepalive;
    if (!usable({baud_key, keepalive_key, backend_key(i, "serial")})) return;
    if (const std::string why = why_line_too_slow(baud, keepalive); !why.empty()) {
      report({baud_key, keepalive_key, backend_key(i, "serial")},
             "backend.serial " + quoted(device) + ": " + why);
    }
  }

  // A frame carries the sender's name.
  void check_names() {
    const auto too_long = [](const std::string& name) { return name.size() > max_node_name; };
    const std::string room = ": with agents a name has at most " + std::to_string(max_node_name) +
                             " characters, the room that a frame has for it";
    if (usable({"heartbeat.node"}) && too_long(config_.heartbeat.node))
      report({"heartbeat.node"}, "heartbeat.node " + quoted(config_.heartbeat.node) + room);
    for (std::size_t i = 0; i < config_.backends.size(); ++i) {
      const Backend& backend = config_.backends[i];
      if (backend.has_agent() && usable({backend_key(i, "name")}) && too_long(backend.name))
        report({backend_key(i, "name")}, "backend.name " + quoted(backend.name) + room);
    }
  }

  void check_command(const std::string& key, const std::vector<std::string>& command) {
    if (command.empty() || !usable({key})) return;
    if (command.front().starts_with('/')) return;
    report({element_key(key, 0), key},
           key + ": expected a program's absolute path first, found " +
               (command.front().empty() ? std::string("an empty text") : quoted(command.front())));
  }

  void check_hooks() {
    const Hooks& hooks = config_.hooks;
    if (hooks.command.empty() || !hooks.events.empty() || !usable({"hooks.command", "hooks.events"})) return;
    report({"hooks.events"}, "hooks.events is empty: hooks.command would never be run");
  }

  const Config& config_;
  const Positions& positions_;
  const bool has_link_;
  std::vector<Problem> problems_;
};

std::string faster_line(std::int64_t bits_per_second) {
  for (const auto& key : backend_keys()) {
    const auto* field = std::get_if<CountField<Backend>>(&key.field);
    if (field == nullptr) continue;
    for (const unsigned rate : field->allowed) {
      if (2 * bits_per_second <= rate) return ", or baud " + std::to_string(rate);
    }
  }
  return "";
}

}  // namespace

std::string why_line_too_slow(unsigned baud, Duration keepalive) {
  constexpr std::int64_t bits = std::int64_t{serial_frame_bytes} * serial_bits_per_byte;
  const std::int64_t bits_per_second = bits * 1'000'000'000 / keepalive.count();
  if (2 * bits_per_second <= baud) return "";
  const std::int64_t least_ms = (2 * bits * 1000 + baud - 1) / baud;
  return "a frame of " + std::to_string(serial_frame_bytes) + " bytes every " + format_duration(keepalive) +
         " takes " + std::to_string(bits_per_second) + " bits/s, " +
         std::to_string(bits_per_second * 100 / baud) + "% of " + std::to_string(baud) +
         " baud; at most 50% is allowed: heartbeat.keepalive must be at least " + std::to_string(least_ms) +
         "ms for this line" + faster_line(bits_per_second);
}

std::vector<Problem> validate(const Config& config, const Positions& positions) {
  return Validator(config, positions).run();
}

}  // namespace pointsman::conf
