#include "tests/testbed/network.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "health/io/system_text.h"
#include "tests/testbed/process.h"

namespace pointsman::testbed {

using io::system_text;

namespace {

constexpr Millis tool_timeout{20000};
constexpr std::size_t max_hosts = 250;
constexpr std::size_t max_name = 12;  // "sw-" and this are an interface's name

std::filesystem::path path_of(int fd) {
  // Not /proc/self: other programs use it too.
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd);
}

int open_own_namespace() {
  return ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

// A namespace without a name, which lives as long as the descriptor or a process inside.
std::expected<int, std::string> make_namespace() {
  std::expected<int, std::string> made;
  std::thread([&made] {
    const int fd = ::unshare(CLONE_NEWNET) == 0 ? open_own_namespace() : -1;
    if (fd >= 0) {
      made = fd;
    } else {
      made = std::unexpected("cannot make a network namespace: " + system_text(errno));
    }
  }).join();
  return made;
}

std::expected<void, std::string> run_in(int where, std::vector<std::string> argv) {
  std::string shown;
  for (const std::string& word : argv) shown += (shown.empty() ? "" : " ") + word;
  const auto finished = run({.argv = std::move(argv), .network_namespace = path_of(where)}, tool_timeout);
  if (!finished) return std::unexpected(shown + ": " + finished.error());
  if (finished->code != 0) return std::unexpected(shown + ": " + finished->err + finished->out);
  return {};
}

bool good_name(const std::string& name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= max_name && std::ranges::all_of(name, good);
}

std::string address_of(unsigned number) {
  return "10.77.0." + std::to_string(number);
}

std::string port_of(const std::string& host) {
  return "sw-" + host;
}

// Filters in classic BPF, for `tc ... bpf direct-action bytecode`: 2 is TC_ACT_SHOT, and kernels without
// act_gact have this still.
constexpr const char* drop_all = "1,6 0 0 2";

// IPv4 with this address at this place of the Ethernet frame is dropped, the rest passes (TC_ACT_UNSPEC).
std::string drop_address(unsigned offset, unsigned number) {
  constexpr unsigned network = (10U << 24U) + (77U << 16U);
  return "6,40 0 0 12,21 0 3 2048,32 0 0 " + std::to_string(offset) + ",21 0 1 " +
         std::to_string(network + number) + ",6 0 0 2,6 0 0 4294967295";
}

constexpr unsigned source_offset = 26;
constexpr unsigned destination_offset = 30;

}  // namespace

std::string Network::why_not() {
  if (::geteuid() != 0) return "network namespaces are for root";
  const auto made = make_namespace();
  if (!made) return made.error();
  ::close(*made);
  return "";
}

std::expected<std::unique_ptr<Network>, std::string> Network::create(const std::vector<std::string>& hosts) {
  std::unique_ptr<Network> network(new Network);
  if (auto built = network->build(hosts); !built) return std::unexpected(built.error());
  return network;
}

Network::~Network() {
  for (const auto& [name, host] : hosts_) ::close(host.fd);
  if (switch_ >= 0) ::close(switch_);
}

std::expected<void, std::string> Network::build(const std::vector<std::string>& hosts) {
  if (hosts.empty() || hosts.size() > max_hosts) return std::unexpected("a network has 1 to 250 hosts");
  const auto made = make_namespace();
  if (!made) return std::unexpected(made.error());
  switch_ = *made;
  if (auto done = run_in(switch_, {"ip", "link", "add", "br0", "type", "bridge"}); !done) return done;
  if (auto done = run_in(switch_, {"ip", "link", "set", "br0", "up"}); !done) return done;
  for (const std::string& name : hosts) {
    if (!good_name(name) || hosts_.contains(name)) return std::unexpected("no good name for a host: " + name);
    const auto fd = make_namespace();
    if (!fd) return std::unexpected(fd.error());
    const auto number = static_cast<unsigned>(hosts_.size() + 1);
    hosts_[name] = {.fd = *fd, .number = number};
    const std::string port = port_of(name);
    const std::vector<std::pair<int, std::vector<std::string>>> steps{
        {switch_, {"ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", path_of(*fd)}},
        {switch_, {"ip", "link", "set", port, "master", "br0", "up"}},
        {*fd, {"ip", "link", "set", "lo", "up"}},
        {*fd, {"ip", "address", "add", address_of(number) + "/24", "dev", "eth0"}},
        {*fd, {"ip", "link", "set", "eth0", "up"}},
    };
    for (const auto& [where, argv] : steps) {
      if (auto done = run_in(where, argv); !done) return done;
    }
  }
  return {};
}

std::expected<Network::Host*, std::string> Network::find(const std::string& host) {
  const auto found = hosts_.find(host);
  if (found == hosts_.end()) return std::unexpected("no host " + host);
  return &found->second;
}

std::string Network::address(const std::string& host) const {
  const auto found = hosts_.find(host);
  return found == hosts_.end() ? "" : address_of(found->second.number);
}

std::filesystem::path Network::path(const std::string& host) const {
  const auto found = hosts_.find(host);
  return found == hosts_.end() ? std::filesystem::path("/nonexistent/" + host) : path_of(found->second.fd);
}

// On the switch's port, what the host sends is ingress and what is sent to it egress; "": all passes.
std::expected<void, std::string> Network::drop(const std::string& host, const std::string& from,
                                               const std::string& to) {
  const std::string port = port_of(host);
  if (auto done = run_in(switch_, {"tc", "qdisc", "add", "dev", port, "clsact"}); !done) return done;
  hosts_[host].filtered = true;
  for (const auto& [program, direction] : {std::pair(from, "ingress"), std::pair(to, "egress")}) {
    if (program.empty()) continue;
    auto done = run_in(switch_, {"tc", "filter", "add", "dev", port, direction, "bpf", "direct-action",
                                 "bytecode", program});
    if (!done) return done;
  }
  return {};
}

std::expected<void, std::string> Network::cut(const std::string& host, Cut how) {
  if (auto mended = mend(host); !mended) return mended;
  if (how != Cut::unplugged)
    return drop(host, how != Cut::to_host ? drop_all : "", how != Cut::from_host ? drop_all : "");
  if (auto done = run_in(switch_, {"ip", "link", "set", port_of(host), "down"}); !done) return done;
  hosts_[host].unplugged = true;
  return {};
}

std::expected<void, std::string> Network::cut_between(const std::string& host, const std::string& other) {
  const auto peer = find(other);
  if (!peer) return std::unexpected(peer.error());
  if (auto mended = mend(host); !mended) return mended;
  return drop(host, drop_address(destination_offset, (*peer)->number),
              drop_address(source_offset, (*peer)->number));
}

std::expected<void, std::string> Network::mend(const std::string& host) {
  const auto found = find(host);
  if (!found) return std::unexpected(found.error());
  if ((*found)->filtered) {
    if (auto done = run_in(switch_, {"tc", "qdisc", "del", "dev", port_of(host), "clsact"}); !done)
      return done;
    (*found)->filtered = false;
  }
  if ((*found)->unplugged) {
    if (auto done = run_in(switch_, {"ip", "link", "set", port_of(host), "up"}); !done) return done;
    (*found)->unplugged = false;
  }
  return {};
}

std::expected<Network::Inside, std::string> Network::inside(const std::string& host) const {
  const auto found = hosts_.find(host);
  if (found == hosts_.end()) return std::unexpected("no host " + host);
  const int before = open_own_namespace();
  if (before < 0) return std::unexpected("cannot open this thread's namespace: " + system_text(errno));
  Inside inside(before);
  if (::setns(found->second.fd, CLONE_NEWNET) != 0) {
    return std::unexpected("cannot enter " + host + ": " + system_text(errno));
  }
  return inside;
}

Network::Inside::Inside(Inside&& other) noexcept : before_(std::exchange(other.before_, -1)) {}

Network::Inside::~Inside() {
  if (before_ < 0) return;
  if (::setns(before_, CLONE_NEWNET) != 0) {
    // All that this thread does from here on would happen on the wrong host.
    std::fprintf(stderr, "cannot leave a network namespace: %s\n", system_text(errno).c_str());
    std::abort();
  }
  ::close(before_);
}

}  // namespace pointsman::testbed
