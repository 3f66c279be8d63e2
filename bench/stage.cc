#include "bench/stage.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "tests/testbed/installation.h"

namespace pointsman::bench {

namespace fs = std::filesystem;
using testbed::Product;
using testbed::Server;

namespace {

using Outcome = std::expected<void, std::string>;

constexpr Stage::Millis start_timeout{30000};
constexpr Stage::Millis stage_look_pause{
    10};  // between two looks at the servers, which tell nobody of a change
constexpr std::chrono::seconds catch_up_timeout{60};
constexpr std::chrono::seconds rebuild_timeout{300};

Outcome fail(const Server& server, const std::string& what) {
  return std::unexpected(server.name() + ": " + what);
}

bool is_on(const std::string& value) {
  return value == "1" || value == "ON";
}

// The value of a status variable of which the two products have different names; "" when there is neither.
std::string status_of(testbed::Sql& sql, const std::string& mariadb, const std::string& mysql) {
  const auto row =
      sql.query("SHOW GLOBAL STATUS WHERE Variable_name IN ('" + mariadb + "', '" + mysql + "')");
  return row ? row->value("Value") : "";
}

Stage::LinkStates links_in(const nlohmann::json& backend) {
  Stage::LinkStates states;
  const auto links = backend.find("links");
  if (links == backend.end() || !links->is_object()) return states;
  for (const auto& [name, link] : links->items()) {
    if (const std::string state = link.value("state", ""); state != "off") states[name] = state;
  }
  return states;
}

bool all_alive(const Stage::LinkStates& links) {
  return std::ranges::all_of(links, [](const auto& link) { return link.second == "alive"; });
}

}  // namespace

const char* to_string(conf::SemiSync mode) {
  switch (mode) {
    case conf::SemiSync::required:
      return "required";
    case conf::SemiSync::preferred:
      return "preferred";
    case conf::SemiSync::off:
      return "off";
  }
  return "?";
}

std::expected<conf::SemiSync, std::string> parse_semi_sync(const std::string& name) {
  for (const auto mode : {conf::SemiSync::required, conf::SemiSync::preferred, conf::SemiSync::off}) {
    if (name == to_string(mode)) return mode;
  }
  return std::unexpected("no semi-sync mode '" + name + "'; one of: required, preferred, off");
}

std::expected<std::unique_ptr<Stage>, std::string> Stage::create(Options options) {
  std::unique_ptr<Stage> stage(new Stage(std::move(options)));
  if (auto started = stage->start(); !started) return std::unexpected(started.error());
  return stage;
}

namespace {

// Several clients' commits share one flush on the primary, and a replica that applies them one by one, with a
// flush each, falls behind without end. MySQL applies in parallel by default. And crash recovery keeps what
// was written, as it does by default and as the README advises: what it sheds of a commit that a client was
// told of is gone when the replica, which has it too, is killed at the same time.
std::vector<std::string> settings_of(const Stage::Options& options) {
  std::vector<std::string> lines;
  if (options.product == Product::mariadb)
    lines = {"slave_parallel_threads = 8", "slave_parallel_mode = optimistic", "init_rpl_role = MASTER"};
  lines.insert(lines.end(), options.settings.begin(), options.settings.end());
  return lines;
}

}  // namespace

Outcome Stage::start() {
  const Setup& setup = options_.setup;
  const auto toml = [](Millis time) { return testbed::toml_string(std::to_string(time.count()) + "ms"); };
  auto hosts = testbed::Hosts::create(
      {.product = options_.product,
       .network = setup.network,
       .agents = setup.agents,
       .udp = setup.udp,
       .serial = setup.serial,
       .baud = setup.baud,
       .times = setup.times,
       .ping_timeout = setup.ping_timeout,
       .semi_sync = options_.semi_sync,
       .semi_sync_servers = options_.semi_sync != conf::SemiSync::off,
       .threads = options_.threads,
       // A series of kills must not run into the limit that protects a production from flapping.
       .daemon_keys = testbed::merged(
           {{"failover", {{"max_in_window", "1000"}}},
            {"monitor", {{"interval", toml(setup.interval)}, {"timeout", toml(setup.timeout)}}}},
           options_.daemon_keys),
       .settings = settings_of(options_),
       .directory = options_.directory,
       .keep = options_.keep},
      start_timeout);
  if (!hosts) return std::unexpected("pointsman does not become steady: " + hosts.error());
  hosts_ = std::move(*hosts);
  table_ = cluster().accounts().database + ".writes";

  auto sql = hosts_->connect(cluster().accounts().application);
  if (!sql) return std::unexpected("through the proxy: " + sql.error().text);
  if (auto made = sql->execute(create_table_statement(table_)); !made) {
    return std::unexpected("through the proxy: " + made.error().text);
  }
  return wait_settled(0, start_timeout);
}

std::expected<std::size_t, std::string> Stage::find_primary() {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < cluster().size(); ++i) {
    auto sql = cluster().server(i).root();
    if (!sql) continue;
    const auto read_only = sql->scalar("SELECT @@GLOBAL.read_only");
    if (!read_only || is_on(*read_only)) continue;
    if (found) return std::unexpected("both servers accept writes");
    found = i;
  }
  if (!found) return std::unexpected("no server accepts writes");
  return *found;
}

