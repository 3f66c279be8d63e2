#include "conf/describe.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/conf/config_text.h"

namespace pointsman::conf {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const std::string both_links =
    "[heartbeat]\nnode = \"proxy1\"\nlisten = \"0.0.0.0:6940\"\n"
    "[[backend]]\nname = \"a\"\naddress = \"10.0.0.1:3306\"\nudp = \"10.0.0.1:694\"\nserial = "
    "\"/dev/ttyS0\"\n"
    "[[backend]]\nname = \"longer\"\naddress = \"[fd00::2]:3306\"\nudp = [\"10.0.0.2:694\", "
    "\"10.1.0.2:694\"]\n"
    "serial = \"/dev/ttyS1\"\n";

// A configuration that leaves nothing to wish for, on this host.
Config sound(const TempDir& dir) {
  Config config =
      must_load("[proxy]\nmax_connections = 10\nlisten = \"10.0.0.9:3306\"\n" + both_links + accounts);
  config.proxy.state_dir = dir.path();
  config.admin.socket = dir.path() + "/admin.sock";
  return config;
}

TEST(Summary, OfAgentsAndTimes) {
  const TempDir dir;
  Config config = sound(dir);
  config.proxy.state_dir = "/s";
  config.admin.socket = "/a.sock";
  config.proxy.threads = 2;
  config.monitor.account.password = "topsecret";
  EXPECT_EQ(
      summary(config),
      "clients      connect to 10.0.0.9:3306, at most 10\n"
      "             2 worker threads; a server must accept a connection within 1s\n"
      "             are held up to 10s while no primary is routed, at most 1000; then 500 per second are let "
      "through\n"
      "backends     a       10.0.0.1:3306   agent by udp 10.0.0.1:694 and serial /dev/ttyS0 at 19200 baud\n"
      "             longer  [fd00::2]:3306  agent by udp 10.0.0.2:694, 10.1.0.2:694 and serial /dev/ttyS1 at "
      "19200 baud\n"
      "detection    each server is asked every 200ms as user pointsman and has 500ms to answer\n"
      "             a crashed primary is replaced once 2 reconnects in a row are refused\n"
      "             a silent primary is declared dead after 1s\n"
      "             agents send a heartbeat every 100ms, heard as proxy1 on 0.0.0.0:6940, late after 400ms\n"
      "             a primary whose agent hears nothing for 800ms stops writing\n"
      "failover     automatic, at most 3 within 10m\n"
      "             a new primary first applies what it has received, for at most 30s\n"
      "             a returning server with transactions of its own is quarantined; any other stays a "
      "replica\n"
      "replication  as user replica\n"
      "             semi-sync preferred: a commit waits for a replica while one is there\n"
      "fencing      agents kill a mysqld that hangs\n"
      "state        /s\n"
      "admin        /a.sock, metrics on http://127.0.0.1:9366/metrics\n"
      "log          info and above, as text, to standard error\n");
}

// Who is told of what.
TEST(Summary, OfHooks) {
  Config config = must_load(rest);
  EXPECT_THAT(summary(config), Not(HasSubstr("hooks")));
  config.hooks.command = {"/etc/pointsman/tell", "--mail"};
  EXPECT_THAT(
      summary(config),
      HasSubstr("hooks        /etc/pointsman/tell, for at most 10s, on failover_started, failover, refused, "
                "no_primary, quarantine, degraded\n"));
}

// Everything that can be switched off or turned round says so.
TEST(Summary, OfTheOtherChoices) {
  Config config = must_load(rest);
  config.proxy.hold_timeout = 0s;
  config.proxy.listen = {{"10.0.0.9", 3306}};
  config.proxy.listen_unix = {"/u.sock"};
  config.proxy.io_uring = false;
  config.proxy.proxy_protocol = ProxyProtocol::v2;
  config.proxy.proxy_protocol_from = {"10.0.0.0/8"};
  config.failover.automatic = false;
  config.failover.failback = true;
  config.failover.discard = Discard::never;
  config.failover.refused_confirm = 1;
  config.fence.command = {"/sbin/off"};
  config.admin.metrics = "";
  config.log = {LogLevel::debug, "/l", LogFormat::json};
  const std::string text = summary(config);
  for (const char* part :
       {"get an error at once while no primary is routed", ", not by io_uring; a server must accept",
        "their address is told to the servers (PROXY protocol v2), which must be MariaDB",
        "must begin with a PROXY protocol header from 10.0.0.0/8",
        "connect to 10.0.0.9:3306, /u.sock, at most", "dbserv1  10.0.0.1:3306  no agent\n",
        "once 1 reconnect is refused", "failover     only by command",
        "with transactions of its own is quarantined; any other becomes primary again",
        "fencing      /sbin/off\n", "sock, no metrics\n", "debug and above, as json, to /l\n"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("heartbeat")));
  EXPECT_THAT(text, Not(HasSubstr("a replica of a replica"))) << "there can be none of two";
  config.fence.command.clear();
  EXPECT_THAT(summary(config), HasSubstr("fencing      none\n"));
}

// More than two servers: who takes over, and what becomes of a chain.
TEST(Summary, OfMoreThanTwoServers) {
  Config config = must_load(rest);
  config.backends.push_back(config.backends[1]);
  config.backends[2].name = "dbserv3";
  config.backends[2].address.host = "10.0.0.3";
  config.backends[1].priority = 200;
  config.backends[2].never_promote = true;
  EXPECT_THAT(summary(config), HasSubstr("dbserv2  10.0.0.2:3306  no agent, priority 200\n"));
  EXPECT_THAT(summary(config), HasSubstr("dbserv3  10.0.0.3:3306  no agent, never promoted\n"));
  EXPECT_THAT(summary(config), HasSubstr("a replica of a replica is left where it is\n"));
  config.replication.chained = Chained::move_up;
  EXPECT_THAT(summary(config), HasSubstr("a replica of a replica is moved up to the primary\n"));
}

TEST(Advice, NoneForASoundConfiguration) {
  const TempDir dir;
  EXPECT_THAT(advice(sound(dir)), IsEmpty());
}

// Each guarantee that is missing or given away is named by its key.
TEST(Advice, OnGuarantees) {
  const TempDir dir;
  const auto after = [&dir](auto change) {
    Config config = sound(dir);
    change(config);
    const std::vector<std::string> list = advice(config);
    EXPECT_EQ(list.size(), 1U);
    return list.empty() ? std::string() : list[0];
  };
  EXPECT_EQ(after([](Config& c) {
              for (Backend& backend : c.backends) backend.udp.clear(), backend.serial.reset();
            }),
            "no backend has `udp` or `serial`: without agents only SQL silence tells that a primary hangs or "
            "is cut off, a dead "
            "host cannot be told from a broken network, and a primary that cannot be reached is not kept "
            "from writing");
  EXPECT_THAT(after([](Config& c) { c.backends[1].udp.clear(), c.backends[1].serial.reset(); }),
              StartsWith("backend longer has no agent"));
  EXPECT_THAT(after([](Config& c) { c.backends[1].serial.reset(); }),
              StartsWith("backend longer has only one link (udp)"));
  EXPECT_THAT(after([](Config& c) { c.backends[0].udp.clear(); }),
              StartsWith("backend a has only one link (serial)"));
  EXPECT_THAT(after([](Config& c) { c.heartbeat.lease = 0s; }),
              StartsWith("heartbeat.lease = \"0s\": a primary that is cut off"));
  EXPECT_THAT(after([](Config& c) { c.failover.automatic = false; }),
              StartsWith("failover.automatic = false: "));
  EXPECT_THAT(after([](Config& c) { c.failover.allow_loss = true; }),
              StartsWith("failover.allow_loss = true: "));
  EXPECT_THAT(after([](Config& c) { c.failover.failback = true; }), StartsWith("failover.failback = true: "));
  EXPECT_THAT(after([](Config& c) { c.failover.discard = Discard::always; }),
              StartsWith("failover.discard = \"always\": "));
  EXPECT_THAT(after([](Config& c) { c.replication.semi_sync = SemiSync::off; }),
              StartsWith("replication.semi_sync = \"off\": "));
  EXPECT_THAT(after([](Config& c) { c.replication.account.user = "pointsman"; }),
              StartsWith("monitor.user and replication.user are both pointsman"));
  EXPECT_THAT(after([](Config& c) { c.proxy.hold_timeout = 0s; }),
              StartsWith("proxy.hold_timeout = \"0s\": "));
  EXPECT_THAT(after([](Config& c) { c.proxy.max_held = 0; }), StartsWith("proxy.max_held = 0: "));
  EXPECT_THAT(after([](Config& c) { c.proxy.proxy_protocol_from = {"10.0.0.0/8", "::/0"}; }),
              StartsWith("proxy.proxy_protocol_from has ::/0"));
  EXPECT_THAT(after([](Config& c) { c.heartbeat.deadtime = 200ms; }),
              StartsWith("heartbeat.deadtime = \"200ms\""));
  EXPECT_THAT(after([](Config& c) { c.admin.metrics = "0.0.0.0:9366"; }),
              StartsWith("admin.metrics 0.0.0.0:9366: whoever"));
  EXPECT_THAT(after([](Config& c) { c.proxy.listen[0].port = 0; }),
              StartsWith("proxy.listen 10.0.0.9:0: the kernel"));
}

TEST(Advice, BaudWithoutSerial) {
  const TempDir dir;
  Config config = sound(dir);
  config.backends[0].serial.reset();
  config.backends[0].baud = 9600;
  EXPECT_THAT(advice(config), Contains(StartsWith("backend a has `baud` without `serial`")));
}

// What this host and user lack.
TEST(Advice, OnTheHost) {
  const TempDir dir;
  Config config = sound(dir);
  config.proxy.state_dir = dir.path() + "/none";
  config.admin.socket = dir.path() + "/run/admin.sock";
  config.log.file = dir.write("file", "") + "/log";
  config.proxy.max_connections = 1'000'000;
  const auto list = advice(config);
  EXPECT_THAT(list, Contains("proxy.state_dir " + dir.path() +
                             "/none does not exist: nobody is promoted without a durable epoch"));
  EXPECT_THAT(list, Contains("admin.socket: " + dir.path() +
                             "/run does not exist: the operator's commands would not reach the daemon"));
  EXPECT_THAT(list, Contains("log.file: " + dir.path() + "/file is not a directory"));
}

}  // namespace
}  // namespace pointsman::conf
