#include "bench/against_file.h"

#include <gtest/gtest.h>

#include "tests/testbed/files.h"

namespace pointsman::bench {
namespace {

using namespace std::chrono_literals;

constexpr const char* good = R"(
[endpoint]
address = "10.0.0.100:3306"
user = "bench"
password_file = "/root/password"
database = "bench"
[commands]
kill = "kill it"
restore = "restore it"
)";

std::string complaints(const std::string& text) {
  const auto file = load_against_text(text, "f.toml", false);
  if (file) return "";
  std::string all;
  for (const auto& problem : file.error()) all += conf::to_string(problem) + "\n";
  return all;
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = good;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// The sample says what it means, and what it calls the defaults are the defaults.
TEST(AgainstFile, TheSampleIsGood) {
  const std::string path = POINTSMAN_SOURCE_DIR "/bench/against.toml";
  const auto file = load_against_text(testbed::read_tail(path, 1U << 20U), path, false);
  ASSERT_TRUE(file) << complaints(testbed::read_tail(path, 1U << 20U));
  EXPECT_EQ(conf::to_string(file->endpoint.address), "10.0.0.100:3306");
  EXPECT_EQ(file->endpoint.timeout, AgainstEndpoint{}.timeout);
  EXPECT_TRUE(file->commands.kill.contains("pkill -KILL"));
  EXPECT_TRUE(file->commands.start.empty());
  EXPECT_EQ(file->commands.timeout, AgainstCommands{}.timeout);
  EXPECT_EQ(file->commands.restore_after, AgainstCommands{}.restore_after);
  EXPECT_EQ(file->commands.ready_within, AgainstCommands{}.ready_within);
}

TEST(AgainstFile, ReadsEveryKey) {
  const auto file = load_against_text(
      with("kill = \"kill it\"",
           "start = \"a\"\nkill = '''\nb\n'''\nclean_up = \"c\"\ntimeout = \"2s\"\nrestore_after = \"3s\"\n"
           "ready_within = \"4m\""),
      "f.toml", false);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->commands.start, "a");
  EXPECT_EQ(file->commands.kill, "b\n");
  EXPECT_EQ(file->commands.restore, "restore it");
  EXPECT_EQ(file->commands.clean_up, "c");
  EXPECT_EQ(file->commands.timeout, 2s);
  EXPECT_EQ(file->commands.restore_after, 3s);
  EXPECT_EQ(file->commands.ready_within, 4min);
}

// Each mistake is told with its place, and a misspelt key is not passed over: the command would not run.
TEST(AgainstFile, TellsMistakes) {
  EXPECT_EQ(complaints(good), "");
  EXPECT_EQ(complaints(with("restore =", "restor =")),
            "f.toml:7:1: commands.restore is missing: expected a command for sh -c\n"
            "f.toml:9:1: unknown key \"restor\" in [commands]: did you mean \"restore\"?\n");
  EXPECT_TRUE(complaints(with("\"kill it\"", "\" \"")).contains("commands.kill: expected a command"));
  EXPECT_TRUE(complaints(with("\"kill it\"", "[\"kill\"]")).contains("found an array"));
  EXPECT_TRUE(
      complaints(with("\"bench\"\n[", "\"bench\"\ntimeout = \"1500ms\"\n[")).contains("whole seconds"));
  EXPECT_TRUE(complaints(with("[commands]", "[comands]")).contains("did you mean \"commands\""));
  EXPECT_TRUE(complaints(with("10.0.0.100:3306", "10.0.0.100")).contains("endpoint.address"));
  EXPECT_TRUE(complaints("").contains("endpoint.address is missing"));
  EXPECT_TRUE(complaints("[").contains("not valid TOML"));
}

// A password that others can read, or that is not there, is told as everywhere else.
TEST(AgainstFile, ReadsThePassword) {
  const auto folder = testbed::TempDirectory::create("against");
  ASSERT_TRUE(folder) << folder.error();
  const std::string path = (folder->path() / "password").string();
  const std::string text = with("/root/password", path);
  EXPECT_FALSE(load_against_text(text, "f.toml"));
  ASSERT_TRUE(testbed::write_file(path, "secret\n", 0644));
  EXPECT_FALSE(load_against_text(text, "f.toml"));
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  const auto file = load_against_text(text, "f.toml");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->endpoint.password, "secret");
}

}  // namespace
}  // namespace pointsman::bench
