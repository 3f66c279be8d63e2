#include "conf/heartbeat_import.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conf/agent_config.h"
#include "tests/conf/config_text.h"

namespace pointsman::conf {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// As in the articles that the recipe is known from.
constexpr std::string_view article_ha_cf = R"(# /etc/ha.d/ha.cf
logfile /var/log/ha-log
logfacility local0
keepalive 2
deadtime 15   # seconds
warntime 5
initdead 120
baud 19200
serial /dev/ttyS0
udpport 694
bcast eth0
ucast eth1 192.168.10.2
auto_failback off
node dbserv1, dbserv2
ping 192.168.10.254
respawn hacluster /usr/lib/heartbeat/ipfail
)";
constexpr std::string_view article_haresources =
    "dbserv1 \\\n  192.168.10.3/24/eth0 mysql \\\n  MailTo::dba@example.com\n";
constexpr std::string_view article_authkeys = "auth 1\n1 sha1 a-secret-of-the-article\n";

std::vector<std::string> lines_of(const std::vector<Problem>& problems) {
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(to_string(problem));
  return lines;
}

std::expected<HeartbeatImport, std::vector<Problem>> import(std::string_view ha_cf,
                                                            std::string_view haresources,
                                                            std::string_view authkeys = article_authkeys) {
  const auto ha = parse_ha_cf(ha_cf, "ha.cf");
  if (!ha) return std::unexpected(ha.error());
  const auto resources = parse_haresources(haresources, "haresources");
  if (!resources) return std::unexpected(resources.error());
  const auto keys = parse_authkeys(authkeys, "authkeys");
  if (!keys) return std::unexpected(keys.error());
  return import_heartbeat(*ha, "ha.cf", *resources, "haresources", *keys);
}

HeartbeatImport must_import(std::string_view ha_cf, std::string_view haresources) {
  auto made = import(ha_cf, haresources);
  if (made) return std::move(*made);
  for (const std::string& line : lines_of(made.error())) ADD_FAILURE() << line;
  return {};
}

std::vector<std::string> problems_of_import(std::string_view ha_cf,
                                            std::string_view haresources = article_haresources) {
  const auto made = import(ha_cf, haresources);
  return made ? std::vector<std::string>{} : lines_of(made.error());
}

// The well-known two-node installation: every value arrives, and both files are what Pointsman takes.
TEST(HeartbeatImport, TakesTheArticle) {
  const HeartbeatImport made = must_import(article_ha_cf, article_haresources);
  const Config config = must_load(made.pointsman_toml);
  EXPECT_THAT(config.proxy.listen, ElementsAre(HostPort{"192.168.10.3", 3306}));
  EXPECT_EQ(config.heartbeat.keepalive, 2s);
  EXPECT_EQ(config.heartbeat.warntime, 5s);
  EXPECT_EQ(config.heartbeat.deadtime, 15s);
  EXPECT_LE(config.heartbeat.lease + config.heartbeat.keepalive, config.heartbeat.deadtime);
  EXPECT_EQ(config.heartbeat.listen.port, 694);
  EXPECT_FALSE(config.failover.failback);
  ASSERT_EQ(config.backends.size(), 2U);
  EXPECT_EQ(config.backends[1].name, "dbserv2");
  EXPECT_EQ(config.backends[1].address, (HostPort{"dbserv2", 3306}));
  EXPECT_THAT(config.backends[1].udp, ElementsAre(HostPort{"dbserv2", 694}));
  EXPECT_EQ(config.backends[0].serial, "/dev/ttyS0");
  EXPECT_EQ(config.backends[1].serial, "/dev/ttyS1");
  EXPECT_EQ(config.backends[1].baud, 19200U);
  ASSERT_EQ(made.agents.size(), 2U);
  EXPECT_EQ(made.agents[1].node, "dbserv2");
  EXPECT_THAT(made.agents[1].text, HasSubstr("node = \"dbserv2\"\n"));
  EXPECT_THAT(made.agents[1].text, HasSubstr("proxies = [\"192.168.10.3:694\"]\n"));
  EXPECT_THAT(made.agents[1].text, HasSubstr("serial = \"/dev/ttyS0\"\nbaud = 19200\nkeepalive = \"2s\"\n"));
}