Outcome Stage::check_primary(Server& server) {
  auto sql = server.root();
  if (!sql) return fail(server, sql.error().text);
  const auto read_only = sql->scalar("SELECT @@GLOBAL.read_only");
  if (!read_only) return fail(server, read_only.error().text);
  if (is_on(*read_only)) return fail(server, "should be the primary and is read-only");
  const auto replication = sql->query(testbed::show_replication(options_.product));
  if (!replication) return fail(server, replication.error().text);
  if (!replication->rows.empty()) return fail(server, "should be the primary and replicates from another");
  if (options_.semi_sync == conf::SemiSync::off) return {};
  if (!is_on(status_of(*sql, "Rpl_semi_sync_master_status", "Rpl_semi_sync_source_status")) ||
      status_of(*sql, "Rpl_semi_sync_master_clients", "Rpl_semi_sync_source_clients") == "0") {
    return fail(server, "semi-sync is not active on the primary");
  }
  return {};
}

Outcome Stage::check_replica(Server& server, const Server& source) {
  auto sql = server.root();
  if (!sql) return fail(server, sql.error().text);
  const auto read_only = sql->scalar("SELECT @@GLOBAL.read_only");
  if (!read_only) return fail(server, read_only.error().text);
  if (!is_on(*read_only)) return fail(server, "should be a replica and accepts writes");
  const auto status = sql->query(testbed::show_replication(options_.product));
  if (!status) return fail(server, status.error().text);
  if (status->rows.empty()) return fail(server, "should be a replica and replicates from nobody");
  const bool mariadb = options_.product == Product::mariadb;
  const std::string port = status->value(mariadb ? "Master_Port" : "Source_Port");
  if (port != std::to_string(source.address().port)) {
    return fail(server, "replicates from port " + port + ", not from " + source.name());
  }
  if (status->value(mariadb ? "Slave_IO_Running" : "Replica_IO_Running") != "Yes" ||
      status->value(mariadb ? "Slave_SQL_Running" : "Replica_SQL_Running") != "Yes") {
    return fail(server, "replication does not run: " + status->value("Last_IO_Error") + " " +
                            status->value("Last_SQL_Error"));
  }
  return {};
}

Outcome Stage::check_daemon(std::size_t primary) {
  const auto status = daemon().status();
  if (!status) return std::unexpected(status.error());
  const std::string name = cluster().server(primary).name();
  if (status->value("state", "") != "steady" || !(*status)["primary"].is_string() ||
      (*status)["primary"] != name) {
    return std::unexpected("pointsman is not steady with " + name + ": " + status->dump(1));
  }
  for (const auto& backend : (*status)["backends"]) {
    const std::string wanted = backend.value("name", "") == name ? "primary" : "replica";
    if (backend.value("role", "") != wanted || backend.value("verdict", "") != "up" ||
        !all_alive(links_in(backend))) {
      return std::unexpected("pointsman does not see " + backend.value("name", "") + " as a " + wanted +
                             " that is up: " + backend.dump(1));
    }
  }
  return {};
}

Outcome Stage::wait_settled(std::size_t primary, Millis timeout) {
  Server& source = cluster().server(primary);
  Server& replica = cluster().server(other(primary));
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    Outcome settled = check_primary(source);
    if (settled) settled = check_replica(replica, source);
    if (settled) settled = check_daemon(primary);
    if (settled) return cluster().wait_caught_up(replica, source, catch_up_timeout);
    if (Clock::now() >= deadline) {
      return std::unexpected("not settled within " + std::to_string(timeout.count()) +
                             " ms: " + settled.error() + "\nthe daemon's log says:\n" + daemon().log_tail());
    }
    std::this_thread::sleep_for(stage_look_pause);
  }
}

Outcome Stage::wait_primary(std::size_t primary, Millis timeout) {
  const std::string name = cluster().server(primary).name();
  const auto seen = daemon().wait_status(
      [&name](const nlohmann::json& status) {
        return status.contains("primary") && status["primary"] == name &&
               status.value("state", "") == "steady";
      },
      timeout);
  if (!seen) return std::unexpected(seen.error());
  return {};
}

