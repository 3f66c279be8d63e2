#include <array>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"
#include "tests/proxy/peers.h"

// The servers know whom a session is for: grants by host, the process list, and a failover in between.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Millis;
using testbed::Sql;
using testbed::SqlError;

constexpr const char* takes_headers = "proxy_protocol_networks = 127.0.0.1";

const char* const accounts[] = {
    "CREATE USER near@'127.0.0.2' IDENTIFIED BY 'secret'",
    "CREATE USER six@'::1' IDENTIFIED BY 'secret'",
    "CREATE USER far@'203.0.113.7' IDENTIFIED BY 'secret'",
    "CREATE USER proxys@'127.0.0.1' IDENTIFIED BY 'secret'",
};

// The daemon listens on IPv4, IPv6 and a Unix socket.
struct Told {
  World world;
  std::string socket;
  Keys keys;

  static Told make(Keys keys, const std::vector<std::string>& settings, Product product = Product::mariadb) {
    Told told;
    auto cluster = testbed::Cluster::create({.product = product, .settings = settings});
    if (!cluster) {
      ADD_FAILURE() << cluster.error();
      return told;
    }
    told.world.cluster = std::move(*cluster);
    if (auto root = told.world.db(0).root()) {
      (void)root->execute(World::table);
      for (const char* account : accounts) EXPECT_TRUE(root->execute(account).has_value());
    }
    auto options = testbed::Daemon::options_for(*told.world.cluster);
    auto daemon = testbed::Daemon::prepare(options);
    if (!daemon) {
      ADD_FAILURE() << daemon.error();
      return told;
    }
    told.socket = ((*daemon)->directory() / "clients.sock").string();
    const std::string port = std::to_string((*daemon)->address().port);
    keys["proxy"]["listen"] = "[\"127.0.0.1:" + port + "\", \"[::1]:" + port + "\"]";
    keys["proxy"]["listen_unix"] = "[\"" + told.socket + "\"]";
    for (auto& [section, values] : keys) {
      for (auto& [key, value] : values) options.keys[section][key] = value;
    }
    told.keys = options.keys;
    EXPECT_TRUE((*daemon)->set_keys(told.keys).has_value());
    told.world.daemon = std::move(*daemon);
    EXPECT_TRUE(told.world.daemon->start().has_value());
    if (const auto steady = told.world.daemon->wait_steady(Millis(soon)); !steady) {
      ADD_FAILURE() << steady.error();
      told.world.daemon.reset();
    }
    return told;
  }

  std::expected<Sql, SqlError> log_in(const std::string& user, Sql::Options options) const {
    if (options.address.port == 0) options.address = world.daemon->address();
    options.login = {user, "secret"};
    return Sql::connect(options);
  }
  std::expected<Sql, SqlError> from(const std::string& user, const std::string& address) const {
    return log_in(user, {.from = address});
  }
  // Who the server says that it is, by its account and by its process list.
  static std::string who(std::expected<Sql, SqlError> sql) {
    if (!sql) return sql.error().text;
    const auto user = sql->scalar("SELECT CURRENT_USER()");
    const auto host = sql->scalar(
        "SELECT SUBSTRING_INDEX(host, ':', IF(host LIKE '::%', 3, 1)) FROM information_schema.processlist"
        " WHERE id = CONNECTION_ID()");
    return user.value_or("no answer") + " at " + host.value_or("no answer");
  }
};

// Sends the header as soon as it is connected, from an address of its own, and then carries bytes.
class Balancer {
 public:
  Balancer(const conf::HostPort& to, const char* from, std::string header)
      : server_([to = *io::Address::numeric(to), from = *io::Address::numeric({from, 0}),
                 header = std::move(header)](proxy::Peer& client) {
          auto server = proxy::Peer::connect(to, from);
          if (!server || !server->send_all(header)) return;
          std::thread back([&] { carry(server->fd(), client.fd()); });
          carry(client.fd(), server->fd());
          back.join();
        }) {}
  conf::HostPort address() const { return server_.address().host_port(); }

 private:
  static void carry(int from, int to) {
    std::array<char, 4096> buffer;
    for (ssize_t n = 0; (n = ::recv(from, buffer.data(), buffer.size(), 0)) > 0;) {
      if (::send(to, buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) != n) break;
    }
    ::shutdown(to, SHUT_WR);
  }

  proxy::TestServer server_;
};

bool refused(const std::expected<Sql, SqlError>& sql) {
  return !sql && sql.error().code == 1045;
}

