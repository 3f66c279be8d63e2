#include "proxy/cli/setup.h"

#include <algorithm>
#include <cstdlib>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <unistd.h>

#include "conf/loader.h"
#include "conf/secret.h"
#include "health/mysql/waker.h"
#include "health/setup/setup.h"
#include "proxy/cli/password_prompt.h"
#include "proxy/cli/render_setup.h"
#include "proxy/cli/setup_keeper.h"
#include "proxy/cli/signals.h"
#include "proxy/cli/terminal.h"

namespace pointsman::proxy::cli {
namespace {

void complain(const std::string& text) {
  write_all(STDERR_FILENO, "pointsman: " + text + "\n");
}

// "NAME=PATH" of servers that the configuration has.
std::expected<std::map<std::string, conf::HostPort>, std::string> sockets_of(const Invocation& invocation,
                                                                             const conf::Config& config) {
  std::map<std::string, conf::HostPort> sockets;
  for (const std::string& entry : invocation.admin_sockets) {
    const auto at = entry.find('=');
    const std::string name = entry.substr(0, at);
    const auto known = std::ranges::any_of(config.backends, [&](const auto& b) { return b.name == name; });
    if (!known) return std::unexpected("--admin-socket: no server " + name + " is in the configuration");
    sockets[name] = {entry.substr(at + 1), 0};
  }
  return sockets;
}

// Over a Unix socket the server usually knows who we are; by the network a password is needed.
std::expected<conf::Account, std::string> admin_of(const Invocation& invocation, bool by_network) {
  conf::Account admin{
      .user = invocation.admin_user, .password_file = invocation.admin_password_file, .password = ""};
  if (!admin.password_file.empty()) {
    auto password = conf::read_secret(admin.password_file);
    if (!password) return std::unexpected(admin.password_file + ": " + password.error());
    admin.password = std::move(*password);
  } else if (by_network && is_terminal(STDIN_FILENO)) {
    auto password = ask_password("Password of " + printable(admin.user) + " on the servers: ");
    if (!password) return std::unexpected("no password was given");
    admin.password = std::move(*password);
  }
  return admin;
}

std::expected<setup::SetupOrder, std::string> order_of(const Invocation& invocation,
                                                       const conf::Config& config) {
  auto sockets = sockets_of(invocation, config);
  if (!sockets) return std::unexpected(sockets.error());
  auto admin = admin_of(invocation, sockets->size() < config.backends.size());
  if (!admin) return std::unexpected(admin.error());
  setup::Wishes wishes{.primary = invocation.name,
                       .overwrite = {invocation.overwrite.begin(), invocation.overwrite.end()},
                       .daemons_primary = ""};
  return setup::SetupOrder{.admin = std::move(*admin),
                           .admin_addresses = std::move(*sockets),
                           .wishes = std::move(wishes),
                           .account_host = invocation.account_host,
                           .dry_run = invocation.dry_run,
                           .restart_timeout = invocation.restart_timeout};
}

using Result = std::expected<setup::SetupDone, std::vector<std::string>>;

// The work has a thread of its own, so that this one can hear signals.
Result run_with_signals(setup::Setup& setup, Signals& signals, mysql::Waker& cancel) {
  Result result = std::unexpected(std::vector<std::string>{});
  mysql::Waker done;
  std::thread worker([&] {
    result = setup.run();
    done.ring();
  });
  bool asked = false;
  constexpr std::chrono::milliseconds long_time = std::chrono::hours(1);
  for (;;) {
    const auto wake = signals.wait(long_time, done.fd());
    if (wake == Signals::Wake::key) break;
    if (wake == Signals::Wake::stop) signals.stop_here();
    if (wake != Signals::Wake::end) continue;
    if (asked) std::_Exit(static_cast<int>(ExitStatus::refused));
    asked = true;
    complain("ending, after tidying up (once more: at once) ...");
    cancel.ring();
  }
  worker.join();
  return result;
}

}  // namespace

ExitStatus set_up(const Invocation& invocation) {
  const auto config = conf::load(invocation.config);
  if (!config) {
    for (const conf::Problem& problem : config.error())
      write_all(STDERR_FILENO, conf::to_string(problem) + "\n");
    return ExitStatus::refused;
  }
  SetupKeeper keeper(invocation.socket.empty() ? config->admin.socket : invocation.socket);
  auto daemons_primary = keeper.primary();
  if (!daemons_primary) {
    complain(daemons_primary.error());
    return ExitStatus::refused;
  }
  auto order = order_of(invocation, *config);
  if (!order) {
    complain(order.error());
    return ExitStatus::refused;
  }
  order->wishes.daemons_primary = *daemons_primary;

  Signals signals;
  mysql::Waker cancel;
  SetupTeller teller(style_of(STDOUT_FILENO), is_terminal(STDOUT_FILENO), invocation.json);
  setup::Setup setup(*config, std::move(*order), teller, keeper, cancel);
  const auto result = run_with_signals(setup, signals, cancel);
  if (result) {
    teller.tell_done(*result);
  } else {
    teller.tell_failed(result.error());
  }
  teller.tell_notes(keeper.left());
  return result ? ExitStatus::done : ExitStatus::refused;
}

}  // namespace pointsman::proxy::cli
