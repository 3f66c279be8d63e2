#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"
#include "tests/testbed/done.h"

// What goes wrong in the world outside: each time a clear message, and nothing lost.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Millis;

bool json_has(const nlohmann::json& value, const std::string& text) {
  return value.dump().find(text) != std::string::npos;
}

// Listens on 127.0.0.1 and answers every connection with the same bytes, or keeps silent.
class FalseServer {
 public:
  FalseServer(std::uint16_t port, std::string says) : says_(std::move(says)) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ok_ = ::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(fd_, 64) == 0;
    thread_ = std::thread([this] { serve(); });
  }
  ~FalseServer() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
    for (const int client : clients_) ::close(client);
  }
  FalseServer(const FalseServer&) = delete;
  FalseServer& operator=(const FalseServer&) = delete;
  bool ok() const { return ok_; }

 private:
  void serve() {
    for (int client = 0; (client = ::accept(fd_, nullptr, nullptr)) >= 0;) {
      clients_.push_back(client);
      (void)!::send(client, says_.data(), says_.size(), MSG_NOSIGNAL);
    }
  }

  int fd_ = -1;
  bool ok_ = false;
  std::string says_;
  std::vector<int> clients_;
  std::thread thread_;
};

// A wrong monitor password: the daemon runs and says so; access denied is life, not death, so nobody is
// promoted.
TEST(BadInput, WrongMonitorPassword) {
  auto cluster = testbed::Cluster::create({});
  ASSERT_TRUE(cluster.has_value()) << cluster.error();
  auto options = testbed::Daemon::options_for(**cluster);
  options.monitor.password = "wrong";
  auto daemon = testbed::Daemon::prepare(std::move(options));
  ASSERT_TRUE(daemon.has_value()) << daemon.error();
  ASSERT_TRUE((*daemon)->start().has_value());
  const auto status = (*daemon)->wait_status(
      [](const auto& s) {
        return s["backends"][0]["verdict"] == "degraded" && s["backends"][1]["verdict"] == "degraded";
      },
      Millis(soon));
  ASSERT_TRUE(status.has_value()) << status.error();
  EXPECT_EQ((*status)["state"], "no_primary");
  EXPECT_TRUE(json_has((*status)["backends"][0], "Access denied")) << status->dump();
  EXPECT_TRUE(json_has((*status)["warnings"], "Access denied")) << status->dump();

  // The right one is taken by a reload, without a restart.
  std::ofstream((*daemon)->directory() / "monitor.password")
      << (*cluster)->accounts().monitor.password << "\n";
  const auto reloaded = (*daemon)->command({"reload"});
  ASSERT_TRUE(reloaded.has_value() && reloaded->code == 0) << (reloaded ? reloaded->err : reloaded.error());
  const auto steady = (*daemon)->wait_steady(Millis(soon));
  EXPECT_TRUE(steady.has_value()) << steady.error();
}

// The monitor's password is changed on the primary behind our back: degraded, clients go on, no failover.
TEST(BadInput, MonitorLockedOutWhileRunning) {
  World world = World::make({});
  ASSERT_NE(world.daemon, nullptr);
  Writer writer(*world.daemon, *world.cluster);
  ASSERT_TRUE(writer.wait_for(20, soon));
  auto root = world.db(0).root();
  ASSERT_TRUE(root.has_value());
  ASSERT_TRUE(root->execute("ALTER USER pointsman@'%' IDENTIFIED BY 'changed'").has_value());
  const auto processes =
      root->query("SELECT id FROM information_schema.processlist WHERE user = 'pointsman'");
  ASSERT_TRUE(processes.has_value());
  for (const auto& row : processes->rows) (void)root->execute("KILL " + *row[0]);
  const auto status = world.daemon->wait_status(
      [](const auto& s) { return s["backends"][0]["verdict"] == "degraded"; }, Millis(soon));
  ASSERT_TRUE(status.has_value()) << status.error();
  EXPECT_EQ((*status)["primary"], "db1");
  ASSERT_TRUE(writer.wait_for(200, soon)) << writer.last_error();
  EXPECT_TRUE(world.last_event("failover").is_null());
  ASSERT_TRUE(root->execute("ALTER USER pointsman@'%' IDENTIFIED BY 'monitor-secret'").has_value());
  world.expect_in_order("db1");
}

