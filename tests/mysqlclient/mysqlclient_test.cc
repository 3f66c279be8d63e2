#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/testbed/cluster.h"

namespace pointsman::testbed {
namespace {

constexpr Millis build_timeout{1'100'000};  // the first one makes a tree with a compiler
constexpr Millis check_timeout{60'000};

enum class Library { found, oracle };

// The command that runs mysqlclient_check with one of the two libraries.
std::expected<std::vector<std::string>, std::string> program(Library library) {
  if (library == Library::found) return std::vector<std::string>{CHECK_PROGRAM};
  const auto built = run({.argv = {BUILD_ORACLE}}, build_timeout);
  if (!built) return std::unexpected(built.error());
  const std::size_t line = built->out.find('\n');
  if (built->code != 0 || line == std::string::npos) return std::unexpected(last_lines(built->err, 40));
  const std::string tree = built->out.substr(0, line);
  // As mysqld is run: by sid's own loader, so that no chroot is needed.
  return std::vector<std::string>{tree + "/lib64/ld-linux-x86-64.so.2", "--library-path",
                                  tree + "/usr/lib/x86_64-linux-gnu",
                                  built->out.substr(line + 1, built->out.find('\n', line + 1) - line - 1)};
}

std::expected<Finished, std::string> check(Library library, const Server& server, const Login& login) {
  auto argv = program(library);
  if (!argv) return std::unexpected(argv.error());
  argv->insert(argv->end(), {conf::to_string(server.address()), login.user, login.password});
  return run({.argv = std::move(*argv)}, check_timeout);
}

class ClientLibraryTest : public testing::TestWithParam<Product> {
 protected:
  void SetUp() override {
    auto made = Cluster::create({.product = GetParam(), .servers = 1});
    ASSERT_TRUE(made) << made.error();
    cluster = std::move(*made);
  }
  const Server& server() const { return cluster->server(0); }
  std::string name() const { return to_string(GetParam()); }

  std::unique_ptr<Cluster> cluster;
};

// Debian's drop-in, MariaDB Connector/C, probes and commands both products.
TEST_P(ClientLibraryTest, DropInProbesAndCommands) {
  const auto checked = check(Library::found, server(), cluster->accounts().monitor);
  ASSERT_TRUE(checked) << checked.error();
  EXPECT_EQ(checked->code, 0) << checked->out << checked->err;
  EXPECT_TRUE(checked->out.contains("probe ok: " + name())) << checked->out;
  EXPECT_TRUE(checked->out.contains("writable ok")) << checked->out;
  EXPECT_TRUE(checked->out.contains("read-only ok: " + name())) << checked->out;
}

// Oracle's library does the same on MySQL. From 9.0 on it has no mysql_native_password any more, the only
// kind of password that MariaDB 10.11 and it could have had in common: there the probe says so, and does not
// take it for death.
TEST_P(ClientLibraryTest, OraclesProbesAndCommands) {
  const auto checked = check(Library::oracle, server(), cluster->accounts().monitor);
  ASSERT_TRUE(checked) << checked.error();
  EXPECT_TRUE(checked->out.contains("library 9.")) << checked->out;
  if (GetParam() == Product::mysql) {
    EXPECT_EQ(checked->code, 0) << checked->out << checked->err;
    EXPECT_TRUE(checked->out.contains("probe ok: mysql")) << checked->out;
    EXPECT_TRUE(checked->out.contains("read-only ok: mysql")) << checked->out;
  } else {
    EXPECT_EQ(checked->code, 1);
    EXPECT_TRUE(checked->out.contains("mysql_native_password")) << checked->out;
    EXPECT_FALSE(checked->out.contains("failed: refused")) << checked->out;
    EXPECT_FALSE(checked->out.contains("failed: lost")) << checked->out;
  }
}

// A wrong password is a wrong password with either library.
TEST_P(ClientLibraryTest, BothTellAWrongPassword) {
  const auto found = check(Library::found, server(), {"pointsman", "wrong"});
  ASSERT_TRUE(found) << found.error();
  EXPECT_TRUE(found->out.contains("probe failed: denied")) << found->out;
  if (GetParam() == Product::mariadb) return;
  const auto oracle = check(Library::oracle, server(), {"pointsman", "wrong"});
  ASSERT_TRUE(oracle) << oracle.error();
  EXPECT_TRUE(oracle->out.contains("probe failed: denied")) << oracle->out;
}

INSTANTIATE_TEST_SUITE_P(Products, ClientLibraryTest, testing::Values(Product::mariadb, Product::mysql),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

// Past the login, Oracle's library and MariaDB understand each other: a server that asks for no password is
// probed and commanded like any other.
TEST(ClientLibrary, OraclesSpeaksToMariaDB) {
  auto server = Server::create({.product = Product::mariadb});
  ASSERT_TRUE(server) << server.error();
  // Whoever of this machine connects meanwhile may do anything to the server, but nothing by it.
  const std::filesystem::path jail = (*server)->directory() / "jail";
  std::filesystem::create_directory(jail);
  ASSERT_TRUE((*server)->set_settings({"skip_grant_tables", "secure_file_priv = " + jail.string()}));
  ASSERT_TRUE((*server)->stop());
  const auto started = (*server)->start();
  ASSERT_TRUE(started) << started.error();
  const auto checked = check(Library::oracle, **server, {"pointsman", ""});
  ASSERT_TRUE(checked) << checked.error();
  EXPECT_EQ(checked->code, 0) << checked->out << checked->err;
  EXPECT_TRUE(checked->out.contains("probe ok: mariadb")) << checked->out;
  EXPECT_TRUE(checked->out.contains("read-only ok: mariadb")) << checked->out;
}

}  // namespace
}  // namespace pointsman::testbed
