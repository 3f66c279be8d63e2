#pragma once

#include <cstddef>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "tests/testbed/agent.h"
#include "tests/testbed/cluster.h"
#include "tests/testbed/daemon.h"
#include "tests/testbed/network.h"
#include "tests/testbed/serial_line.h"

namespace pointsman::testbed {

// A whole installation: the daemon on one host, a server and an agent on each database host, heartbeats over
// eth0 and over a serial line from each database host to the proxy's. Everything ends with it. One thread at
// a time, but any number of threads may be connect()ed or inside() a host.
//
//            eth0, a switch
//      +----------+----------+
//    proxy       db1        db2 ...
//      |  +-------+          |
//      +---serial lines------+
//
// With a network (for root) each host is a network namespace and its cable can be cut. Without one they are
// all on 127.0.0.1, on free ports: the same programs, servers and serial lines, but what needs a cable is
// refused with a sentence. Processes are one pid space in both: an agent sees the other host's server in
// /proc, and so never says `absent`.
class Hosts {
 public:
  struct Times {  // of [heartbeat]
    Millis keepalive{100};
    Millis warntime{400};
    Millis deadtime{1000};
    Millis lease{800};
  };
  struct Options {
    Product product = Product::mariadb;
    unsigned databases = 2;
    bool network = true;
    bool agents = true;  // without them there are no links either
    bool udp = true;
    bool serial = true;
    unsigned baud = 19200;
    Times times{};
    Millis ping_timeout{500};  // the agents'
    conf::SemiSync semi_sync = conf::SemiSync::preferred;
    bool semi_sync_servers = false;  // they boot with semi-sync whatever the mode, not with required alone
    unsigned threads = 1;            // proxy.threads
    Keys daemon_keys{};              // win over what we would write
    std::vector<std::string> settings{};  // further lines for each server's my.cnf
    std::filesystem::path directory{};    // "": a fresh one under the temporary directory
    bool keep = false;
    Accounts accounts{};
  };

  // All but start(): the servers replicate; files can still be changed.
  static std::expected<std::unique_ptr<Hosts>, std::string> prepare(Options options);
  // prepare(), start() and wait_ready().
  static std::expected<std::unique_ptr<Hosts>, std::string> create(Options options,
                                                                   Millis timeout = Millis(30000));

  ~Hosts();
  Hosts(const Hosts&) = delete;
  Hosts& operator=(const Hosts&) = delete;

  std::expected<void, std::string> start();  // the agents and the daemon; returns at once
  // Until the daemon is steady and hears every agent over every link. Error: the last status, and all logs.
  std::expected<void, std::string> wait_ready(Millis timeout);

  // What each authkeys file says.
  static std::string authkeys();

  const Options& options() const { return options_; }
  Cluster& cluster() { return *cluster_; }
  Daemon& daemon() { return *daemon_; }
  std::size_t size() const { return cluster_->size(); }  // of database hosts; db1 is number 0
  Server& server(std::size_t db) { return cluster_->server(db); }
  const std::string& name(std::size_t db) { return server(db).name(); }
  bool has_agent() const { return !agents_.empty(); }
  Agent& agent(std::size_t db) { return *agents_.at(db); }
  SerialLine& line(std::size_t db) { return *lines_.at(db); }     // its side a is the proxy's
  Network* network() { return network_.get(); }                   // nullptr: none
  const conf::HostPort& heartbeat() const { return heartbeat_; }  // where the daemon hears agents by UDP
  const std::filesystem::path& directory() const { return directory_.path(); }
  // The ends of all logs, for people.
  std::string story(std::size_t lines = 60) const;

  // A client on the proxy's host, through the daemon; and one on the server's own host that goes round the
  // daemon. Any thread.
  std::expected<Sql, SqlError> connect(const Login& login, const std::string& database = "") const;
  std::expected<Sql, SqlError> connect_round(std::size_t db, const Login& login,
                                             const std::string& database = "") const;

  using Done = std::expected<void, std::string>;
  // The cable of eth0. For all that says eth0: error without a network.
  Done cut_eth0(std::size_t db, Network::Cut how = Network::Cut::unplugged);
  Done mend_eth0(std::size_t db);
  // Both wires of the serial line.
  void cut_serial(std::size_t db);
  void mend_serial(std::size_t db);
  // Both.
  Done cut_off(std::size_t db);
  Done mend(std::size_t db);
  // Silently, between the databases only: replication stops, the proxy reaches both.
  Done cut_replication(std::size_t db, std::size_t other);
  Done mend_replication(std::size_t db) { return mend_eth0(db); }
  // The proxy's eth0 and all serial lines.
  Done isolate_proxy();
  Done mend_proxy();

  // A dead host: first its links, then, at once, all that runs on it. Without a network its processes stand
  // still instead, as the end of a process is visible on loopback.
  Done kill_host(std::size_t db);
  // A host that boots: links mended, the agent without a memory, agent and server started side by side.
  // Returns when the server answers.
  Done start_host(std::size_t db);

 private:
  Hosts(Options options, TempDirectory directory)
      : options_(std::move(options)), directory_(std::move(directory)) {}
  Done build();
  Done build_cluster();
  Done build_agents();
  Done build_daemon();
  Done need_network(const char* what) const;
  std::optional<Network::Inside> enter(const std::string& host) const;
  bool has_links() const { return options_.agents && (options_.udp || options_.serial); }
  std::string address_of(const std::string& host) const;
  std::filesystem::path namespace_of(const std::string& host) const;

  Options options_;
  TempDirectory directory_;
  std::unique_ptr<Network> network_;
  std::vector<PortLease> leases_;  // of UDP ports, without a network
  conf::HostPort heartbeat_;       // where the daemon hears heartbeats
  std::unique_ptr<Cluster> cluster_;
  std::vector<std::unique_ptr<SerialLine>> lines_;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::unique_ptr<Daemon> daemon_;  // ends first
};

}  // namespace pointsman::testbed