// What has no counterpart is said where it stands, with what to do; the secret is in no message.
TEST(HeartbeatImport, SaysWhatHasNoCounterpart) {
  const auto notes = lines_of(must_import(article_ha_cf, article_haresources).notes);
  const auto has = [&](std::string_view start, std::string_view text) {
    return std::ranges::any_of(
        notes, [&](const std::string& n) { return n.starts_with(start) && n.contains(text); });
  };
  EXPECT_TRUE(has("ha.cf:2:1: `logfile /var/log/ha-log`", "log.file"));
  EXPECT_TRUE(has("ha.cf:5:10: `deadtime`", "default is 1s"));
  EXPECT_TRUE(has("ha.cf:7:1: `initdead 120`", "who is primary"));
  EXPECT_TRUE(has("ha.cf:9:8: ", "backend.serial"));
  EXPECT_TRUE(has("ha.cf:12:7: `ucast` eth1 192.168.10.2", "/etc/hosts"));
  EXPECT_TRUE(has("ha.cf:15:1: `ping", "isolated"));
  EXPECT_TRUE(has("ha.cf:16:1: `respawn", "systemd"));
  EXPECT_TRUE(has("haresources:2:3: address 192.168.10.3", "proxy's host"));
  EXPECT_TRUE(has("haresources:2:24: `mysql`", "read_only=1"));
  EXPECT_TRUE(has("haresources:3:3: `MailTo`", "events"));
  EXPECT_TRUE(has("authkeys: ", "sha1"));
  for (const std::string& n : notes) EXPECT_THAT(n, Not(HasSubstr("a-secret")));
}

// Every kind of file that Heartbeat takes makes one that Pointsman takes, however odd the times.
TEST(HeartbeatImport, AlwaysWritesWhatLoads) {
  const std::vector<std::string> times{"",
                                       "keepalive 50ms\ndeadtime 300ms\n",
                                       "keepalive 1\n",
                                       "deadtime 200ms\n",
                                       "deadtime 50us\nkeepalive 1us\nwarntime 7us\n",
                                       "keepalive 100\ndeadtime 50\nwarntime 3\n",
                                       "keepalive 2\ndeadtime 3\nwarntime 9\n",
                                       "keepalive 999ms\ndeadtime 3000000\n",
                                       "deadtime 1.5\nkeepalive 0.3\n",
                                       "keepalive 333333us\ndeadtime 1\nwarntime 500ms\n"};
  const std::vector<std::string> media{"bcast eth0\n",
                                       "serial /dev/ttyS0 /dev/ttyS1\n",
                                       "baud 1200\nserial /dev/ttyS7\nbcast eth0\n",
                                       "baud 921600\nserial /dev/serial/by-id/usb-x\n",
                                       "udpport 7000\nucast eth0 10.0.0.1\nucast eth0 10.0.0.2\n",
                                       "mcast eth0 225.0.0.1 1694 1 0\n",
                                       ""};
  for (const std::string& time : times) {
    for (const std::string& medium : media) {
      const std::string text = time + medium + "node a b c\n";
      const HeartbeatImport made = must_import(text, "b IPaddr2::10.0.0.9/8 IPv6addr::fd00::9/64\n");
      EXPECT_THAT(problems_of(made.pointsman_toml), ElementsAre()) << text << made.pointsman_toml;
      for (const HeartbeatImport::Agent& agent : made.agents) {
        const auto loaded = load_agent_text(agent.text, "a.toml", {.files = false});
        EXPECT_TRUE(loaded) << text << agent.text << (loaded ? "" : to_string(loaded.error().front()));
      }
    }
  }
}

// What fits is kept as it is; only what cannot hold is moved, and that is said.
TEST(HeartbeatImport, KeepsTimesThatFit) {
  const auto made =
      must_import("keepalive 100ms\nwarntime 250ms\ndeadtime 500ms\nserial /dev/ttyS0\nnode a b\n",
                  article_haresources.substr(0, 0));
  const Config config = must_load(made.pointsman_toml);
  EXPECT_EQ(config.heartbeat.keepalive, 100ms);
  EXPECT_EQ(config.heartbeat.warntime, 250ms);
  EXPECT_EQ(config.heartbeat.deadtime, 500ms);
  const auto slow = must_import("keepalive 50ms\ndeadtime 1\nserial /dev/ttyS0\nnode a b\n", "");
  EXPECT_EQ(must_load(slow.pointsman_toml).heartbeat.keepalive, 100ms);
  EXPECT_THAT(lines_of(slow.notes), Contains(HasSubstr("ha.cf:1:11: `keepalive` 50ms becomes 100ms")));
}

// A medium's setting counts from where it stands, as in Heartbeat.
TEST(HeartbeatImport, HeedsTheOrderOfSettingsAndMedia) {
  const auto ha = parse_ha_cf(
      "baud 9600\nserial /dev/ttyS0\nbaud 38400\nserial /dev/ttyS1\nudpport 700\nbcast eth0\nudpport "
      "701\nbaud 1200\n"
      "node a b\n",
      "ha.cf");
  ASSERT_TRUE(ha);
  EXPECT_EQ(ha->serials.at(0).baud, 9600U);
  EXPECT_EQ(ha->serials.at(1).baud, 38400U);
  EXPECT_EQ(ha->udp_port, 700);
  EXPECT_THAT(lines_of(must_import("bcast eth0\nudpport 701\nnode a b\n", "a 10.0.0.9").notes),
              Contains(HasSubstr("ha.cf:2:1: `udpport`: no medium")));
}

