#include <fstream>
#include <regex>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/authkeys.h"
#include "tests/proxy_admin/server_thread.h"
#include "tests/testbed/process.h"

// `pointsman keygen` as the operator starts it. No daemon runs.
namespace pointsman::proxy::testing {
namespace {

using namespace std::chrono_literals;

std::string contents(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class KeygenTest : public ::testing::Test {
 protected:
  static testbed::Finished run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {POINTSMAN_BIN, "keygen"});
    auto finished = testbed::run({.argv = std::move(arguments)}, 60s);
    EXPECT_TRUE(finished) << finished.error();
    return finished ? *finished : testbed::Finished();
  }
  static conf::AuthKeys load(const std::string& file) {
    auto keys = conf::load_authkeys(file);
    if (keys) return std::move(*keys);
    ADD_FAILURE() << conf::to_string(keys.error().front());
    return {};
  }
  struct stat status() const {
    struct stat status{};
    EXPECT_EQ(::stat(file_.c_str(), &status), 0) << file_;
    return status;
  }
  void write(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(file_) << text;
    EXPECT_EQ(::chmod(file_.c_str(), mode), 0);
  }

  TempDir dir_;
  std::string file_ = dir_.file("authkeys");
};

// A new file is private whatever the umask, is what the daemon takes without a warning, and is another one
// each time.
TEST_F(KeygenTest, MakesAPrivateFile) {
  for (const mode_t mask : {0000, 0777}) {
    ::unlink(file_.c_str());
    const mode_t old = ::umask(mask);
    const auto done = run({file_});
    ::umask(old);
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_NE(done.out.find("Copy it to every host"), std::string::npos) << done.out;
    EXPECT_EQ(done.err, "");
    EXPECT_EQ(status().st_mode & 07777U, 0600U);
  }
  const conf::AuthKeys keys = load(file_);
  ASSERT_EQ(keys.keys.size(), 1U);
  EXPECT_EQ(keys.sending, 1U);
  EXPECT_EQ(keys.keys[0].method, conf::AuthKeys::Method::sha256);
  EXPECT_TRUE(std::regex_match(keys.keys[0].secret, std::regex("[0-9a-f]{64}"))) << keys.keys[0].secret;
  EXPECT_TRUE(conf::authkeys_warnings(keys).empty());

  const auto printed = run({"-"});
  EXPECT_EQ(printed.code, 0);
  const auto other = conf::parse_authkeys(printed.out, "-");
  ASSERT_TRUE(other) << printed.out;
  EXPECT_NE(other->keys[0].secret, keys.keys[0].secret);
  EXPECT_FALSE(std::filesystem::exists("-"));
}

// What stands at the place already is never touched: a file, a link to nowhere, a directory.
TEST_F(KeygenTest, NeverOverwrites) {
  write("mine\n", 0644);
  const auto refused = run({file_});
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(refused.out, "");
  EXPECT_NE(refused.err.find(file_ + ": exists, and was left as it is"), std::string::npos) << refused.err;
  EXPECT_EQ(contents(file_), "mine\n");
  std::filesystem::create_symlink(dir_.file("nowhere"), dir_.file("link"));
  EXPECT_EQ(run({dir_.file("link")}).code, 1);
  EXPECT_FALSE(std::filesystem::exists(dir_.file("nowhere")));
  EXPECT_EQ(run({dir_.path().string()}).code, 1);
  const auto no_place = run({dir_.file("none") + "/authkeys"});
  EXPECT_EQ(no_place.code, 1);
  EXPECT_NE(no_place.err.find("No such file or directory"), std::string::npos) << no_place.err;
}

// The operator's file with his comments and old keys gets one more key.
TEST_F(KeygenTest, AddsAndRotates) {
  const std::string mine = "# ours\nauth 3 # why\n3 sha1 old\n";
  write(mine);
  const auto added = run({file_, "--add"});
  ASSERT_EQ(added.code, 0) << added.err;
  EXPECT_NE(added.out.find("signs with key 3 as before"), std::string::npos) << added.out;
  EXPECT_TRUE(contents(file_).starts_with(mine));
  EXPECT_EQ(load(file_).sending, 3U);
  EXPECT_EQ(load(file_).keys.size(), 2U);
  EXPECT_EQ(status().st_mode & 07777U, 0600U);

  const auto rotated = run({file_, "--rotate"});
  ASSERT_EQ(rotated.code, 0) << rotated.err;
  EXPECT_TRUE(contents(file_).starts_with("# ours\nauth 5 # why\n3 sha1 old\n4 sha256 ")) << contents(file_);
  const conf::AuthKeys keys = load(file_);
  EXPECT_EQ(keys.sending, 5U);
  ASSERT_EQ(keys.keys.size(), 3U);
  EXPECT_NE(keys.keys[1].secret, keys.keys[2].secret);
  EXPECT_FALSE(std::filesystem::exists(file_ + ".new"));
}

// Root cares for the file of the daemon's user, also through a link: it stays that user's, and the link a
// link.
TEST_F(KeygenTest, KeepsTheOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  write("auth 1\n1 sha1 old\n");
  ASSERT_EQ(::chown(file_.c_str(), 65534, 65533), 0);
  std::filesystem::create_symlink(file_, dir_.file("link"));
  const auto done = run({dir_.file("link"), "--rotate"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(std::filesystem::is_symlink(dir_.file("link")));
  EXPECT_EQ(status().st_uid, 65534U);
  EXPECT_EQ(status().st_gid, 65533U);
  EXPECT_EQ(status().st_mode & 07777U, 0600U);
}

// A file that cannot be extended stays as it was, and the reason says where.
TEST_F(KeygenTest, RefusesToExtendWhatIsNotFit) {
  EXPECT_NE(run({file_, "--rotate"}).err.find("No such file"), std::string::npos);
  write("auth 1\n1 sha256\n");
  const auto broken = run({file_, "--rotate"});
  EXPECT_EQ(broken.code, 1);
  EXPECT_NE(broken.err.find(file_ + ":2:9: expected a secret behind sha256\n"), std::string::npos)
      << broken.err;
  EXPECT_EQ(contents(file_), "auth 1\n1 sha256\n");
  EXPECT_FALSE(std::filesystem::exists(file_ + ".new"));

  write("auth 1\n1 crc\n", 0644);
  EXPECT_NE(run({file_, "--add"}).err.find("accessible by group or others"), std::string::npos);

  std::string full = "auth 1\n";
  for (int number = 1; number <= 255; ++number) full += std::to_string(number) + " crc\n";
  write(full);
  EXPECT_NE(run({file_, "--add"}).err.find("all 255 numbers are taken"), std::string::npos);

  write("auth 1\n1 crc\n");
  std::ofstream(file_ + ".new") << "other";
  const auto busy = run({file_, "--rotate"});
  EXPECT_EQ(busy.code, 1);
  EXPECT_NE(busy.err.find("another keygen runs"), std::string::npos) << busy.err;
  EXPECT_EQ(contents(file_ + ".new"), "other");
  EXPECT_EQ(contents(file_), "auth 1\n1 crc\n");
}

TEST_F(KeygenTest, Usage) {
  EXPECT_EQ(run({}).code, 2);
  EXPECT_EQ(run({file_, "--add", "--rotate"}).code, 2);
  EXPECT_EQ(run({"-", "--rotate"}).code, 2);
  EXPECT_EQ(run({file_, "--json"}).code, 2);
  EXPECT_FALSE(std::filesystem::exists(file_));
  const auto help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_NE(help.out.find("--rotate"), std::string::npos);
  EXPECT_NE(run({file_ + "\x1b[2J/x"}).err.find("cannot create"), std::string::npos);
  EXPECT_EQ(run({file_ + "\x1b[2J/x"}).err.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace pointsman::proxy::testing