// Clients of two addresses, by IPv4, IPv6 and a Unix socket; grants by host hold; and so it is after the
// primary was killed and the other one serves.
TEST(ProxyProtocol, GrantsByHostBeforeAndAfterAFailover) {
  Told told = Told::make({{"proxy", {{"proxy_protocol", "\"v2\""}}}}, {takes_headers});
  ASSERT_NE(told.world.daemon, nullptr);
  ASSERT_TRUE(told.world.cluster->wait_caught_up(told.world.db(1), told.world.db(0), 20s).has_value());
  const auto port = told.world.daemon->address().port;
  const auto as_granted = [&] {
    EXPECT_EQ(Told::who(told.from("near", "127.0.0.2")), "near@127.0.0.2 at 127.0.0.2");
    EXPECT_TRUE(refused(told.from("near", "127.0.0.1")));
    EXPECT_EQ(Told::who(told.log_in("six", {.address = {"::1", port}})), "six@::1 at ::1");
    EXPECT_TRUE(refused(told.log_in("six", {.address = {"127.0.0.1", port}})));
    EXPECT_EQ(Told::who(told.log_in("proxys", {.socket = told.socket})), "proxys@127.0.0.1 at 127.0.0.1");
  };
  as_granted();
  struct stat found{};
  ASSERT_EQ(::stat(told.socket.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0777U);

  Writer writer(*told.world.daemon, *told.world.cluster);
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error();
  told.world.db(0).kill();
  ASSERT_TRUE(writer.wait_for(50, soon)) << writer.last_error() << told.world.story();
  const auto status = told.world.daemon->status();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ((*status)["primary"], "db2");
  as_granted();
}

// A balancer at 127.0.0.3 names its client; the server and `sessions` know it by that name. Nobody else may.
TEST(ProxyProtocol, TheBalancersClient) {
  Told told =
      Told::make({{"proxy", {{"proxy_protocol", "\"v2\""}, {"proxy_protocol_from", "[\"127.0.0.3/32\"]"}}}},
                 {takes_headers});
  ASSERT_NE(told.world.daemon, nullptr);
  // TCP over IPv4, 203.0.113.7:4567 to 192.0.2.1:3306
  const std::string header("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\7\xc0\0\2\1\x11\xd7\x0c\xea", 28);
  const Balancer balancer(told.world.daemon->address(), "127.0.0.3", header);
  auto far = told.log_in("far", {.address = balancer.address()});
  ASSERT_TRUE(far.has_value()) << far.error().text;
  const auto sessions = told.world.daemon->command({"sessions", "--json"});
  ASSERT_TRUE(sessions.has_value());
  EXPECT_NE(sessions->out.find("203.0.113.7:4567"), std::string::npos) << sessions->out;
  EXPECT_EQ(Told::who(std::move(far)), "far@203.0.113.7 at 203.0.113.7");

  const auto claims = told.log_in("far", {.from = "127.0.0.2", .proxy_header = header});
  EXPECT_FALSE(claims.has_value());
  const auto without = told.from("near", "127.0.0.3");
  ASSERT_FALSE(without.has_value());
  EXPECT_NE(without.error().text.find("did not come in time"), std::string::npos) << without.error().text;
  EXPECT_NE(told.world.daemon->log().find("not in proxy.proxy_protocol_from"), std::string::npos)
      << told.world.daemon->log_tail();
  EXPECT_EQ(Told::who(told.from("near", "127.0.0.2")), "near@127.0.0.2 at 127.0.0.2");
}

// A server that would refuse the header: warned of while all is well, no client is sent to it, each is told
// why; and the moment it takes headers they go on.
TEST(ProxyProtocol, ServerThatIsNotPrepared) {
  Told told = Told::make({{"proxy", {{"proxy_protocol", "\"v2\""}, {"hold_timeout", "\"300ms\""}}}}, {});
  ASSERT_NE(told.world.daemon, nullptr);
  const auto status = told.world.daemon->status();
  ASSERT_TRUE(status.has_value());
  for (const char* name : {"db1", "db2"}) {
    EXPECT_NE((*status)["warnings"].dump().find(std::string("no clients for ") + name), std::string::npos)
        << status->dump();
  }
  const auto held = told.from("near", "127.0.0.2");
  ASSERT_FALSE(held.has_value());
  EXPECT_NE(held.error().text.find("proxy_protocol_networks"), std::string::npos) << held.error().text;

  ASSERT_TRUE(
      told.world.db(0).root()->execute("SET GLOBAL proxy_protocol_networks = '127.0.0.1'").has_value());
  std::string who;
  for (int i = 0; i < 200 && who != "near@127.0.0.2 at 127.0.0.2"; ++i)
    who = Told::who(told.from("near", "127.0.0.2"));
  EXPECT_EQ(who, "near@127.0.0.2 at 127.0.0.2");
}

// MySQL has no PROXY protocol: clients are told so instead of being cut off at their login, and a reload
// without the key lets them in.
TEST(ProxyProtocol, MySqlHasNone) {
  Told told = Told::make({{"proxy", {{"proxy_protocol", "\"v2\""}, {"hold_timeout", "\"300ms\""}}}}, {},
                         Product::mysql);
  ASSERT_NE(told.world.daemon, nullptr);
  const auto held = told.from("proxys", "127.0.0.1");
  ASSERT_FALSE(held.has_value());
  EXPECT_NE(held.error().text.find("MySQL has no PROXY protocol"), std::string::npos) << held.error().text;
  const auto status = told.world.daemon->status();
  ASSERT_TRUE(status.has_value());
  EXPECT_NE((*status)["warnings"].dump().find("MySQL has no PROXY protocol"), std::string::npos);

  told.keys["proxy"]["proxy_protocol"] = "\"off\"";
  ASSERT_TRUE(told.world.daemon->set_keys(told.keys).has_value());
  const auto reloaded = told.world.daemon->command({"reload"});
  ASSERT_TRUE(reloaded.has_value() && reloaded->code == 0) << (reloaded ? reloaded->err : reloaded.error());
  auto sql = told.from("proxys", "127.0.0.1");
  ASSERT_TRUE(sql.has_value()) << sql.error().text;
  EXPECT_EQ(sql->scalar("SELECT CURRENT_USER()").value_or(""), "proxys@127.0.0.1");
}

}  // namespace
}  // namespace pointsman::live
