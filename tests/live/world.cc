#include "tests/live/world.h"

#include <algorithm>
#include <set>
#include <thread>

namespace pointsman::live {

using namespace std::chrono_literals;

namespace {

// Commits wait for a replica; and each server has answered since the primary is known as such.
bool is_settled(const nlohmann::json& status) {
  return status["semi_sync"]["state"] == "on" && status["state"] == "steady" &&
         std::ranges::all_of(status["backends"], [&](const auto& backend) {
           return backend["probe"]["ok"] == true && backend["probe"]["age_ms"] < status["since_ms"];
         });
}

}  // namespace
using testbed::Server;

World World::make(testbed::Cluster::Options options, Keys keys,
                  const std::vector<std::map<std::string, std::string>>& of_backends) {
  World world;
  auto cluster = testbed::Cluster::create(std::move(options));
  if (!cluster) {
    ADD_FAILURE() << cluster.error();
    return world;
  }
  world.cluster = std::move(*cluster);
  auto root = world.db(0).root();
  if (root) (void)root->execute(table);
  auto daemon_options = testbed::Daemon::options_for(*world.cluster);
  for (auto& [section, values] : keys) {
    for (auto& [key, value] : values) daemon_options.keys[section][key] = value;
  }
  for (std::size_t i = 0; i < of_backends.size(); ++i) daemon_options.backends.at(i).keys = of_backends[i];
  auto daemon = testbed::Daemon::create(std::move(daemon_options));
  if (!daemon) {
    ADD_FAILURE() << daemon.error();
    world.cluster.reset();
    return world;
  }
  world.daemon = std::move(*daemon);
  return world;
}

std::string World::ask(Server& server, const std::string& sql) {
  auto root = server.root();
  if (!root) return "error: " + root.error().text;
  auto result = root->query(sql);
  return result ? result->scalar() : "error: " + result.error().text;
}

bool writable(Server& server) {
  auto root = server.root();
  if (!root) return false;
  auto result =
      root->query(server.product() == Product::mysql ? "SELECT @@global.super_read_only + @@global.read_only"
                                                     : "SELECT @@global.read_only");
  return result && result->scalar() == "0";
}

std::string why_not_following(Server& replica, const Server& source) {
  auto root = replica.root();
  if (!root) return root.error().text;
  auto status = root->query(testbed::show_replication(replica.product()));
  if (!status) return status.error().text;
  const bool mysql = replica.product() == Product::mysql;
  const std::string port = status->value(mysql ? "Source_Port" : "Master_Port");
  const std::string io = status->value(mysql ? "Replica_IO_Running" : "Slave_IO_Running");
  const std::string sql = status->value(mysql ? "Replica_SQL_Running" : "Slave_SQL_Running");
  if (port != std::to_string(source.address().port)) return replica.name() + " replicates from port " + port;
  if (io != "Yes" || sql != "Yes") {
    return replica.name() + " io=" + io + " sql=" + sql + " " + status->value("Last_IO_Error") +
           status->value("Last_SQL_Error");
  }
  return writable(replica) ? replica.name() + " accepts writes" : "";
}

void World::expect_in_order(const std::string& primary, testbed::Millis timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  const auto what_is_wrong = [&]() -> std::string {
    const auto status = daemon->status();
    if (!status) return status.error();
    if ((*status)["state"] != "steady" || (*status)["primary"] != primary) return "status: " + status->dump();
    Server* source = cluster->find(primary);
    if (!writable(*source)) return primary + " accepts no writes";
    for (std::size_t i = 0; i < cluster->size(); ++i) {
      if (&db(i) == source) continue;
      if (auto why = why_not_following(db(i), *source); !why.empty()) return why;
    }
    return "";
  };
  std::string wrong = what_is_wrong();
  while (!wrong.empty() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(20ms);
    wrong = what_is_wrong();
  }
  ASSERT_EQ(wrong, "") << story();
}

void World::expect_settled(testbed::Millis timeout) {
  const auto settled = daemon->wait_status(is_settled, timeout);
  EXPECT_TRUE(settled) << settled.error() << story();
}

void World::expect_nothing_in_the_way(testbed::Millis timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::string explained;
  do {
    const auto status = daemon->status();
    ASSERT_TRUE(status) << status.error();
    const auto done = daemon->command({"explain", "--json"});  // after the status: this says it of that
    ASSERT_TRUE(done) << done.error();
    explained = status->dump() + "\n" + done->out;
    const auto json = nlohmann::json::parse(done->out, nullptr, false);
    if (is_settled(*status) && json.is_object() && json["vetoes"].empty() && json["candidate"].is_string())
      return;
    std::this_thread::sleep_for(20ms);
  } while (std::chrono::steady_clock::now() < deadline);
  FAIL() << explained << story();
}

nlohmann::json World::last_event(const std::string& kind) const {
  const auto events = daemon->events();
  if (!events) return {};
  const auto found =
      std::find_if(events->rbegin(), events->rend(), [&](const auto& e) { return e["kind"] == kind; });
  return found != events->rend() ? *found : nlohmann::json();
}

bool World::replica_catches_up() {
  // In short waits: MariaDB's wait for a position does not notice one that is set, as when the daemon sets
  // the replica's role anew.
  for (int i = 0; i < 10; ++i) {
    if (cluster->wait_caught_up(db(1), db(0), std::chrono::seconds(2))) return true;
  }
  return false;
}

std::string World::story() const {
  return daemon ? "\n--- daemon\n" + daemon->log_tail(80) : "no daemon";
}

testbed::Sql World::hold_row(Server& replica) {
  const bool mysql = replica.product() == Product::mysql;
  auto root = replica.root();
  EXPECT_TRUE(root) << root.error().text;
  if (mysql) {
    EXPECT_EQ(ask(replica, "SET GLOBAL super_read_only = OFF"), "");
  }
  const auto held = root->execute_all({"BEGIN", "SELECT v FROM app.held WHERE id = 1 FOR UPDATE"});
  EXPECT_TRUE(held) << held.error().text;
  if (mysql) {
    EXPECT_EQ(ask(replica, "SET GLOBAL super_read_only = ON"), "");
  }
  return std::move(*root);
}

std::vector<int> World::missing(Server& server, const std::vector<int>& acknowledged) {
  std::vector<int> missing;
  auto root = server.root();
  auto rows = root ? root->query("SELECT id FROM app.`rows`") : std::unexpected(root.error());
  if (!rows) {
    ADD_FAILURE() << rows.error().text;
    return acknowledged;
  }
  std::set<int> there;
  for (const auto& row : rows->rows) there.insert(std::stoi(*row[0]));
  for (const int id : acknowledged) {
    if (!there.contains(id)) missing.push_back(id);
  }
  return missing;
}

std::string product_name(const testing::TestParamInfo<Product>& info) {
  return testbed::to_string(info.param);
}

}  // namespace pointsman::live
