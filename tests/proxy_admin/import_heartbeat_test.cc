#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

namespace pointsman::proxy {
namespace {

namespace fs = std::filesystem;
using testbed::Finished;
using testbed::write_file;

class ImportHeartbeatTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = testbed::TempDirectory::create("import");
    ASSERT_TRUE(made) << made.error();
    folder = std::move(*made);
    ASSERT_TRUE(write_file(old("ha.cf"),
                           "keepalive 1\ndeadtime 10\nbaud 19200\nserial /dev/ttyS0\nbcast eth0\n"
                           "auto_failback off\nnode dbserv1 dbserv2\nping 10.0.0.254\n"));
    ASSERT_TRUE(write_file(old("haresources"), "dbserv1 10.0.0.3 mysql\n"));
    ASSERT_TRUE(write_file(old("authkeys"), "auth 1\n1 sha1 a-long-enough-secret\n"));
  }
  std::string old(const std::string& name) const { return (folder.path() / name).string(); }
  fs::path fresh(const std::string& name) const { return folder.path() / "new" / name; }
  Finished pointsman(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), POINTSMAN_BIN);
    auto finished = testbed::run({.argv = std::move(arguments)}, testbed::Millis(20000));
    EXPECT_TRUE(finished) << finished.error();
    return finished ? *finished : Finished{};
  }
  Finished import(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"import-heartbeat", "--ha-cf",          old("ha.cf"),
                                       "--haresources",    old("haresources"), "--authkeys",
                                       old("authkeys"),    "--output-dir",     fresh("").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return pointsman(std::move(arguments));
  }
  testbed::TempDirectory folder;
};

std::string content_of(const fs::path& path) {
  return testbed::read_tail(path, 1U << 20U);
}

// An installation becomes one file for the proxy's host and one for each database host, and the operator is
// told what is left to do. Once the secrets are there, `check` is content with it.
TEST_F(ImportHeartbeatTest, WritesWhatCheckTakes) {
  const Finished done = import();
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(done.out.contains("wrote " + fresh("pointsman.toml").string())) << done.out;
  EXPECT_TRUE(done.out.contains("ha.cf:8:1: `ping")) << done.out;
  EXPECT_FALSE(done.out.contains("a-long-enough-secret"));
  EXPECT_TRUE(content_of(fresh("dbserv1/agent.toml")).contains("node = \"dbserv1\""));
  EXPECT_TRUE(content_of(fresh("dbserv2/agent.toml")).contains("node = \"dbserv2\""));

  // The secrets lie elsewhere in a test than on a host.
  std::string text = content_of(fresh("pointsman.toml"));
  for (const std::string name : {"monitor.password", "replica.password", "authkeys"}) {
    const std::string installed = "/etc/pointsman/" + name;
    const auto at = text.find(installed);
    ASSERT_NE(at, std::string::npos) << text;
    text.replace(at, installed.size(), old(name));
    if (name != "authkeys") {
      ASSERT_TRUE(write_file(old(name), "secret\n"));
    }
  }
  ASSERT_TRUE(write_file(old("pointsman.toml"), text));
  const Finished checked = pointsman({"check", "-c", old("pointsman.toml")});
  EXPECT_EQ(checked.code, 0) << checked.err;
}

// One of the files is there already: nothing is written, not even the others, unless told to replace.
TEST_F(ImportHeartbeatTest, NeverOverwrites) {
  fs::create_directories(fresh("dbserv2"));
  ASSERT_TRUE(write_file(fresh("dbserv2/agent.toml"), "mine"));
  const Finished refused = import();
  EXPECT_EQ(refused.code, 1);
  EXPECT_TRUE(refused.err.contains("dbserv2/agent.toml: exists, and nothing was written")) << refused.err;
  EXPECT_EQ(content_of(fresh("dbserv2/agent.toml")), "mine");
  EXPECT_FALSE(fs::exists(fresh("pointsman.toml")));
  EXPECT_EQ(import({"--force"}).code, 0);
  EXPECT_TRUE(content_of(fresh("dbserv2/agent.toml")).contains("node"));
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(fresh("")))
    files += entry.is_regular_file() ? 1 : 0;
  EXPECT_EQ(files, 3U);  // nothing half-written stays behind
}

// Wrong old files: every problem with its place, and nothing written.
TEST_F(ImportHeartbeatTest, SaysWhatIsWrong) {
  ASSERT_TRUE(write_file(old("ha.cf"), "node dbserv1 dbserv2\nkeepalive 1s\n"));
  ASSERT_TRUE(write_file(old("haresources"), "dbserv1 10.0.0.999\n"));
  const Finished refused = import();
  EXPECT_EQ(refused.code, 1);
  EXPECT_TRUE(refused.err.contains("ha.cf:2:11: `keepalive`")) << refused.err;
  EXPECT_TRUE(refused.err.contains("haresources:1:9: ")) << refused.err;
  EXPECT_FALSE(fs::exists(fresh("")));
  EXPECT_EQ(pointsman({"import-heartbeat"}).code, 2);
}

TEST_F(ImportHeartbeatTest, SpeaksJson) {
  const auto answer = nlohmann::json::parse(import({"--json"}).out, nullptr, false);
  ASSERT_TRUE(answer.is_object());
  EXPECT_EQ(answer["ok"], true);
  EXPECT_EQ(answer["written"].size(), 3U);
  EXPECT_GT(answer["notes"].size(), 3U);
  EXPECT_FALSE(answer.contains("problems"));
}

}  // namespace
}  // namespace pointsman::proxy