// The monitor lacks a privilege, which is granted while the daemon runs: it needs no restart to be seen.
TEST(BadInput, PrivilegeIsGrantedLater) {
  World world = World::make({});
  ASSERT_NE(world.daemon, nullptr);
  auto root = world.db(0).root();
  ASSERT_TRUE(root.has_value());
  ASSERT_TRUE(root->execute("REVOKE SLAVE MONITOR ON *.* FROM pointsman@'%'").has_value());
  ASSERT_TRUE(root->execute("KILL USER pointsman").has_value());
  const auto lacks = world.daemon->wait_status(
      [](const auto& s) {
        return s["backends"][0]["verdict"] == "degraded" && json_has(s["backends"][0], "1227");
      },
      Millis(soon));
  EXPECT_TRUE(lacks.has_value()) << lacks.error() << world.story();
  ASSERT_TRUE(root->execute("GRANT SLAVE MONITOR ON *.* TO pointsman@'%'").has_value());
  world.expect_in_order("db1");
}

// The service address is taken: the daemon names it and does not start.
TEST(BadInput, PortInUse) {
  World world = World::make({});
  ASSERT_NE(world.daemon, nullptr);
  auto options = testbed::Daemon::options_for(*world.cluster);
  options.keys["proxy"]["listen"] = "[\"127.0.0.1:" + std::to_string(world.daemon->address().port) + "\"]";
  auto second = testbed::Daemon::prepare(std::move(options));
  ASSERT_TRUE(second.has_value()) << second.error();
  ASSERT_TRUE((*second)->start().has_value());
  for (int i = 0; i < 2000 && (*second)->running(); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_FALSE((*second)->running());
  EXPECT_NE((*second)->log().find("127.0.0.1:" + std::to_string(world.daemon->address().port)),
            std::string::npos)
      << (*second)->log();
  EXPECT_NE((*second)->log().find("in use"), std::string::npos) << (*second)->log();
  world.expect_in_order("db1");
}

// Something that is not MySQL takes the port of the dead replica, then of nobody's: the primary serves all
// the time.
TEST(BadInput, BackendThatIsNotMySql) {
  World world = World::make({});
  ASSERT_NE(world.daemon, nullptr);
  Writer writer(*world.daemon, *world.cluster);
  world.db(1).kill();
  const std::vector<std::pair<std::string, std::string>> speakers = {
      {"HTTP/1.1 400 Bad Request\r\n\r\n", "degraded"},
      {std::string(2000, '\xff'), "degraded"},
      {"", "dead"}};
  for (const auto& [says, verdict] : speakers) {
    const FalseServer server(world.db(1).address().port, says);
    ASSERT_TRUE(server.ok());
    const auto status = world.daemon->wait_status(
        [&, v = verdict](const auto& s) { return s["backends"][1]["verdict"] == v; }, Millis(soon));
    ASSERT_TRUE(status.has_value()) << verdict << ": " << status.error();
    EXPECT_EQ((*status)["primary"], "db1");
    EXPECT_FALSE((*status)["backends"][1]["probe"]["error"].get<std::string>().empty());
    ASSERT_TRUE(writer.wait_for(20, soon)) << writer.last_error();
  }
  ASSERT_TRUE(world.db(1).start().has_value());
  world.expect_in_order("db1");
}

// Both servers accept writes and nobody knows who is the primary: nobody is routed, status says why and which
// command resolves it.
TEST(BadInput, BothWritable) {
  auto cluster = testbed::Cluster::create({});
  ASSERT_TRUE(cluster.has_value()) << cluster.error();
  World world;
  world.cluster = std::move(*cluster);
  ASSERT_TRUE(world.cluster->set_writable(world.db(1), true).has_value());
  auto root = world.db(1).root();
  ASSERT_TRUE(
      root &&
      root->execute_all({"STOP SLAVE", "RESET SLAVE ALL", "CREATE TABLE app.own (id INT)"}).has_value());
  auto daemon = testbed::Daemon::prepare(testbed::Daemon::options_for(*world.cluster));
  ASSERT_TRUE(daemon.has_value()) << daemon.error();
  world.daemon = std::move(*daemon);
  ASSERT_TRUE(world.daemon->start().has_value());
  const auto status = world.daemon->wait_status(
      [](const auto& s) { return json_has(s["reason"], "all accept writes"); }, Millis(soon));
  ASSERT_TRUE(status.has_value()) << status.error();
  EXPECT_TRUE((*status)["primary"].is_null());
  EXPECT_TRUE(json_has((*status)["reason"], "pointsman failover --to")) << status->dump();

  // The operator decides; the other one is stopped from writing and, having a transaction of its own,
  // quarantined.
  const auto done = world.daemon->command({"failover", "--to", "db1", "--force"});
  ASSERT_TRUE(done.has_value()) << done.error();
  EXPECT_EQ(done->code, 0) << done->out << done->err << world.story();
  const auto settled = world.daemon->wait_status(
      [](const auto& s) { return s["primary"] == "db1" && s["backends"][1]["role"] == "quarantined"; },
      Millis(soon));
  ASSERT_TRUE(settled.has_value()) << settled.error() << world.story();
  EXPECT_FALSE(writable(world.db(1)));
}

// Both servers read-only, as after a power cut with read_only in my.cnf. Without a state file nobody is
// routed and the command is named; with one the primary of record is made writable again.
TEST(BadInput, BothReadOnly) {
  auto cluster = testbed::Cluster::create({});
  ASSERT_TRUE(cluster.has_value()) << cluster.error();
  World world;
  world.cluster = std::move(*cluster);
  ASSERT_TRUE(world.cluster->set_writable(world.db(0), false).has_value());
  auto daemon = testbed::Daemon::prepare(testbed::Daemon::options_for(*world.cluster));
  ASSERT_TRUE(daemon.has_value()) << daemon.error();
  world.daemon = std::move(*daemon);
  ASSERT_TRUE(world.daemon->start().has_value());
  const auto status = world.daemon->wait_status(
      [](const auto& s) { return json_has(s["reason"], "no server accepts writes"); }, Millis(soon));
  ASSERT_TRUE(status.has_value()) << status.error();
  EXPECT_TRUE(json_has((*status)["reason"], "pointsman failover --to db1 --force")) << status->dump();
  const auto done = world.daemon->command({"failover", "--to", "db1", "--force"});
  ASSERT_TRUE(done.has_value() && done->code == 0) << (done ? done->err : done.error()) << world.story();
  world.expect_in_order("db1");

  // Now there is a state file. The power fails on both hosts.
  ASSERT_TRUE(world.daemon->stop().has_value());
  world.db(0).kill();
  world.db(1).kill();
  ASSERT_TRUE(world.db(0).start().has_value());
  ASSERT_TRUE(world.db(1).start().has_value());
  ASSERT_FALSE(writable(world.db(0)));
  ASSERT_TRUE(world.daemon->start().has_value());
  world.expect_in_order("db1");
}

// A replica whose applier is broken cannot take over; the primary's death is refused with the reason, and its
// return is served.
TEST(BadInput, ReplicaWithBrokenApplier) {
  World world = World::make({});
  ASSERT_NE(world.daemon, nullptr);
  auto root = world.db(1).root();
  ASSERT_TRUE(root.has_value());
  ASSERT_TRUE(
      root->execute_all({"SET SESSION sql_log_bin = 0", "INSERT INTO app.`rows` VALUES (1, 0)"}).has_value());
  {
    auto client = world.daemon->connect(world.cluster->accounts().application, "app");
    ASSERT_TRUE(client.has_value());
    ASSERT_TRUE(client->execute("INSERT INTO `rows` VALUES (1, 0)").has_value());
  }
  const auto broken =
      world.daemon->wait_status([](const auto& s) { return json_has(s["warnings"], "1062"); }, Millis(soon));
  ASSERT_TRUE(broken.has_value()) << broken.error();
  world.db(0).kill();
  const auto refused = world.daemon->wait_status(
      [](const auto& s) { return s["state"] == "no_primary" && json_has(s["reason"], "1062"); },
      Millis(soon));
  ASSERT_TRUE(refused.has_value()) << refused.error() << world.story();
  EXPECT_FALSE(writable(world.db(1)));
  ASSERT_TRUE(world.db(0).start().has_value());
  const auto back = world.daemon->wait_status(
      [](const auto& s) { return s["primary"] == "db1" && s["state"] == "steady"; }, Millis(soon));
  ASSERT_TRUE(back.has_value()) << back.error() << world.story();
  EXPECT_TRUE(writable(world.db(0)));
}

// The classic loss: the replication link was cut for a while, then the primary dies. Automatic failover is
// refused with the number of transactions at stake; the operator can accept their loss, and is told what was
// lost.
TEST(BadInput, ReplicaFarBehind) {
  World world = World::make({}, {{"replication", {{"semi_sync", "\"off\""}}}});
  ASSERT_NE(world.daemon, nullptr);
  auto root = world.db(1).root();
  ASSERT_TRUE(root && root->execute("STOP SLAVE IO_THREAD").has_value());
  {
    Writer writer(*world.daemon, *world.cluster);
    ASSERT_TRUE(writer.wait_for(300, soon)) << writer.last_error();
  }
  const std::string position = world.ask(world.db(0), "SELECT @@gtid_binlog_pos");
  const auto seen = world.daemon->wait_status(
      [&](const auto& s) { return json_has(s["backends"][0]["executed"], position); }, Millis(soon));
  ASSERT_TRUE(seen.has_value()) << seen.error();
  std::this_thread::sleep_for(400ms);  // two probes, so that the position is no longer "just in flight"
  world.db(0).kill();
  const auto refused = world.daemon->wait_status(
      [](const auto& s) { return s["state"] == "no_primary" && json_has(s["reason"], "transactions"); },
      Millis(soon));
  ASSERT_TRUE(refused.has_value()) << refused.error() << world.story();
  EXPECT_FALSE(writable(world.db(1)));

  const auto plain = world.daemon->command({"failover"});
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->code, 1) << plain->out;
  const auto forced = world.daemon->command({"failover", "--force"});
  ASSERT_TRUE(forced.has_value());
  EXPECT_EQ(forced->code, 0) << forced->err << world.story();
  EXPECT_FALSE(world.last_event("failover")["lost"].empty()) << world.last_event("failover");
  EXPECT_TRUE(writable(world.db(1)));
}

