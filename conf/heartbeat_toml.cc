#include "conf/heartbeat_toml.h"

#include <algorithm>
#include <optional>

#include "conf/duration.h"

namespace pointsman::conf {
namespace {

// A TOML string of what holds printable ASCII only.
std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// "/dev/ttyS0" with 1 added: "/dev/ttyS1"; nullopt when no number ends it.
std::optional<std::string> device_after(const std::string& device, std::size_t steps) {
  const std::size_t stem = device.find_last_not_of("0123456789") + 1;
  if (stem == device.size() || device.size() - stem > 6) return std::nullopt;
  return device.substr(0, stem) + std::to_string(std::stoul(device.substr(stem)) + steps);
}

// "# ha.cf:3", for who wonders where a value comes from.
std::string origin(const ImportedCluster& imported, const std::optional<HaCf::Time>& time) {
  if (!time) return "";
  std::string name = imported.ha_file.substr(imported.ha_file.find_last_of('/') + 1);
  std::ranges::replace_if(name, [](char c) { return c < ' ' || c > '~'; }, '?');
  return "   # " + name + ":" + std::to_string(time->at.line);
}

std::string backend_toml(const ImportedCluster& imported, std::size_t i) {
  const HaCf& ha = imported.ha;
  const std::string& host = ha.nodes[i].text;
  std::string out = "\n[[backend]]\nname = " + toml_text(imported.names[i]) + "\n";
  out += "address = " + toml_text(to_string(HostPort{host, imported_mysql_port})) + "\n";
  if (imported.udp) out += "udp = " + toml_text(to_string(HostPort{host, ha.udp_port})) + "\n";
  if (ha.serials.empty()) return out;
  const HaCf::Serial& line = ha.serials.front();
  const auto device = i == 0 ? line.device.text : device_after(line.device.text, i);
  if (!device)
    return out + "# serial = \"...\"   # the device here whose cable goes to " + imported.names[i] + "\n";
  return out + "serial = " + toml_text(*device) + "   # here; its cable goes to " + imported.names[i] +
         "\nbaud = " + std::to_string(line.baud) + "\n";
}

}  // namespace

std::string pointsman_toml(const ImportedCluster& imported) {
  const Heartbeat& h = imported.heartbeat;
  std::string out =
      "# Pointsman's configuration, made from a Heartbeat installation. For the proxy's host.\n\n[proxy]\n";
  out += "listen = [";
  if (imported.listen.empty()) out += toml_text(to_string(HostPort{"0.0.0.0", imported_mysql_port}));
  for (std::size_t i = 0; i < imported.listen.size(); ++i)
    out += (i > 0 ? ", " : "") + toml_text(to_string(imported.listen[i]));
  out += "]\n\n[monitor]\nuser = \"pointsman\"\npassword_file = \"/etc/pointsman/monitor.password\"\n";
  out += "interval = " + toml_text(format_duration(imported.monitor.interval)) + "\n";
  out += "timeout = " + toml_text(format_duration(imported.monitor.timeout)) + "\n";
  out += "\n[replication]\nuser = \"replica\"\npassword_file = \"/etc/pointsman/replica.password\"\n";
  out += "\n[heartbeat]\nnode = " + toml_text(imported.proxy) + "\n";
  out += "listen = " + toml_text(to_string(h.listen)) + "\n";
  out += "keepalive = " + toml_text(format_duration(h.keepalive)) + origin(imported, imported.ha.keepalive) +
         "\n";
  out +=
      "warntime = " + toml_text(format_duration(h.warntime)) + origin(imported, imported.ha.warntime) + "\n";
  out +=
      "deadtime = " + toml_text(format_duration(h.deadtime)) + origin(imported, imported.ha.deadtime) + "\n";
  out += "lease = " + toml_text(format_duration(h.lease)) + "\n";
  out += "authkeys = " + toml_text(imported_authkeys_path) + "\n";
  out += std::string("\n[failover]\nfailback = ") + (imported.failback ? "true" : "false") + "\n";
  for (std::size_t i = 0; i < imported.names.size(); ++i) out += backend_toml(imported, i);
  return out;
}

std::string agent_toml(const ImportedCluster& imported, std::size_t server) {
  const HaCf& ha = imported.ha;
  const std::string& name = imported.names[server];
  std::string out = "# The agent's configuration, made from a Heartbeat installation. For the host " + name +
                    ", as /etc/pointsman/agent.toml.\n\n[heartbeat]\n";
  out += "node = " + toml_text(name) + "\n";
  if (imported.udp) {
    out += "listen = " + toml_text(to_string(imported.heartbeat.listen)) + "\nproxies = [";
    const std::string proxy = imported.listen.empty() ? imported.proxy : imported.listen.front().host;
    out += toml_text(to_string(HostPort{proxy, ha.udp_port})) + "]\n";
  }
  if (!ha.serials.empty()) {
    out += "serial = " + toml_text(ha.serials.front().device.text) + "\n";
    out += "baud = " + std::to_string(ha.serials.front().baud) + "\n";
  }
  out += "keepalive = " + toml_text(format_duration(imported.heartbeat.keepalive)) + "\n";
  out += "authkeys = " + toml_text(imported_authkeys_path) + "\n";
  out +=
      "\n[mysql]\nsocket = \"/run/mysqld/mysqld.sock\"\nuser = \"pointsman\"\n"
      "password_file = \"/etc/pointsman/monitor.password\"\nping_timeout = \"500ms\"\n"
      "\n[fence]\nkill_hung = true\nkill_clients = true\n";
  return out;
}

}  // namespace pointsman::conf
