#include "tests/live/setup_world.h"

namespace pointsman::live {

using namespace std::chrono_literals;
using testbed::Server;

SetupWorld SetupWorld::make(Product product, std::vector<std::vector<std::string>> settings, Keys keys) {
  SetupWorld world;
  testbed::Daemon::Options options;
  for (unsigned i = 0; i < settings.size(); ++i) {
    const std::string name = "db" + std::to_string(i + 1);
    auto server =
        Server::prepare({.product = product, .name = name, .server_id = i + 1, .settings = settings[i]});
    if (!server || !(*server)->launch()) {
      ADD_FAILURE() << (server ? "launch" : server.error());
      return world;
    }
    options.backends.push_back({name, (*server)->address(), {}});
    world.servers.push_back(std::move(*server));
  }
  for (auto& server : world.servers) {
    const auto ready = server->wait_ready();
    if (!ready) ADD_FAILURE() << ready.error();
  }
  options.keys = std::move(keys);
  auto daemon = testbed::Daemon::prepare(std::move(options));
  if (!daemon) {
    ADD_FAILURE() << daemon.error();
    return world;
  }
  world.daemon = std::move(*daemon);
  return world;
}

std::vector<std::string> SetupWorld::command(std::vector<std::string> further) const {
  std::vector<std::string> arguments{"setup"};
  for (const auto& server : servers) {
    arguments.push_back("--admin-socket");
    arguments.push_back(server->name() + "=" + server->socket_path().string());
  }
  arguments.insert(arguments.end(), further.begin(), further.end());
  return arguments;
}

testbed::Finished SetupWorld::setup(std::vector<std::string> further) const {
  auto done = daemon->command(command(std::move(further)), testbed::Millis(180000));
  if (!done) ADD_FAILURE() << done.error();
  return done ? *done : testbed::Finished{};
}

testbed::Finished SetupWorld::setup_supervised(std::size_t recipient, std::vector<std::string> further) {
  if (db(recipient).product() == Product::mariadb) return setup(std::move(further));
  const Supervisor supervisor(db(recipient));
  return setup(std::move(further));
}

testbed::Process SetupWorld::start_setup(const std::filesystem::path& output) const {
  std::vector<std::string> argv = command();
  argv.insert(argv.begin(), daemon->program().string());
  argv.push_back("-c");
  argv.push_back(daemon->configuration().string());
  auto process = testbed::Process::start({.argv = std::move(argv), .output = output});
  if (!process) ADD_FAILURE() << process.error();
  return process ? std::move(*process) : testbed::Process();
}

std::string SetupWorld::ask(std::size_t server, const std::string& sql) {
  auto root = db(server).root();
  if (!root) return "error: " + root.error().text;
  auto result = root->query(sql);
  return result ? result->scalar() : "error: " + result.error().text;
}

void SetupWorld::tell(std::size_t server, const std::vector<std::string>& statements) {
  auto root = db(server).root();
  ASSERT_TRUE(root) << root.error().text;
  const auto done = root->execute_all(statements);
  ASSERT_TRUE(done) << done.error().text;
}

void SetupWorld::fill(std::size_t server, unsigned rows) {
  tell(server,
       {"SET GLOBAL read_only = OFF", "CREATE DATABASE app",
        "CREATE TABLE app.big (id INT AUTO_INCREMENT PRIMARY KEY, filler VARBINARY(1024))",
        "CREATE TABLE app.small (id INT PRIMARY KEY, note TEXT)",
        "INSERT INTO app.small VALUES (1, 'it''s a ''quoted'' \\n line; -- Dump completed')",
        "CREATE VIEW app.seen AS SELECT id FROM app.small", "CREATE USER app@'%' IDENTIFIED BY 'app-secret'",
        "GRANT ALL ON app.* TO app@'%'", "CREATE DEFINER = app@'%' PROCEDURE app.p() SELECT 1",
        "CREATE DEFINER = app@'%' TRIGGER app.trg BEFORE INSERT ON app.small FOR EACH ROW SET NEW.note = 't'",
        "CREATE DEFINER = app@'%' EVENT app.nightly ON SCHEDULE EVERY 1 DAY STARTS CURRENT_TIMESTAMP + "
        "INTERVAL 1 DAY DO DELETE FROM app.small",
        "INSERT INTO app.big (filler) VALUES (RANDOM_BYTES(1000))"});
  for (unsigned have = 1; have < rows; have *= 2) {
    tell(server, {"INSERT INTO app.big (filler) SELECT RANDOM_BYTES(1000) FROM app.big"});
  }
}

std::string SetupWorld::why_not_copy(std::size_t primary, std::size_t replica) {
  for (const char* sql :
       {"SELECT COUNT(*) FROM app.big", "SELECT SUM(CRC32(filler)) FROM app.big",
        "SELECT note FROM app.small", "SELECT COUNT(*) FROM app.seen",
        "SELECT COUNT(*) FROM mysql.user WHERE user IN ('app', 'pointsman', 'replica')",
        "SELECT definer FROM information_schema.events WHERE event_name = 'nightly'",
        "SELECT definer FROM information_schema.routines WHERE routine_name = 'p'",
        "SELECT definer FROM information_schema.triggers WHERE trigger_name = 'trg'",
        "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name LIKE 'pointsman%'"}) {
    const std::string one = ask(primary, sql);
    const std::string two = ask(replica, sql);
    if (one != two || one.empty() || one.starts_with("error"))
      return std::string(sql) + ": " + one + " and " + two;
  }
  const std::string event =
      ask(replica, "SELECT status FROM information_schema.events WHERE event_name = 'nightly'");
  if (event != "SLAVESIDE_DISABLED" && event != "REPLICA_SIDE_DISABLED") return "the event is " + event;
  return why_not_following(db(replica), db(primary));
}

}  // namespace pointsman::live
