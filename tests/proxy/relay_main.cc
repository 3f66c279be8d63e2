// The data path alone: relays LISTEN to SERVER until it gets SIGINT or SIGTERM, for measurements of the
// relay.
//
//   relay_main 127.0.0.1:0 127.0.0.1:3306 2

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "health/io/address.h"
#include "health/io/loop.h"
#include "health/io/signal.h"
#include "proxy/workers.h"

namespace {

using namespace pointsman;

std::optional<conf::HostPort> host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  conf::HostPort parsed{std::string(text.substr(0, colon)), 0};
  const auto digits = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.port);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return parsed;
}

int relay(const conf::HostPort& listen, const io::Address& server, unsigned threads) {
  conf::Proxy options;
  options.listen = {listen};
  options.threads = threads;
  io::Loop loop;
  const io::Signal interrupt(loop, SIGINT, [&] { loop.stop(); });
  const io::Signal terminate(loop, SIGTERM, [&] { loop.stop(); });
  proxy::Workers workers({.proxy = options});
  if (const auto started = workers.start(); !started) {
    std::fprintf(stderr, "relay_main: %s\n", started.error().c_str());
    return EXIT_FAILURE;
  }
  auto route = std::make_shared<proxy::Route>();
  route->mode = proxy::Route::Mode::open;
  route->backend = core::BackendId{0};
  route->address = server.storage;
  route->address_length = server.length;
  workers.set_route(route);
  std::printf("%s\n", conf::to_string(workers.listening().front()).c_str());
  std::fflush(stdout);
  loop.run();
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  const auto listen = argc == 4 ? host_port(argv[1]) : std::nullopt;
  const auto to = argc == 4 ? host_port(argv[2]) : std::nullopt;
  const auto server = to ? io::Address::numeric(*to) : std::nullopt;
  if (!listen || !server) {
    std::fputs("usage: relay_main LISTEN:PORT SERVER:PORT THREADS\n", stderr);
    return 2;
  }
  return relay(*listen, *server, static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10)));
}
