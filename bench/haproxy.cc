#include "bench/haproxy.h"

#include <chrono>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pointsman::bench {

namespace {

using testbed::Millis;

constexpr Millis start_timeout{60000};
constexpr Millis haproxy_look_pause{5};

// tests/install unpacks it into the cache where it is not installed, so that no service is started.
std::string find_program() {
  if (::access("/usr/sbin/haproxy", X_OK) == 0) return "/usr/sbin/haproxy";
  if (const auto cache = testbed::cache_directory()) {
    std::string unpacked = (*cache / "haproxy/usr/sbin/haproxy").string();
    if (::access(unpacked.c_str(), X_OK) == 0) return unpacked;
  }
  return "haproxy";
}

bool accepts(const conf::HostPort& address) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(address.port);
  target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0;
  ::close(fd);
  return connected;
}

}  // namespace

std::string haproxy_configuration(const conf::HostPort& listen, const conf::HostPort& server,
                                  unsigned threads, unsigned max_connections) {
  return "global\n"
         "  nbthread " +
         std::to_string(threads) +
         "\n"
         "  maxconn " +
         std::to_string(max_connections) +
         "\n"
         "defaults\n"
         "  mode tcp\n"
         "  timeout connect 1s\n"
         "  timeout client 1h\n"
         "  timeout server 1h\n"
         "  option clitcpka\n"
         "  option srvtcpka\n"
         "listen mysql\n"
         "  bind " +
         conf::to_string(listen) +
         "\n"
         "  server db " +
         conf::to_string(server) + "\n";
}

std::expected<std::unique_ptr<Haproxy>, std::string> Haproxy::start(const conf::HostPort& server,
                                                                    unsigned threads,
                                                                    unsigned max_connections,
                                                                    std::vector<std::string> under) {
  const std::string program = find_program();
  const auto told = testbed::run({.argv = {program, "-v"}}, start_timeout);
  if (!told) return std::unexpected(told.error() + "; tests/install bench gets it");
  auto directory = testbed::TempDirectory::create("haproxy");
  if (!directory) return std::unexpected(directory.error());
  auto listen = testbed::PortLease::pick();
  if (!listen) return std::unexpected(listen.error());
  std::unique_ptr<Haproxy> haproxy(new Haproxy(std::move(*directory), std::move(*listen)));
  haproxy->version_ = told->out.substr(0, told->out.find('\n'));
  haproxy->configuration_ = haproxy_configuration(haproxy->address(), server, threads, max_connections);
  const auto file = haproxy->directory_.path() / "haproxy.cfg";
  const auto log = haproxy->directory_.path() / "haproxy.log";
  if (auto written = testbed::write_file(file, haproxy->configuration_); !written) {
    return std::unexpected(written.error());
  }
  std::vector<std::string> argv = std::move(under);
  argv.insert(argv.end(), {program, "-db", "-f", file.string()});
  auto process = testbed::Process::start({.argv = argv, .output = log});
  if (!process) return std::unexpected(process.error());
  haproxy->process_ = std::move(*process);
  const auto deadline = std::chrono::steady_clock::now() + start_timeout;
  while (!accepts(haproxy->address())) {
    if (!haproxy->process_.running() || std::chrono::steady_clock::now() >= deadline) {
      return std::unexpected("haproxy does not accept connections:\n" + testbed::read_tail(log, 4096));
    }
    std::this_thread::sleep_for(haproxy_look_pause);
  }
  return haproxy;
}

}  // namespace pointsman::bench