nlohmann::json Stage::backend(std::size_t server) {
  const auto status = daemon().status();
  if (!status || !status->contains("backends")) return nlohmann::json::object();
  for (const auto& backend : (*status)["backends"]) {
    if (backend.value("name", "") == cluster().server(server).name()) return backend;
  }
  return nlohmann::json::object();
}

std::string Stage::role_of(std::size_t server) {
  return backend(server).value("role", "");
}

Stage::LinkStates Stage::links_of(std::size_t server) {
  return links_in(backend(server));
}

std::expected<Moment, std::string> Stage::wait_links(std::size_t server,
                                                     const std::function<bool(const LinkStates&)>& wanted,
                                                     Millis timeout) {
  const std::string name = cluster().server(server).name();
  const auto seen = daemon().wait_status(
      [&](const nlohmann::json& status) {
        return std::ranges::any_of(status.value("backends", nlohmann::json::array()),
                                   [&](const nlohmann::json& backend) {
                                     return backend.value("name", "") == name && wanted(links_in(backend));
                                   });
      },
      timeout);
  if (!seen) return std::unexpected(seen.error());
  return Clock::now();
}

Outcome Stage::rebuild(std::size_t index, std::size_t primary) {
  Server& server = cluster().server(index);
  // Under a fence an agent ends a server that it cannot log in to, as this one is until it has its accounts.
  if (hosts_->has_agent()) {
    if (auto stopped = hosts_->agent(index).stop(); !stopped) return std::unexpected(stopped.error());
  }
  server.kill();
  std::error_code error;
  fs::remove_all(server.data_directory(), error);
  if (error) return fail(server, "cannot remove its data: " + error.message());
  const auto installation = testbed::Installation::find(options_.product);
  if (!installation) return std::unexpected(installation.error());
  if (auto made = installation->make_data_directory(server.data_directory()); !made) return made;
  if (auto started = server.start(); !started) return started;

  // The primary still has the log of its first transaction, so replication itself brings everything, the
  // accounts included. Without a flush at each commit it does so in seconds.
  // MySQL leaves out what was first committed under the receiving server's own id, which here is just what is
  // missing; so it goes by another one meanwhile.
  std::string id;
  if (auto sql = server.root()) id = sql->scalar("SELECT @@global.server_id").value_or("");
  if (id.empty()) return fail(server, "its server_id cannot be read");
  const auto set_flushing = [&](bool on) -> Outcome {
    auto sql = server.root();
    if (!sql) return fail(server, sql.error().text);
    const std::string value = on ? "1" : "0";
    const auto set = sql->execute_all({"SET GLOBAL sync_binlog = " + value,
                                       "SET GLOBAL innodb_flush_log_at_trx_commit = " + value,
                                       "SET GLOBAL server_id = " + (on ? id : id + "000")});
    if (!set) return fail(server, set.error().text);
    return {};
  };
  if (auto done = set_flushing(false); !done) return done;
  if (auto done = cluster().follow(server, cluster().server(primary)); !done) return done;
  if (auto done = cluster().wait_caught_up(server, cluster().server(primary), rebuild_timeout); !done)
    return done;
  if (auto done = set_flushing(true); !done) return done;
  if (hosts_->has_agent()) {
    if (auto started = hosts_->agent(index).start(); !started) return started;
  }

  // The daemon looks a few times a second; an order to a server that it does not know to be back would be
  // refused.
  const auto seen = daemon().wait_status(
      [&](const nlohmann::json& status) {
        return std::ranges::any_of(status["backends"], [&](const auto& backend) {
          return backend["name"] == server.name() && backend["verdict"] == "up";
        });
      },
      Millis(20000));
  if (!seen) return fail(server, seen.error());
  const auto rejoined = daemon().command({"rejoin", server.name()});
  if (!rejoined) return std::unexpected(rejoined.error());
  if (rejoined->code != 0) return fail(server, "pointsman rejoin: " + rejoined->err);
  return {};
}

std::unique_ptr<Writer> Stage::start_writer(unsigned run, unsigned number, const Pace& pace,
                                            std::optional<Schedule> schedule) {
  return std::make_unique<Writer>(Writer::Options{.connect =
                                                      [this] {
                                                        const auto& accounts = cluster().accounts();
                                                        return hosts_->connect(accounts.application,
                                                                               accounts.database);
                                                      },
                                                  .table = table_,
                                                  .run = run,
                                                  .number = number,
                                                  .pace = pace,
                                                  .schedule = schedule});
}

Outcome Stage::look_up(std::size_t index, unsigned run, std::vector<std::vector<Commit>>& writers) {
  auto sql = cluster().server(index).root();
  if (!sql) return fail(cluster().server(index), sql.error().text);
  if (auto found = look_up_rows(*sql, table_, run, writers); !found)
    return fail(cluster().server(index), found.error());
  return {};
}

}  // namespace pointsman::bench
