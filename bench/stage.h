#pragma once

#include <chrono>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/gap.h"
#include "bench/scenario.h"
#include "bench/writer.h"
#include "tests/testbed/hosts.h"

namespace pointsman::bench {

const char* to_string(conf::SemiSync mode);
std::expected<conf::SemiSync, std::string> parse_semi_sync(const std::string& name);

// Two real servers, one following the other, and `pointsman run` in front of them, with agents and their
// links where the setup has them, and the writers' table made through it. What it says about roles it reads
// from the servers themselves, by their unix sockets, and not from the daemon. Everything ends with it. One
// thread at a time.
class Stage {
 public:
  using Millis = std::chrono::milliseconds;

  struct Options {
    testbed::Product product = testbed::Product::mariadb;
    conf::SemiSync semi_sync = conf::SemiSync::preferred;
    std::filesystem::path directory{};  // "": fresh ones under the temporary directory
    bool keep = false;
    unsigned threads = 1;                 // proxy.threads
    std::vector<std::string> settings{};  // further lines for each server's my.cnf, which win over ours
    Setup setup{};
    testbed::Keys daemon_keys{};  // win over what we would write
  };

  // Ready: steady, writable through the proxy, the table is there.
  static std::expected<std::unique_ptr<Stage>, std::string> create(Options options);

  testbed::Hosts& hosts() { return *hosts_; }
  testbed::Cluster& cluster() { return hosts_->cluster(); }
  testbed::Daemon& daemon() { return hosts_->daemon(); }
  testbed::Server& server(std::size_t i) { return hosts_->server(i); }
  const Options& options() const { return options_; }
  const std::string& table() const { return table_; }

  // The one server that accepts writes, of those that answer. Error: there is none, or more than one.
  std::expected<std::size_t, std::string> find_primary();
  static std::size_t other(std::size_t server) { return 1 - server; }

  // Until the servers say that `primary` alone is writable and follows nobody, that the other one is
  // read-only and follows it with both threads running (with semi-sync: and acknowledges), has applied all
  // that the primary has, and until the daemon says steady with the same primary and hears all agents. Error:
  // what is not so.
  std::expected<void, std::string> wait_settled(std::size_t primary, Millis timeout);
  // Until the daemon's word for it is `primary` and clients are let through.
  std::expected<void, std::string> wait_primary(std::size_t primary, Millis timeout);
  // A server as `status` has it; {}: no answer.
  nlohmann::json backend(std::size_t server);
  // The daemon's role for a server, "" when it does not answer.
  std::string role_of(std::size_t server);

  // The daemon's words for a server's links, those that are not off: {"udp", "alive"}; empty: no answer.
  using LinkStates = std::map<std::string, std::string>;
  LinkStates links_of(std::size_t server);
  // Until `wanted` holds of them; when that was.
  std::expected<Moment, std::string> wait_links(std::size_t server,
                                                const std::function<bool(const LinkStates&)>& wanted,
                                                Millis timeout);

  // Gives a server an empty data directory and makes it a replica of `primary` again, by hand: all that it
  // had is gone. For one with transactions that the primary does not have.
  std::expected<void, std::string> rebuild(std::size_t server, std::size_t primary);

  std::unique_ptr<Writer> start_writer(unsigned run, unsigned number, const Pace& pace,
                                       std::optional<Schedule> schedule = {});
  // Sets `server` of each commit of a run by the rows that a server has.
  std::expected<void, std::string> look_up(std::size_t server, unsigned run,
                                           std::vector<std::vector<Commit>>& writers);

 private:
  explicit Stage(Options options) : options_(std::move(options)) {}
  std::expected<void, std::string> start();
  std::expected<void, std::string> check_primary(testbed::Server& server);
  std::expected<void, std::string> check_replica(testbed::Server& server, const testbed::Server& source);
  std::expected<void, std::string> check_daemon(std::size_t primary);

  Options options_;
  std::string table_;
  std::unique_ptr<testbed::Hosts> hosts_;
};

}  // namespace pointsman::bench
