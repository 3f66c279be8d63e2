#include "tests/agent/agent_world.h"

#include <csignal>
#include <cstdio>
#include <stdexcept>

#include "conf/authkeys.h"
#include "health/io/clock.h"

namespace pointsman::agent {

using namespace std::chrono_literals;

std::unique_ptr<io::Keys> keys_of(const std::string& secret) {
  const auto parsed = conf::parse_authkeys("auth 1\n1 sha256 " + secret + "\n", "test");
  return std::make_unique<io::Keys>(std::move(*io::AuthKeyring::make(*parsed)));
}

std::string product_name(const testing::TestParamInfo<Product>& info) {
  return testbed::to_string(info.param);
}

void AgentTest::SetUp() {
  auto directory = testbed::TempDirectory::create("agent");
  ASSERT_TRUE(directory) << directory.error();
  directory_ = std::move(*directory);
  auto port = testbed::PortLease::pick();
  ASSERT_TRUE(port) << port.error();
  port_ = std::move(*port);
  auto line = testbed::SerialLine::create();
  ASSERT_TRUE(line) << line.error();
  line_ = std::move(*line);
  write_authkeys(secret);
}

void AgentTest::TearDown() {
  if (HasFailure()) std::printf("the agent's log:\n%s\n", log().c_str());
  proxy_.reset();
}

void AgentTest::write_authkeys(const std::string& key) {
  ASSERT_TRUE(testbed::write_file(file("authkeys"), "auth 1\n1 sha256 " + key + "\n"));
}

void AgentTest::start_server() {
  auto made = testbed::Cluster::create({.product = GetParam(), .servers = 1});
  ASSERT_TRUE(made) << made.error();
  cluster_ = std::move(*made);
  ask("CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)");
}

void AgentTest::start_agent(const std::string& heartbeat_lines, const std::string& fence_lines) {
  const auto& monitor = cluster_->accounts().monitor;
  ASSERT_TRUE(testbed::write_file(file("password"), monitor.password + "\n"));
  const std::string udp = "127.0.0.1:" + std::to_string(port_.number());
  const std::string text =
      "[heartbeat]\nnode = \"db1\"\nlisten = \"" + udp + "\"\nserial = \"" +
      line_->device(testbed::SerialLine::Side::b).string() + "\"\nkeepalive = \"100ms\"\nauthkeys = \"" +
      file("authkeys").string() + "\"\n" + heartbeat_lines + "\n[mysql]\nsocket = \"" +
      server().socket_path().string() + "\"\nuser = \"" + monitor.user + "\"\npassword_file = \"" +
      file("password").string() + "\"\nping_timeout = \"300ms\"\n\n[fence]\nstate_dir = \"" +
      file("state").string() + "\"\n" + fence_lines;
  ASSERT_TRUE(testbed::write_file(file("agent.toml"), text));
  auto started = testbed::Process::start(
      {.argv = {AGENT_BIN, "run", "-c", file("agent.toml").string()}, .output = file("agent.log")});
  ASSERT_TRUE(started) << started.error();
  agent_ = std::move(*started);
}

PlayedProxy& AgentTest::play(const std::string& name, const std::string& key) {
  proxy_.reset();
  keys_ = keys_of(key);
  proxy_ = std::make_unique<PlayedProxy>(loop_, name, *keys_, conf::HostPort{"127.0.0.1", port_.number()},
                                         line_->device(testbed::SerialLine::Side::a).string());
  return *proxy_;
}

void AgentTest::start_all() {
  start_server();
  start_agent();
  play();
  ASSERT_TRUE(
      hears({}, [](const core::AgentWord& word) { return word.mysqld == core::MysqldState::answers; }));
}

const PlayedProxy::Heard* AgentTest::hears(core::Instant since,
                                           const std::function<bool(const core::AgentWord&)>& wanted) {
  const PlayedProxy::Heard* heard = nullptr;
  until([&] { return (heard = proxy_->find(since, wanted)) != nullptr; });
  return heard;
}

void AgentTest::run_for(core::Duration duration) {
  const core::Instant end = io::now() + duration;
  until([&] { return io::now() >= end; });
}

bool AgentTest::logs(const std::string& text) {
  return until([&] { return log().contains(text); });
}

std::string AgentTest::log() const {
  return testbed::read_tail(file("agent.log"), std::size_t{1} << 20U);
}

std::string AgentTest::ask(const std::string& sql) {
  auto root = server().root();
  if (!root) return root.error().text;
  const auto value = root->scalar(sql);
  return value ? *value : value.error().text;
}

testbed::Sql AgentTest::application() {
  auto sql = server().connect(cluster_->accounts().application, "app");
  if (!sql) throw std::runtime_error(sql.error().text);
  return std::move(*sql);
}

std::string AgentTest::own_gtids() {
  return ask(GetParam() == Product::mariadb ? "SELECT @@global.gtid_binlog_pos"
                                            : "SELECT @@global.gtid_executed");
}

}  // namespace pointsman::agent
