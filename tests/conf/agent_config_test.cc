// agent.toml: its defaults, and what is wrong with it in the words of the operator.
#include "conf/agent_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conf/schema.h"

namespace pointsman::conf {
namespace {

using testing::HasSubstr;

constexpr const char* smallest = R"([heartbeat]
node = "dbserv1"
proxies = ["192.168.10.9:694"]
[mysql]
user = "pointsman"
password_file = "/etc/pointsman/monitor.password"
)";

std::expected<AgentConfig, std::vector<Problem>> load_it(const std::string& text) {
  return load_agent_text(text, "agent.toml", {.files = false});
}

std::string first_problem(const std::string& text) {
  const auto loaded = load_it(text);
  return loaded ? "" : to_string(loaded.error().front());
}

std::string with(const std::string& section, const std::string& line) {
  std::string text = smallest;
  const std::string head = "[" + section + "]\n";
  const auto at = text.find(head);
  return at == std::string::npos ? text + head + line + "\n" : text.insert(at + head.size(), line + "\n");
}

TEST(AgentConfig, Defaults) {
  const auto config = load_it(smallest);
  ASSERT_TRUE(config) << to_string(config.error().front());
  EXPECT_EQ(config->heartbeat.node, "dbserv1");
  EXPECT_EQ(to_string(config->heartbeat.listen), "0.0.0.0:694");
  EXPECT_EQ(config->heartbeat.keepalive, 100ms);
  EXPECT_EQ(config->heartbeat.authkeys, "/etc/pointsman/authkeys");
  EXPECT_EQ(config->mysql.socket, "/run/mysqld/mysqld.sock");
  EXPECT_EQ(config->mysql.ping_timeout, 500ms);
  EXPECT_TRUE(config->fence.kill_hung && config->fence.kill_clients);
  EXPECT_EQ(config->fence.state_dir, "/run/pointsman-agent");
  EXPECT_EQ(config->copy.listen, "");
  EXPECT_EQ(config->copy.state_dir, "/var/lib/pointsman-agent");
  EXPECT_FALSE(config->heartbeat.serial);
}

TEST(AgentConfig, Everything) {
  const auto config = load_it(R"(
[heartbeat]
node = "dbserv1"
listen = "10.0.0.1:695"
proxies = ["10.0.0.9:694", "[fd00::9]:694"]
serial = "/dev/ttyS1"
baud = 115200
keepalive = "50ms"
authkeys = "/k"
[mysql]
socket = "/s"
user = "u"
password_file = "/p"
ping_timeout = "1s"
[fence]
kill_hung = false
kill_clients = false
state_dir = "/run/a"
[copy]
listen = "10.0.0.1:695"
stop_command = ["/bin/stop", "it"]
start_command = ["/bin/start"]
backup_program = "/opt/mariadb-backup"
state_dir = "/var/a"
[log]
level = "debug"
file = "/l"
format = "json"
)");
  ASSERT_TRUE(config) << to_string(config.error().front());
  EXPECT_EQ(config->heartbeat.proxies.size(), 2U);
  EXPECT_EQ(config->heartbeat.serial, "/dev/ttyS1");
  EXPECT_EQ(config->heartbeat.baud, 115200U);
  EXPECT_EQ(config->log.level, LogLevel::debug);
  EXPECT_FALSE(config->fence.kill_hung);
  EXPECT_EQ(config->copy.listen, "10.0.0.1:695");
  EXPECT_EQ(config->copy.stop_command, (std::vector<std::string>{"/bin/stop", "it"}));
  EXPECT_EQ(config->copy.start_command, (std::vector<std::string>{"/bin/start"}));
  EXPECT_EQ(config->copy.backup_program, "/opt/mariadb-backup");
  EXPECT_EQ(config->copy.state_dir, "/var/a");
}

// One without the other would leave a server stopped.
TEST(AgentConfig, CommandsOfACopyGoTogether) {
  EXPECT_THAT(first_problem(with("copy", "stop_command = [\"/bin/stop\"]")),
              HasSubstr("copy.stop_command: copy.stop_command and copy.start_command go together"));
  EXPECT_THAT(first_problem(with("copy", "start_command = [\"/bin/start\"]")),
              HasSubstr("copy.start_command: copy.stop_command and copy.start_command go together"));
  EXPECT_THAT(first_problem(with("copy", "stop_command = [\"stop\"]\nstart_command = [\"/bin/start\"]")),
              HasSubstr("copy.stop_command: expected a program's absolute path first, found \"stop\""));
  EXPECT_THAT(first_problem(with("copy", "listen = \"nowhere\"")), HasSubstr("copy.listen"));
}

TEST(AgentConfig, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(first_problem(""), "agent.toml:1:1: section [heartbeat] is missing: node has no default");
  EXPECT_THAT(first_problem(with("mysql", "sockett = \"/s\"")),
              HasSubstr("agent.toml:5:1: unknown key \"sockett\" in [mysql]: did you mean \"socket\"?"));
  EXPECT_THAT(first_problem(with("heartbeat", "lease = \"1s\"")),
              HasSubstr("unknown key \"lease\" in [heartbeat]"));
  EXPECT_THAT(first_problem(with("mysql", "baud = 9600")), HasSubstr("it belongs to [heartbeat]"));
  EXPECT_THAT(first_problem(with("backend", "name = \"x\"")), HasSubstr("unknown section \"backend\""));
  EXPECT_THAT(first_problem(with("heartbeat", "baud = 12345")),
              HasSubstr("heartbeat.baud: expected one of 1200"));
  EXPECT_THAT(first_problem(with("heartbeat", "serial = \"/dev/ttyS0\"\nbaud = 9600")),
              HasSubstr("100% of 9600 baud; at most 50% is allowed"));
  EXPECT_THAT(first_problem("[heartbeat]\nnode = \"a\"\n[mysql]\nuser = \"u\"\npassword_file = \"/p\"\n"),
              HasSubstr("agent.toml:2:8: the agent has no way to Pointsman"));
  EXPECT_THAT(first_problem(with("log", "level = 3")), HasSubstr("log.level: expected one of \"trace\""));
  std::string long_name = smallest;
  long_name.replace(long_name.find("dbserv1"), 7, "a-name-of-17-char");
  EXPECT_THAT(first_problem(long_name), HasSubstr("a frame has room for 16 characters"));
  EXPECT_THAT(first_problem("[heartbeat\n"), HasSubstr("agent.toml:1:"));
}

// Every key has a description and, unless it is mandatory, a default that the loader takes.
TEST(AgentConfig, SchemaIsComplete) {
  for (const KeyInfo& key : agent_schema()) {
    EXPECT_FALSE(key.expected.empty()) << key.name;
    if (key.need == Need::mandatory || key.default_value.empty() || key.name == "heartbeat.proxies") continue;
    const auto dot = key.name.find('.');
    const std::string text =
        with(key.name.substr(0, dot), key.name.substr(dot + 1) + " = " + key.default_value);
    EXPECT_TRUE(load_it(text)) << text << first_problem(text);
  }
}

}  // namespace
}  // namespace pointsman::conf