// "on" in the one directive means "off" in the other.
TEST(HeartbeatImport, ReadsFailback) {
  const auto failback = [](const std::string& line) {
    return must_load(must_import(line + "\nbcast eth0\nnode a b\n", "a 10.0.0.9").pointsman_toml)
        .failover.failback;
  };
  EXPECT_TRUE(failback("auto_failback on"));
  EXPECT_FALSE(failback("auto_failback off"));
  EXPECT_FALSE(failback("auto_failback legacy"));
  EXPECT_FALSE(failback("nice_failback on"));
  EXPECT_TRUE(failback("nice_failback off"));
  EXPECT_THAT(lines_of(must_import("nice_failback on\nnode a b\n", "a 10.0.0.9").notes),
              Contains(HasSubstr("ha.cf:1:1: `nice_failback on`")));
}

// Everything that Heartbeat refuses is refused, all of it at once, with its place.
TEST(HeartbeatImport, RefusesWhatHeartbeatRefuses) {
  EXPECT_THAT(
      problems_of_import(
          "keepalive 1s\nkepalive 2\nbaud 100\nserial ttyS0\nnode dbserv1 dbserv1\nudpport 0\n"),
      ElementsAre("ha.cf:1:11: `keepalive` \"1s\": the unit may be ms or us; a number alone is seconds",
                  "ha.cf:2:1: unknown directive \"kepalive\": did you mean \"keepalive\"?",
                  "ha.cf:3:6: no serial line has \"100\" baud",
                  "ha.cf:4:8: a serial device is an absolute path, found \"ttyS0\"",
                  "ha.cf:5:14: node \"dbserv1\" is there twice",
                  "ha.cf:6:9: a port is a number from 1 to 65535, found \"0\""));
  EXPECT_THAT(problems_of_import("deadtime\nauto_failback maybe\nucast eth0\nnode a b\n"),
              ElementsAre("ha.cf:1:1: `deadtime` needs a value",
                          "ha.cf:2:15: `auto_failback` is on or off, found \"maybe\"",
                          "ha.cf:3:1: `ucast` takes 2 values, found 1"));
  EXPECT_THAT(problems_of_import("keepalive 1 2\nkeepalive 1\nkeepalive 2\nnode a b\n"),
              ElementsAre("ha.cf:1:13: `keepalive` takes one value",
                          "ha.cf:3:1: `keepalive` is there twice, first in line 2"));
  EXPECT_THAT(problems_of_import("bcast eth0\n"), ElementsAre("ha.cf: no `node` is named"));
  EXPECT_THAT(problems_of_import(""), ElementsAre("ha.cf: no `node` is named"));
}

TEST(HeartbeatImport, RefusesWhatPointsmanCannotDo) {
  EXPECT_THAT(problems_of_import("node dbserv1\n"),
              ElementsAre("ha.cf:1:6: one node: Pointsman needs at least two database servers"));
  EXPECT_THAT(problems_of_import("node db1 db!\n", "db1 10.0.0.1"),
              Contains(HasSubstr("ha.cf:1:10: node \"db!\" does not fit")));
  EXPECT_THAT(problems_of_import("node a b c d e f g h i j k l m n o p q\n", "a 10.0.0.1"),
              ElementsAre("ha.cf:1:38: more than 16 nodes"));
}

// A long host name stays the host to connect to, while the node gets a name that a heartbeat can carry.
TEST(HeartbeatImport, ShortensLongNames) {
  const auto made = must_import("bcast eth0\nnode database-one.example.com database-two.example.com\n",
                                "database-one.example.com 10.0.0.9\n");
  const Config config = must_load(made.pointsman_toml);
  EXPECT_EQ(config.backends[0].name, "database-one");
  EXPECT_EQ(config.backends[0].address.host, "database-one.example.com");
  EXPECT_EQ(made.agents[1].node, "database-two");
}

