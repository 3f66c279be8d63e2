// The program as the operator meets it.
#include <csignal>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

namespace pointsman::agent {
namespace {

using namespace std::chrono_literals;

class AgentProgram : public testing::Test {
 protected:
  static testbed::Finished run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), AGENT_BIN);
    auto finished = testbed::run({.argv = std::move(arguments)}, 20s);
    EXPECT_TRUE(finished) << finished.error();
    return finished ? *finished : testbed::Finished{};
  }
  std::string file(const std::string& name) const { return directory_.path() / name; }
  void write(const std::string& more = "") const {
    ASSERT_TRUE(testbed::write_file(file("password"), "x\n"));
    ASSERT_TRUE(
        testbed::write_file(file("authkeys"), "auth 1\n1 sha256 a-secret-that-is-long-enough-for-us\n"));
    ASSERT_TRUE(testbed::write_file(
        file("agent.toml"),
        "[heartbeat]\nnode = \"db1\"\nlisten = \"127.0.0.1:0\"\nproxies = [\"127.0.0.1:1\"]\n"
        "authkeys = \"" +
            file("authkeys") + "\"\n" + more + "[mysql]\nsocket = \"" + file("no.sock") +
            "\"\nuser = \"u\"\npassword_file = \"" + file("password") + "\"\n[fence]\nstate_dir = \"" +
            file("state") + "\"\n"));
  }

  testbed::TempDirectory directory_ = *testbed::TempDirectory::create("agent");
};

TEST_F(AgentProgram, HelpVersionAndWrongUsage) {
  const auto help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_NE(help.out.find("check"), std::string::npos) << help.out;
  EXPECT_NE(help.out.find("Exit status"), std::string::npos);
  EXPECT_EQ(run({"--version"}).out, "pointsman-agent " POINTSMAN_VERSION "\n");
  EXPECT_EQ(run({}).code, 2);
  EXPECT_EQ(run({"walk"}).code, 2);
  EXPECT_NE(run({"run", "--fast"}).err, "");
}

// check says what it read, and each mistake with its place.
TEST_F(AgentProgram, Check) {
  write();
  const auto good = run({"check", "-c", file("agent.toml")});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_NE(good.out.find("node db1"), std::string::npos) << good.out;
  EXPECT_NE(good.out.find("one way to Pointsman only"), std::string::npos);
  write("nodes = 3\n");
  const auto bad = run({"check", "-c", file("agent.toml")});
  EXPECT_EQ(bad.code, 1);
  EXPECT_NE(bad.err.find("agent.toml:6:1"), std::string::npos) << bad.err;
  EXPECT_EQ(run({"run", "-c", file("agent.toml")}).code, 1);
  write();
  ASSERT_TRUE(testbed::write_file(file("authkeys"), "auth 2\n1 md5 x\n"));
  EXPECT_EQ(run({"check", "-c", file("agent.toml")}).code, 1);
  EXPECT_EQ(run({"run", "-c", file("agent.toml")}).code, 1);
  EXPECT_EQ(run({"check", "-c", file("nowhere")}).code, 1);
}

// No server, no proxy, a serial device that is not there, and a state file that is damaged: it runs, says so,
// and ends when told.
TEST_F(AgentProgram, RunsWithoutAnything) {
  write("serial = \"" + file("ttyNone") + "\"\n");
  ASSERT_TRUE(testbed::run({.argv = {"mkdir", file("state")}}, 5s));
  ASSERT_TRUE(testbed::write_file(file("state") + "/role", "\x01\x02"));
  auto agent =
      testbed::Process::start({.argv = {AGENT_BIN, "run", "-c", file("agent.toml")}, .output = file("log")});
  ASSERT_TRUE(agent) << agent.error();
  const auto log = [&] { return testbed::read_tail(file("log"), 1U << 20U); };
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (std::chrono::steady_clock::now() < end && !log().contains("serial_line")) {
    ASSERT_TRUE(agent->running()) << log();
  }
  EXPECT_TRUE(log().contains("serial_line")) << log();
  EXPECT_TRUE(log().contains("role_forgotten")) << log();
  EXPECT_TRUE(log().contains("listening link=udp")) << log();
  ASSERT_TRUE(agent->send(SIGTERM));
  const auto ended = agent->wait(10s);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 0) << log();
}

}  // namespace
}  // namespace pointsman::agent