// The applier is far behind, but everything was received: writes open only when all of it is applied.
TEST(BadInput, ApplierBehindIsWaitedFor) {
  World world = World::make({});
  ASSERT_NE(world.daemon, nullptr);
  // Or the daemon, which sets the roles at its start, would start the applier again.
  const auto settled = world.daemon->wait_status(
      [](const auto& s) { return s["state"] == "steady" && s["semi_sync"]["state"] == "on"; }, Millis(soon));
  ASSERT_TRUE(settled.has_value()) << settled.error() << world.story();
  auto root = world.db(1).root();
  ASSERT_TRUE(root && root->execute("STOP SLAVE SQL_THREAD").has_value());
  Writer writer(*world.daemon, *world.cluster);
  ASSERT_TRUE(writer.wait_for(300, soon)) << writer.last_error();
  writer.stop();
  std::this_thread::sleep_for(300ms);  // the receiver has it all, also what was sent last
  ASSERT_NE(why_not_following(world.db(1), world.db(0)), "") << "the applier runs";
  world.db(0).kill();
  const auto replaced =
      world.daemon->wait_status([](const auto& s) { return s["primary"] == "db2"; }, Millis(40000));
  ASSERT_TRUE(replaced.has_value()) << replaced.error() << world.story();
  EXPECT_TRUE(world.missing(world.db(1), writer.acknowledged()).empty()) << world.story();
}