TEST(HeartbeatImport, ReadsResources) {
  const auto parsed = parse_haresources(
      "# comment\nnode1 10.0.0.1 IPaddr::10.0.0.2/24/eth0/10.0.0.255 drbddisk::r0 "
      "\\\n\tFilesystem::/dev/drbd0::/data::ext3\n"
      "node2\tIPv6addr::fd00::1/64\n",
      "haresources");
  ASSERT_TRUE(parsed);
  ASSERT_EQ(parsed->groups.size(), 2U);
  const auto& first = parsed->groups[0];
  ASSERT_EQ(first.resources.size(), 4U);
  EXPECT_EQ(first.resources[0].address, (HostPort{"10.0.0.1", 0}));
  EXPECT_EQ(first.resources[1].address, (HostPort{"10.0.0.2", 0}));
  EXPECT_EQ(first.resources[2].type, "drbddisk");
  EXPECT_EQ(first.resources[3].arguments, "/dev/drbd0::/data::ext3");
  EXPECT_EQ(first.resources[3].at, (Position{3, 2}));
  EXPECT_EQ(parsed->groups[1].resources[0].address, (HostPort{"fd00::1", 0}));

  EXPECT_THAT(
      problems_of_import("node a b\n", "a 10.0.0.300\nb\nIPaddr::10.0.0.1 mysql\na IPaddr::name ::x\n"),
      ElementsAre(
          "haresources:1:3: IPaddr needs an IPv4 address, found \"10.0.0.300\"",
          "haresources:2:1: node \"b\" has no resource",
          "haresources:3:1: a line begins with the name of a node, found the resource \"IPaddr::10.0.0.1\"",
          "haresources:4:3: IPaddr needs an IPv4 address, found \"name\"",
          "haresources:4:16: a resource's name is missing before the ::"));
  EXPECT_THAT(problems_of_import("node a b\n", "c 10.0.0.3\n"),
              ElementsAre("haresources:1:1: node \"c\" is not one of those in ha.cf"));
}

TEST(HeartbeatImport, ReadsTimes) {
  EXPECT_EQ(parse_heartbeat_time("2"), 2s);
  EXPECT_EQ(parse_heartbeat_time("0.5"), 500ms);
  EXPECT_EQ(parse_heartbeat_time("1500ms"), 1500ms);
  EXPECT_EQ(parse_heartbeat_time("2500us"), 2500us);
  for (const std::string_view bad :
       {"", "ms", "1s", "-1", "1e3", "1.2.3", "99999999999999999999", "0", "1 ms", "1m"}) {
    EXPECT_FALSE(parse_heartbeat_time(bad)) << bad;
  }
}

// Control characters, quotes and other alphabets can do no harm, neither in a message nor in the files
// written.
TEST(HeartbeatImport, IsSafeAgainstHostileText) {
  EXPECT_THAT(problems_of_import("node a b\x1b[2J\n"),
              ElementsAre("ha.cf:1:9: only printable ASCII may stand here, found \"\\x1b\""));
  EXPECT_THAT(problems_of_import(std::string_view("node a b\0c\n", 11)), Contains(HasSubstr("\\x00")));
  EXPECT_THAT(problems_of_import("# d\xc3\xa9j\xc3\xa0 vu\nnode a b\xc3\xa9\n", "a 10.0.0.9"),
              Contains(HasSubstr("ha.cf:2:9: ")));
  const auto made = must_import("serial /dev/\"]\\x\nnode a b\n", "a 10.0.0.9\n");
  EXPECT_EQ(must_load(made.pointsman_toml).backends[0].serial, "/dev/\"]\\x");
  std::string many = "node a b\n";
  for (int i = 0; i < 1000; ++i) many += "nonsense\n";
  EXPECT_EQ(problems_of_import(many).size(), 100U);
  EXPECT_THAT(problems_of_import("node a b\r\nkeepalive 1\r\n", "a 10.0.0.9\r\n"), ElementsAre());
}

// The three files as they lie on a disk: what is wrong with each of them is told at once.
TEST(HeartbeatImport, ReadsFiles) {
  const TempDir folder;
  const std::string ha = folder.write("ha.cf", article_ha_cf);
  const std::string resources = folder.write("haresources", article_haresources);
  const std::string keys = folder.write("authkeys", article_authkeys);
  const auto made = import_heartbeat_files(ha, resources, keys);
  ASSERT_TRUE(made) << lines_of(made.error()).front();
  EXPECT_THAT(made->pointsman_toml, HasSubstr("keepalive = \"2s\"   # ha.cf:4\n"));
  ASSERT_EQ(::chmod(keys.c_str(), 0644), 0);
  const auto failed = import_heartbeat_files("/nonexistent/ha.cf", "/dev/null", keys);
  ASSERT_FALSE(failed);
  const auto lines = lines_of(failed.error());
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0], "/nonexistent/ha.cf: cannot open: No such file or directory");
  EXPECT_EQ(lines[1], "/dev/null: not a regular file");
  EXPECT_THAT(lines[2], HasSubstr("chmod 600"));
}

}  // namespace
}  // namespace pointsman::conf
