// mysqlclient_check HOST:PORT USER PASSWORD: probes a server and commands it with whatever client library
// this was linked with, and says in plain lines what it saw. Built a second time against Oracle's library, in
// a tree of its own.
#include <charconv>
#include <cstdio>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <mysql.h>

#include "health/mysql/commander.h"
#include "health/mysql/prober.h"

namespace pointsman {
namespace {

constexpr std::chrono::seconds patience{20};

void print_report(const char* what, const std::expected<core::ServerReport, core::Failure>& outcome) {
  if (!outcome) {
    std::printf("%s failed: %s: %s\n", what, core::to_string(outcome.error().kind),
                outcome.error().text.c_str());
    return;
  }
  std::printf("%s ok: %s %s read_only=%d\n", what,
              outcome->flavour == core::Flavour::mariadb ? "mariadb" : "mysql", outcome->version.c_str(),
              outcome->read_only ? 1 : 0);
}

std::optional<mysql::ProbeResult> probe(const conf::HostPort& address, const conf::Account& account) {
  std::promise<mysql::ProbeResult> first;
  auto arrived = first.get_future();
  bool told = false;  // the sink is called on one thread
  const mysql::Prober prober(
      {.address = address, .account = account, .interval = std::chrono::hours(1), .timeout = patience},
      [&](mysql::ProbeResult result) {
        if (std::exchange(told, true)) return;
        first.set_value(std::move(result));
      });
  if (arrived.wait_for(patience * 2) != std::future_status::ready) return std::nullopt;
  return arrived.get();
}

std::optional<core::CommandResult> command(const conf::HostPort& address, const conf::Account& account,
                                           core::Command what) {
  std::promise<core::CommandResult> done;
  auto arrived = done.get_future();
  mysql::Commander commander(
      {.address = address, .monitor = account, .replication = {}, .connect_timeout = patience},
      [&](core::CommandId, core::CommandResult result) { done.set_value(std::move(result)); });
  commander.submit(core::CommandId{1}, std::move(what));
  if (arrived.wait_for(patience * 2) != std::future_status::ready) return std::nullopt;
  return arrived.get();
}

int check(const conf::HostPort& address, const conf::Account& account) {
  std::printf("library %s\n", mysql_get_client_info());
  const auto probed = probe(address, account);
  if (!probed) return 2;
  print_report("probe", probed->outcome);
  if (!probed->outcome) return 1;
  for (auto& [name, what] :
       {std::pair<const char*, core::Command>("writable", core::MakeWritable{conf::SemiSync::off}),
        std::pair<const char*, core::Command>("read-only", core::MakeReadOnly{})}) {
    const auto done = command(address, account, what);
    if (!done) return 2;
    print_report(name, *done);
    if (!*done) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace pointsman

int main(int argc, char** argv) {
  const std::string_view address = argc == 4 ? argv[1] : "";
  const std::size_t colon = address.rfind(':');
  std::uint16_t port = 0;
  if (colon != std::string_view::npos) {
    std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  }
  if (port == 0) {
    std::fputs("usage: mysqlclient_check HOST:PORT USER PASSWORD\n", stderr);
    return 2;
  }
  return pointsman::check({std::string(address.substr(0, colon)), port},
                          {.user = argv[2], .password_file = "", .password = argv[3]});
}
