#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/conf/config_text.h"

// Keys that are each in range and together cannot hold.
namespace pointsman::conf {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string linked =
    "[[backend]]\nname = \"a\"\naddress = \"10.0.0.1:3306\"\nudp = \"10.0.0.1:694\"\n"
    "[[backend]]\nname = \"b\"\naddress = \"10.0.0.2:3306\"\nudp = \"10.0.0.2:694\"\n";

// With agents, all times count, the defaults included.
TEST(Relations, TimesWithAgents) {
  const auto problems = [](const std::string& heartbeat, const std::string& monitor = "") {
    return problems_of("[heartbeat]\nnode = \"p\"\n" + heartbeat + monitor_section + monitor +
                       replication_section + linked);
  };
  EXPECT_THAT(problems(""), IsEmpty());
  EXPECT_THAT(problems("deadtime = \"100ms\"\n", "interval = \"50ms\"\ntimeout = \"50ms\"\n"),
              ElementsAre("p.toml:3:12: heartbeat.deadtime (100ms) must be longer than heartbeat.keepalive "
                          "(100ms, the default)"));
  EXPECT_THAT(
      problems("keepalive = \"1s\"\n"),
      ElementsAre(
          "p.toml:3:13: heartbeat.deadtime (1s, the default) must be longer than heartbeat.keepalive (1s)"));
  EXPECT_THAT(problems("warntime = \"100ms\"\n"),
              ElementsAre("p.toml:3:12: heartbeat.warntime (100ms) must be longer than heartbeat.keepalive "
                          "(100ms, the default)"));
  EXPECT_THAT(
      problems("warntime = \"1s\"\n"),
      ElementsAre(
          "p.toml:3:12: heartbeat.warntime (1s) must be shorter than heartbeat.deadtime (1s, the default)"));
  EXPECT_THAT(problems("lease = \"900ms\"\n"), IsEmpty());
  EXPECT_THAT(
      problems("lease = \"901ms\"\n"),
      ElementsAre(
          "p.toml:3:9: heartbeat.lease (901ms) and heartbeat.keepalive (100ms, the default) together must "
          "not "
          "exceed heartbeat.deadtime (1s, the default): a primary that hears nothing must have stopped "
          "writing before another is promoted"));
  EXPECT_THAT(
      problems("deadtime = \"800ms\"\n"),
      ElementsAre(
          "p.toml:3:12: heartbeat.lease (800ms, the default) and heartbeat.keepalive (100ms, the default) "
          "together must not exceed heartbeat.deadtime (800ms): a primary that hears nothing must have "
          "stopped writing before another is promoted"));
  EXPECT_THAT(problems("lease = \"0s\"\ndeadtime = \"800ms\"\n"), IsEmpty());
  EXPECT_THAT(problems("lease = \"200ms\"\n"), IsEmpty());
  EXPECT_THAT(problems("lease = \"199ms\"\n"),
              ElementsAre("p.toml:3:9: heartbeat.lease (199ms) must be at least twice heartbeat.keepalive "
                          "(100ms, the default): "
                          "one lost frame would stop a healthy primary"));
}

// Without agents only deadtime counts: a short one needs no other key, unless the operator wrote it.
TEST(Relations, TimesWithoutAgents) {
  const auto problems = [](const std::string& heartbeat, const std::string& monitor) {
    return problems_of("[heartbeat]\n" + heartbeat + monitor_section + monitor + replication_section +
                       two_backends);
  };
  EXPECT_THAT(problems("deadtime = \"300ms\"\n", "interval = \"50ms\"\ntimeout = \"200ms\"\n"), IsEmpty());
  EXPECT_THAT(
      problems("deadtime = \"300ms\"\nwarntime = \"400ms\"\n", "interval = \"50ms\"\ntimeout = \"200ms\"\n"),
      ElementsAre("p.toml:3:12: heartbeat.warntime (400ms) must be shorter than heartbeat.deadtime (300ms)"));
  EXPECT_THAT(
      problems("deadtime = \"300ms\"\nlease = \"290ms\"\n", "interval = \"50ms\"\ntimeout = \"200ms\"\n"),
      ElementsAre(
          "p.toml:3:9: heartbeat.lease (290ms) and heartbeat.keepalive (100ms, the default) together must "
          "not "
          "exceed heartbeat.deadtime (300ms): a primary that hears nothing must have stopped writing before "
          "another is promoted"));
}

// A server that answers just in time must not be declared dead.
TEST(Relations, ProbeTimes) {
  const auto problems = [](const std::string& monitor) {
    return problems_of(monitor_section + monitor + replication_section + two_backends);
  };
  EXPECT_THAT(problems("interval = \"500ms\"\n"), IsEmpty());
  EXPECT_THAT(
      problems("interval = \"501ms\"\n"),
      ElementsAre(
          "p.toml:4:12: monitor.interval (501ms) and monitor.timeout (500ms, the default) together must not "
          "exceed heartbeat.deadtime (1s, the default): a server that answers just in time would be declared "
          "dead"));
  EXPECT_THAT(
      problems("timeout = \"2s\"\n"),
      ElementsAre(
          "p.toml:4:11: monitor.interval (200ms, the default) and monitor.timeout (2s) together must not "
          "exceed "
          "heartbeat.deadtime (1s, the default): a server that answers just in time would be declared dead"));
}

// A value that was refused already does not cause a second complaint about its default.
TEST(Relations, RefusedValuesAreLeftOut) {
  EXPECT_THAT(problems_of("[heartbeat]\ndeadtime = 1\nkeepalive = \"5s\"\n" + rest),
              ElementsAre("p.toml:2:12: heartbeat.deadtime: expected a duration from \"50ms\" to \"10m\", "
                          "found the integer 1: a "
                          "duration is a string with its unit"));
}

TEST(Relations, HeldClients) {
  EXPECT_THAT(problems_of("[proxy]\nmax_connections = 10\n" + rest), IsEmpty());
  EXPECT_THAT(
      problems_of("[proxy]\nmax_held = 5000\n" + rest),
      ElementsAre(
          "p.toml:2:12: proxy.max_held (5000) must not exceed proxy.max_connections (4000, the default)"));
  EXPECT_THAT(problems_of("[proxy]\nmax_held = 11\nmax_connections = 10\n" + rest),
              ElementsAre("p.toml:2:12: proxy.max_held (11) must not exceed proxy.max_connections (10)"));
}

// A Unix socket has one place, and one use.
TEST(Relations, UnixSockets) {
  EXPECT_THAT(
      problems_of("[proxy]\nlisten_unix = [\"/a\", \"/b\", \"/a\"]\n[admin]\nsocket = \"/b\"\n" + rest),
      ElementsAre("p.toml:2:22: proxy.listen_unix and admin.socket are both /b",
                  "p.toml:2:28: proxy.listen_unix has /a twice"));
}

// Listeners that collide with each other, or with a server behind them.
TEST(Relations, Listeners) {
  const auto problems = [](const std::string& listen, const std::string& backend) {
    return problems_of("[proxy]\nlisten = [" + listen + "]\n[[backend]]\nname = \"a\"\naddress = \"" +
                       backend + "\"\n[[backend]]\nname = \"b\"\naddress = \"10.0.0.2:3306\"\n" + accounts);
  };
  EXPECT_THAT(problems("\"0.0.0.0:3306\"", "10.0.0.1:3306"), IsEmpty());
  EXPECT_THAT(problems("\"127.0.0.1:0\", \"127.0.0.1:0\"", "10.0.0.1:3306"), IsEmpty());
  EXPECT_THAT(problems("\"h:1\", \"H:1\"", "10.0.0.1:3306"),
              ElementsAre("p.toml:2:18: proxy.listen has H:1 twice"));
  EXPECT_THAT(problems("\"127.0.0.1:3307\"", "127.0.0.1:3307"),
              ElementsAre("p.toml:5:11: backend.address 127.0.0.1:3307 is where proxy.listen 127.0.0.1:3307 "
                          "listens: Pointsman "
                          "would relay clients to itself"));
  EXPECT_THAT(
      problems("\"0.0.0.0:3307\"", "localhost:3307"),
      ElementsAre(
          "p.toml:5:11: backend.address localhost:3307 is where proxy.listen 0.0.0.0:3307 listens: Pointsman "
          "would relay clients to itself"));
  EXPECT_THAT(
      problems("\"[::]:3307\"", "[::1]:3307"),
      ElementsAre(
          "p.toml:5:11: backend.address [::1]:3307 is where proxy.listen [::]:3307 listens: Pointsman would "
          "relay clients to itself"));
  EXPECT_THAT(problems("\"127.0.0.1:9366\"", "10.0.0.1:3306"),
              ElementsAre("p.toml:2:10: admin.metrics and proxy.listen are both 127.0.0.1:9366"));
}

// Two backends that are the same in something that must be their own.
TEST(Relations, UniqueBackends) {
  const auto problems = [](const std::string& first, const std::string& second) {
    return problems_of("[[backend]]\n" + first + "[[backend]]\n" + second + "[heartbeat]\nnode = \"p\"\n" +
                       accounts);
  };
  const std::string a = "name = \"a\"\naddress = \"h1:1\"\n";
  const std::string b = "name = \"b\"\naddress = \"h2:1\"\n";
  EXPECT_THAT(problems(a, "name = \"a\"\naddress = \"h2:1\"\n"),
              ElementsAre("p.toml:5:8: backend.name \"a\" is there twice"));
  EXPECT_THAT(problems(a, "name = \"b\"\naddress = \"H1:1\"\n"),
              ElementsAre("p.toml:6:11: backend.address H1:1 is already that of backend \"a\""));
  EXPECT_THAT(problems(a + "udp = [\"h1:2\", \"h1:3\"]\n", b + "udp = [\"h2:2\", \"h1:3\"]\n"),
              ElementsAre("p.toml:8:16: backend.udp h1:3 is already that of backend \"a\""));
  EXPECT_THAT(problems(a + "udp = [\"h1:2\", \"h1:2\"]\n", b),
              ElementsAre("p.toml:4:16: backend.udp h1:2 is there twice"));
  EXPECT_THAT(problems(a + "serial = \"/dev/ttyS0\"\n", b + "serial = \"/dev/ttyS0\"\n"),
              ElementsAre("p.toml:8:10: backend.serial \"/dev/ttyS0\" is already that of backend \"a\""));
}

// Somebody has to be able to be the primary.
TEST(Relations, SomebodyIsPromotable) {
  const auto problems = [](const std::string& first, const std::string& second) {
    return problems_of("[[backend]]\nname = \"a\"\naddress = \"10.0.0.1:1\"\n" + first +
                       "[[backend]]\nname = \"b\"\naddress = \"10.0.0.2:1\"\n" + second + accounts);
  };
  EXPECT_THAT(problems("never_promote = true\n", ""), IsEmpty());
  EXPECT_THAT(
      problems("never_promote = true\n", "never_promote = true\n"),
      ElementsAre("p.toml:8:17: backend.never_promote is true for every backend: none could ever be the "
                  "primary"));
}

// A link needs the name of this host, which is not a backend's, and must not lead back to us.
TEST(Relations, Links) {
  EXPECT_THAT(problems_of(linked + accounts),
              ElementsAre("p.toml:4:7: heartbeat.node is missing: it is mandatory as soon as a backend has "
                          "`udp` or `serial`"));
  EXPECT_THAT(problems_of("[heartbeat]\nnode = \"a\"\n" + linked + accounts),
              ElementsAre("p.toml:2:8: heartbeat.node \"a\" is the name of a backend; it must name the host "
                          "that Pointsman runs "
                          "on"));
  EXPECT_THAT(problems_of("[heartbeat]\nnode = \"p\"\nlisten = \"10.0.0.2:694\"\n" + linked + accounts),
              ElementsAre("p.toml:11:7: backend.udp 10.0.0.2:694 is where heartbeat.listen 10.0.0.2:694 "
                          "listens: Pointsman would "
                          "hear itself"));
}

// A heartbeat must fit a serial line twice over.
TEST(Relations, SerialLine) {
  const auto problems = [](const std::string& keepalive, const std::string& line) {
    return problems_of("[heartbeat]\nnode = \"p\"\nkeepalive = \"" + keepalive + "\"\n" + two_backends +
                       line + accounts);
  };
  EXPECT_THAT(problems("100ms", "serial = \"/dev/ttyS0\"\nbaud = 19200\n"), IsEmpty());
  EXPECT_THAT(problems("20ms", "serial = \"/dev/ttyS0\"\nbaud = 115200\n"), IsEmpty());
  EXPECT_THAT(problems("20ms", "baud = 9600\n"), IsEmpty());
  EXPECT_THAT(problems("100ms", "serial = \"/dev/ttyS0\"\nbaud = 9600\n"),
              ElementsAre("p.toml:11:8: backend.serial \"/dev/ttyS0\": a frame of 96 bytes every 100ms takes "
                          "9600 bits/s, 100% of "
                          "9600 baud; at most 50% is allowed: heartbeat.keepalive must be at least 200ms for "
                          "this line, or baud "
                          "19200"));
  EXPECT_THAT(problems("20ms", "serial = \"/dev/ttyS0\"\n"),
              ElementsAre("p.toml:3:13: backend.serial \"/dev/ttyS0\": a frame of 96 bytes every 20ms takes "
                          "48000 bits/s, 250% of "
                          "19200 baud; at most 50% is allowed: heartbeat.keepalive must be at least 100ms "
                          "for this line, or baud "
                          "115200"));
  EXPECT_THAT(problems("100ms", "serial = \"/dev/ttyS0\"\nbaud = 19201\n"),
              ElementsAre("p.toml:11:8: backend.baud: expected one of 1200, 2400, 4800, 9600, 19200, 38400, "
                          "57600, 115200, 230400, "
                          "460800, 921600, found the integer 19201"));
}

}  // namespace
}  // namespace pointsman::conf