// No promotion without a durable epoch: the state directory is full, and a daemon that starts serves the
// primary on record and warns; the primary dies, nobody is promoted; there is room again, and the failover
// happens.
TEST(BadInput, StateDirectoryFull) {
  World world = World::make({});
  ASSERT_NE(world.daemon, nullptr);
  ASSERT_TRUE(world.daemon->stop().has_value());
  const auto state = world.daemon->state_directory();
  const std::string file = state / "state.json";
  std::stringstream stored;
  stored << std::ifstream(file).rdbuf();
  ASSERT_EQ(::mount("tmpfs", state.c_str(), "tmpfs", 0, "size=64k,mode=0750"), 0) << "needs root";
  struct Unmount {
    std::filesystem::path path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } const unmount{state};
  std::ofstream(file) << stored.str();
  ASSERT_TRUE(world.daemon->start().has_value());
  world.expect_in_order("db1");
  {
    std::ofstream filler(state / "filler");
    for (int i = 0; i < 1000; ++i) filler << std::string(1000, 'x') << std::flush;
  }
  ASSERT_TRUE(world.daemon->stop().has_value());
  ASSERT_TRUE(testbed::done(world.daemon->start()));
  const auto warned = world.daemon->wait_status(
      [](const auto& s) { return s["state"] == "steady" && json_has(s["warnings"], "cannot be stored"); },
      Millis(soon));
  ASSERT_TRUE(warned.has_value()) << warned.error() << world.story();
  EXPECT_TRUE(world.daemon->connect(world.cluster->accounts().application, "app").has_value());
  world.db(0).kill();
  const auto refused = world.daemon->wait_status(
      [](const auto& s) { return s["state"] == "no_primary" && json_has(s["warnings"], "cannot be stored"); },
      Millis(soon));
  ASSERT_TRUE(refused.has_value()) << refused.error() << world.story();
  EXPECT_TRUE(json_has((*refused)["warnings"], "No space left on device")) << refused->dump();
  EXPECT_FALSE(writable(world.db(1)));
  std::filesystem::remove(state / "filler");
  const auto replaced =
      world.daemon->wait_status([](const auto& s) { return s["primary"] == "db2"; }, Millis(40000));
  ASSERT_TRUE(replaced.has_value()) << replaced.error() << world.story();
  EXPECT_TRUE(writable(world.db(1)));
  ASSERT_TRUE(world.daemon->stop().has_value());
}

// While nobody is routed a client is held and then served; after hold_timeout it is told why it was not.
TEST(BadInput, HeldClients) {
  World world =
      World::make({}, {{"proxy", {{"hold_timeout", "\"1500ms\""}}}, {"failover", {{"automatic", "false"}}}});
  ASSERT_NE(world.daemon, nullptr);
  world.db(0).kill();
  const auto refused =
      world.daemon->wait_status([](const auto& s) { return s["state"] == "no_primary"; }, Millis(soon));
  ASSERT_TRUE(refused.has_value()) << refused.error();
  const auto client = world.daemon->connect(world.cluster->accounts().application, "app");
  ASSERT_FALSE(client.has_value());
  EXPECT_NE(client.error().text.find("no primary"), std::string::npos) << client.error().text;
  EXPECT_NE(client.error().text.find("automatic failover is off"), std::string::npos) << client.error().text;

  std::thread operator_types([&] {
    std::this_thread::sleep_for(300ms);
    const auto done = world.daemon->command({"failover"});
    EXPECT_TRUE(done.has_value() && done->code == 0) << (done ? done->err : done.error());
  });
  const auto served = world.daemon->connect(world.cluster->accounts().application, "app");
  operator_types.join();
  EXPECT_TRUE(served.has_value()) << served.error().text << world.story();
}

}  // namespace
}  // namespace pointsman::live
