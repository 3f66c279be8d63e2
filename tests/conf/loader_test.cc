#include "conf/loader.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conf/duration.h"
#include "conf/event_kinds.h"
#include "tests/conf/config_text.h"

namespace pointsman::conf {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Case {
  std::string text;
  std::string problem;
};

// The smallest file of the README: everything else has a default.
TEST(Loader, SmallestFile) {
  const Config config = must_load("[proxy]\nlisten = [\"0.0.0.0:3306\"]\n" + rest);
  EXPECT_EQ(config.file, "p.toml");
  EXPECT_EQ(config.proxy.listen, (std::vector<HostPort>{{"0.0.0.0", 3306}}));
  EXPECT_EQ(config.proxy.max_connections, 4000U);
  EXPECT_EQ(config.monitor.account.user, "pointsman");
  EXPECT_EQ(config.monitor.account.password, "");
  ASSERT_EQ(config.backends.size(), 2U);
  EXPECT_EQ(config.backends[1].name, "dbserv2");
  EXPECT_EQ(config.backends[1].address, (HostPort{"10.0.0.2", 3306}));
  EXPECT_FALSE(config.backends[1].has_agent());
  EXPECT_THAT(problems_of(rest), IsEmpty());
}

// Every key away from its default lands in its field.
TEST(Loader, EveryKey) {
  const Config c = must_load(R"(
[proxy]
listen = ["10.9.9.9:3306", "[::1]:3307"]
listen_unix = ["/u.sock", "/v.sock"]
threads = 3
max_connections = 100
connect_timeout = "1.5s"
hold_timeout = "0s"
max_held = 0
release_rate = 7
proxy_protocol = "v2"
proxy_protocol_from = ["10.0.0.0/8", "fd00::/8"]
state_dir = "/s"
[admin]
socket = "/a.sock"
metrics = ""
[log]
level = "error"
file = "/l"
format = "json"
[monitor]
user = "m"
password_file = "/mp"
interval = "20ms"
timeout = "30ms"
[replication]
user = "r"
password_file = "/rp"
semi_sync = "required"
chained = "move_up"
[heartbeat]
node = "here"
listen = "[::]:695"
keepalive = "50ms"
warntime = "100ms"
deadtime = "500ms"
lease = "0s"
authkeys = "/k"
[failover]
automatic = false
failback = true
allow_loss = true
discard = "always"
binlog_program = "/b"
refused_confirm = 1
catchup_timeout = "1m"
window = "1h"
max_in_window = 9
[fence]
kill_hung = false
command = ["/bin/fence", "", "--off"]
[hooks]
command = ["/bin/tell", "--now"]
events = ["all", "verdict"]
timeout = "2m"
[[backend]]
name = "b.1"
address = "h1:1"
udp = "h1:2"
[[backend]]
name = "b_2"
address = "h2:1"
udp = ["h2:2", "h2:3"]
serial = "/dev/ttyS9"
baud = 115200
[[backend]]
name = "b-3"
address = "[::2]:1"
priority = 0
never_promote = true
)");
  EXPECT_EQ(c.proxy.listen, (std::vector<HostPort>{{"10.9.9.9", 3306}, {"::1", 3307}}));
  EXPECT_THAT(c.proxy.listen_unix, ElementsAre("/u.sock", "/v.sock"));
  EXPECT_EQ(c.proxy.threads, 3U);
  EXPECT_EQ(c.proxy.max_connections, 100U);
  EXPECT_EQ(c.proxy.connect_timeout, 1500ms);
  EXPECT_EQ(c.proxy.hold_timeout, 0s);
  EXPECT_EQ(c.proxy.max_held, 0U);
  EXPECT_EQ(c.proxy.release_rate, 7U);
  EXPECT_EQ(c.proxy.proxy_protocol, ProxyProtocol::v2);
  EXPECT_THAT(c.proxy.proxy_protocol_from, ElementsAre("10.0.0.0/8", "fd00::/8"));
  EXPECT_EQ(c.proxy.state_dir, "/s");
  EXPECT_EQ(c.admin.socket, "/a.sock");
  EXPECT_EQ(c.admin.metrics, "");
  EXPECT_EQ(c.log.level, LogLevel::error);
  EXPECT_EQ(c.log.file, "/l");
  EXPECT_EQ(c.log.format, LogFormat::json);
  EXPECT_EQ(c.monitor.account.user, "m");
  EXPECT_EQ(c.monitor.account.password_file, "/mp");
  EXPECT_EQ(c.monitor.interval, 20ms);
  EXPECT_EQ(c.monitor.timeout, 30ms);
  EXPECT_EQ(c.replication.account.user, "r");
  EXPECT_EQ(c.replication.account.password_file, "/rp");
  EXPECT_EQ(c.replication.semi_sync, SemiSync::required);
  EXPECT_EQ(c.replication.chained, Chained::move_up);
  EXPECT_EQ(c.heartbeat.node, "here");
  EXPECT_EQ(c.heartbeat.listen, (HostPort{"::", 695}));
  EXPECT_EQ(c.heartbeat.keepalive, 50ms);
  EXPECT_EQ(c.heartbeat.warntime, 100ms);
  EXPECT_EQ(c.heartbeat.deadtime, 500ms);
  EXPECT_EQ(c.heartbeat.lease, 0s);
  EXPECT_EQ(c.heartbeat.authkeys, "/k");
  EXPECT_FALSE(c.failover.automatic);
  EXPECT_TRUE(c.failover.failback);
  EXPECT_TRUE(c.failover.allow_loss);
  EXPECT_EQ(c.failover.discard, Discard::always);
  EXPECT_EQ(c.failover.binlog_program, "/b");
  EXPECT_EQ(c.failover.refused_confirm, 1U);
  EXPECT_EQ(c.failover.catchup_timeout, 1min);
  EXPECT_EQ(c.failover.window, 1h);
  EXPECT_EQ(c.failover.max_in_window, 9U);
  EXPECT_FALSE(c.fence.kill_hung);
  EXPECT_THAT(c.fence.command, ElementsAre("/bin/fence", "", "--off"));
  EXPECT_THAT(c.hooks.command, ElementsAre("/bin/tell", "--now"));
  EXPECT_THAT(c.hooks.events, ElementsAre("all", "verdict"));
  EXPECT_EQ(c.hooks.timeout, 2min);
  ASSERT_EQ(c.backends.size(), 3U);
  EXPECT_EQ(c.backends[0].udp, (std::vector<HostPort>{{"h1", 2}}));
  EXPECT_EQ(c.backends[0].serial, std::nullopt);
  EXPECT_EQ(c.backends[1].udp, (std::vector<HostPort>{{"h2", 2}, {"h2", 3}}));
  EXPECT_EQ(c.backends[1].serial, "/dev/ttyS9");
  EXPECT_EQ(c.backends[1].baud, 115200U);
  EXPECT_EQ(c.backends[2].address, (HostPort{"::2", 1}));
  EXPECT_EQ(c.backends[0].priority, 100U);
  EXPECT_FALSE(c.backends[0].never_promote);
  EXPECT_EQ(c.backends[2].priority, 0U);
  EXPECT_TRUE(c.backends[2].never_promote);
}

// One mistake in each kind of key: what was expected, what was found, and where.
TEST(Loader, ValuesOfEachKind) {
  const Case cases[] = {
      {"[proxy]\nthreads = \"four\"\n",
       R"(p.toml:2:11: proxy.threads: expected an integer from 0 to 256, found the string "four")"},
      {"[proxy]\nthreads = -1\n",
       "p.toml:2:11: proxy.threads: expected an integer from 0 to 256, found the integer -1"},
      {"[proxy]\nthreads = 257\n",
       "p.toml:2:11: proxy.threads: expected an integer from 0 to 256, found the integer 257"},
      {"[proxy]\nmax_connections = 9223372036854775807\n",
       "p.toml:2:19: proxy.max_connections: expected an integer from 1 to 1000000, found the integer "
       "9223372036854775807"},
      {"[proxy]\nthreads = 1.5\n",
       "p.toml:2:11: proxy.threads: expected an integer from 0 to 256, found a number with a fraction"},
      {"[proxy]\nthreads = true\n",
       "p.toml:2:11: proxy.threads: expected an integer from 0 to 256, found true"},
      {"[proxy]\nthreads = 2020-01-01\n",
       "p.toml:2:11: proxy.threads: expected an integer from 0 to 256, found a date or time"},
      {"[proxy]\nthreads = [1]\n",
       "p.toml:2:11: proxy.threads: expected an integer from 0 to 256, found an array"},
      {"[proxy.threads]\n", "p.toml:1:1: proxy.threads: expected an integer from 0 to 256, found a table"},
      {"[proxy]\nhold_timeout = 10\n",
       "p.toml:2:16: proxy.hold_timeout: expected a duration of \"0s\", or from \"10ms\" to \"1h\", found "
       "the integer 10: a "
       "duration is a string with its unit"},
      {"[proxy]\nconnect_timeout = \"0s\"\n",
       R"(p.toml:2:19: proxy.connect_timeout: expected a duration from "10ms" to "1m", found the string "0s")"},
      {"[proxy]\nconnect_timeout = \"2m\"\n",
       R"(p.toml:2:19: proxy.connect_timeout: expected a duration from "10ms" to "1m", found the string "2m")"},
      {"[proxy]\nconnect_timeout = \"5 s\"\n",
       "p.toml:2:19: proxy.connect_timeout: expected a duration from \"10ms\" to \"1m\", found the string "
       "\"5 s\": the unit "
       "must be ns, us, ms, s, m or h"},
      {"[proxy]\nproxy_protocol = \"v1\"\n",
       R"(p.toml:2:18: proxy.proxy_protocol: expected one of "off", "v2", found the string "v1")"},
      {"[proxy]\nproxy_protocol = 2\n",
       R"(p.toml:2:18: proxy.proxy_protocol: expected one of "off", "v2", found the integer 2)"},
      {"[proxy]\nlisten = [\"0.0.0.0:3306\", \"0.0.0.0\"]\n",
       "p.toml:2:27: proxy.listen: expected addresses as \"host:port\", 1 to 16 of them, found the string "
       "\"0.0.0.0\": the "
       "port is missing"},
      {"[proxy]\nlisten = []\n",
       R"(p.toml:2:10: proxy.listen: expected addresses as "host:port", 1 to 16 of them, found 0)"},
      {"[proxy]\nlisten = 3306\n",
       R"(p.toml:2:10: proxy.listen: expected addresses as "host:port", 1 to 16 of them, found the integer 3306)"},
      {"[proxy]\nproxy_protocol_from = [\n  \"10.0.0.0/8\",\n  \"10.0.0.1/8\",\n]\n",
       "p.toml:4:3: proxy.proxy_protocol_from: expected an array of networks such as \"10.0.0.0/8\", at most "
       "256, found the "
       "string \"10.0.0.1/8\": the address has bits behind the prefix"},
      {"[proxy]\nlisten_unix = [\"unix:/run/s\"]\n",
       "p.toml:2:16: proxy.listen_unix: expected an array of absolute paths of at most 107 bytes, at most "
       "16, "
       "found the string \"unix:/run/s\": it does not start with /"},
      {"[proxy]\nproxy_protocol_from = \"10.0.0.0/8\"\n",
       "p.toml:2:23: proxy.proxy_protocol_from: expected an array of networks such as \"10.0.0.0/8\", at "
       "most 256, found the "
       "string \"10.0.0.0/8\""},
      {"[proxy]\nstate_dir = \"state\"\n",
       "p.toml:2:13: proxy.state_dir: expected an absolute path, found the string \"state\": it does not "
       "start with /"},
      {"[proxy]\nstate_dir = \"\"\n",
       R"(p.toml:2:13: proxy.state_dir: expected an absolute path, found the string "": it is empty)"},
      {"[proxy]\nstate_dir = \"/a\\nb\"\n",
       "p.toml:2:13: proxy.state_dir: expected an absolute path, found the string \"/a\\x0ab\": it contains "
       "a control "
       "character"},
      {"[admin]\nsocket = \"/" + std::string(107, 'x') + "\"\n",
       "p.toml:2:10: admin.socket: expected an absolute path of at most 107 bytes, found the string \"/" +
           std::string(59, 'x') + "\"...: it is longer than 107 bytes"},
      {"[admin]\nmetrics = \"9366\"\n",
       "p.toml:2:11: admin.metrics: expected \"host:port\", or \"\" for none, found the string \"9366\": the "
       "host is not a "
       "valid IPv4 address"},
      {"[log]\nfile = \"x.log\"\n",
       "p.toml:2:8: log.file: expected an absolute path, or \"\" for standard error, found the string "
       "\"x.log\": it does not "
       "start with /"},
      {"[failover]\nautomatic = \"yes\"\n",
       R"(p.toml:2:13: failover.automatic: expected true or false, found the string "yes")"},
      {"[failover]\nautomatic = 1\n",
       "p.toml:2:13: failover.automatic: expected true or false, found the integer 1"},
      {"[heartbeat]\nnode = \"a b\"\n",
       "p.toml:2:8: heartbeat.node: expected a name of 1 to 64 characters out of A-Z, a-z, 0-9, '.', '_' and "
       "'-', found the "
       "string \"a b\": it contains another character"},
      {"[heartbeat]\nlisten = \"[::1\"\n",
       R"(p.toml:2:10: heartbeat.listen: expected an address as "host:port", found the string "[::1": the closing ] is missing)"},
      {"[fence]\ncommand = [1]\n",
       "p.toml:2:12: fence.command: expected an array of texts: a program's absolute path and its arguments, "
       "at most 64, "
       "found the integer 1"},
      {"[fence]\ncommand = \"/bin/fence\"\n",
       "p.toml:2:11: fence.command: expected an array of texts: a program's absolute path and its arguments, "
       "at most 64, "
       "found the string \"/bin/fence\""},
      {"[fence]\ncommand = [\"\"]\n",
       "p.toml:2:12: fence.command: expected a program's absolute path first, found an empty text"},
      {"[fence]\ncommand = [\"fence\"]\n",
       "p.toml:2:12: fence.command: expected a program's absolute path first, found \"fence\""},
      {"[hooks]\ncommand = [\"tell\"]\n",
       "p.toml:2:12: hooks.command: expected a program's absolute path first, found \"tell\""},
      {"[hooks]\ncommand = [\"/bin/tell\"]\nevents = []\n",
       "p.toml:3:10: hooks.events is empty: hooks.command would never be run"},
      {"[hooks]\nevents = [\"failover\", 1]\n",
       "p.toml:2:23: hooks.events: expected an array of kinds of events, or \"all\" for every kind, at most "
       "64, "
       "found the integer 1"},
      {"[hooks]\ntimeout = \"0s\"\n",
       "p.toml:2:11: hooks.timeout: expected a duration from \"100ms\" to \"10m\", found the string \"0s\""},
  };
  for (const Case& c : cases) EXPECT_THAT(problems_of(c.text + rest), ElementsAre(c.problem)) << c.text;
}

// A kind of events that there is not: which there are, and which was meant.
TEST(Loader, KindsOfEvents) {
  const auto problem = [](const std::string& kind) {
    const auto problems = problems_of("[hooks]\nevents = [\"" + kind + "\"]\n" + rest);
    return problems.size() == 1 ? problems[0] : "no problem";
  };
  for (const std::string_view kind : event_kinds) EXPECT_EQ(problem(std::string(kind)), "no problem");
  EXPECT_EQ(problem("all"), "no problem");
  std::string list;
  for (const std::string_view kind : event_kinds) list += (list.empty() ? "" : ", ") + std::string(kind);
  const std::string expected =
      "p.toml:2:11: hooks.events: expected an array of kinds of events, or \"all\" for every kind, at most "
      "64, found ";
  EXPECT_EQ(problem("quarantined"),
            expected + R"(the string "quarantined": did you mean "quarantine"? The kinds are )" + list);
  EXPECT_EQ(problem("step"), expected + R"(the string "step": The kinds are )" + list);
  EXPECT_EQ(problem(""), expected + R"(the string "": The kinds are )" + list);
}

// What decides over a server's place in the cluster.
TEST(Loader, PlacesOfServers) {
  EXPECT_THAT(problems_of("[replication]\nchained = \"up\"\nuser = \"r\"\npassword_file = \"/r\"\n" +
                          monitor_section + two_backends),
              ElementsAre(R"(p.toml:2:11: replication.chained: expected one of "keep", "move_up", found the )"
                          R"(string "up")"));
  EXPECT_THAT(
      problems_of(accounts + two_backends + "priority = 1001\nnever_promote = 1\n"),
      ElementsAre("p.toml:13:12: backend.priority: expected an integer from 0 to 1000, found the integer "
                  "1001",
                  "p.toml:14:17: backend.never_promote: expected true or false, found the integer 1"));
}

// Too many elements: the number found is told.
TEST(Loader, LongArrays) {
  std::string many;
  for (int i = 0; i < 17; ++i) many += "\"h:" + std::to_string(i + 1) + "\",";
  EXPECT_THAT(
      problems_of("[proxy]\nlisten = [" + many + "]\n" + rest),
      ElementsAre(
          R"(p.toml:2:10: proxy.listen: expected addresses as "host:port", 1 to 16 of them, found 17)"));
  std::string words;
  for (int i = 0; i < 65; ++i) words += "\"/x\",";
  EXPECT_THAT(
      problems_of("[fence]\ncommand = [" + words + "]\n" + rest),
      ElementsAre("p.toml:2:11: fence.command: expected an array of texts: a program's absolute path and its "
                  "arguments, at most 64, found 65"));
}

// Misspelt keys and sections, and keys in the wrong place.
TEST(Loader, UnknownKeys) {
  const Case cases[] = {
      {"[proxy]\nlistn = []\n", R"(p.toml:2:1: unknown key "listn" in [proxy]: did you mean "listen"?)"},
      {"[proxy]\n  Threads = 4\n",
       R"(p.toml:2:3: unknown key "Threads" in [proxy]: did you mean "threads"?)"},
      {"[proxy]\nlease = \"1s\"\n",
       R"(p.toml:2:1: unknown key "lease" in [proxy]: it belongs to [heartbeat])"},
      {"[log]\nlisten = \"x\"\n",
       R"(p.toml:2:1: unknown key "listen" in [log]: it belongs to [proxy] or [heartbeat])"},
      {"[proxy]\nvirtual_ip = \"x\"\n", R"(p.toml:2:1: unknown key "virtual_ip" in [proxy])"},
      {"[proxi]\n", R"(p.toml:1:2: unknown section "proxi": did you mean "proxy"?)"},
      {"[mysql]\nsocket = 1\n", R"(p.toml:1:2: unknown section "mysql")"},
      {"listen = 1\n",
       R"(p.toml:1:1: unknown key "listen" outside of any section: it belongs to [proxy] or [heartbeat])"},
      {"foo = 1\n", R"(p.toml:1:1: unknown key "foo" outside of any section)"},
      {"proxy = 1\n", "p.toml:1:1: proxy: expected a table [proxy], found the integer 1"},
      {"[[proxy]]\n", "p.toml:1:3: proxy: expected a table [proxy], found an array"},
      {"[proxy]\n\"a\\u001b[2J\\u0000\" = 1\n", "p.toml:2:1: unknown key \"a\\x1b[2J\\x00\" in [proxy]"},
      {"[proxy]\n" + std::string(100, 'k') + " = 1\n",
       "p.toml:2:1: unknown key \"" + std::string(60, 'k') + "\"... in [proxy]"},
  };
  for (const Case& c : cases) EXPECT_THAT(problems_of(c.text + rest), ElementsAre(c.problem)) << c.text;
}

// Nothing at all, and each mandatory thing missing.
TEST(Loader, MissingThings) {
  EXPECT_THAT(
      problems_of(""),
      ElementsAre("p.toml:1:1: section [monitor] is missing: user and password_file have no default",
                  "p.toml:1:1: section [replication] is missing: user and password_file have no default",
                  "p.toml:1:1: there are no [[backend]] tables: expected 2 to 16"));
  EXPECT_THAT(problems_of("[monitor]\nuser = \"x\"\n" + replication_section + two_backends),
              ElementsAre("p.toml:1:2: monitor.password_file is missing: expected an absolute path"));
  EXPECT_THAT(
      problems_of("[[backend]]\nname = \"a\"\n[[backend]]\naddress = \"h:1\"\n" + accounts),
      ElementsAre(
          "p.toml:1:1: backend.address is missing: expected an address as \"host:port\"",
          "p.toml:3:1: backend.name is missing: expected a name of 1 to 64 characters out of A-Z, a-z, "
          "0-9, '.', '_' and '-'"));
}

TEST(Loader, NumberOfBackends) {
  const std::string one = "[[backend]]\nname = \"a\"\naddress = \"h:1\"\n";
  EXPECT_THAT(
      problems_of(one + accounts),
      ElementsAre(
          "p.toml:1:3: backend: expected 2 to 16 [[backend]] tables, found only one: without a replica there "
          "is nothing to fail over to"));
  EXPECT_THAT(
      problems_of("backend = []\n" + accounts),
      ElementsAre(
          "p.toml:1:1: backend: expected 2 to 16 [[backend]] tables, found none: without a replica there is "
          "nothing to fail over to"));
  EXPECT_THAT(
      problems_of("[backend]\nname = \"a\"\n" + accounts),
      ElementsAre(
          "p.toml:1:2: backend: expected [[backend]] tables, found a table: write [[backend]], once for each "
          "server"));
  EXPECT_THAT(problems_of("backend = 2\n" + accounts),
              ElementsAre("p.toml:1:1: backend: expected [[backend]] tables, found the integer 2"));
  EXPECT_THAT(problems_of("backend = [{name = \"a\", address = \"h:1\"}, 5]\n" + accounts),
              ElementsAre("p.toml:1:43: backend: expected a table, found the integer 5"));
  const auto numbered = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      const std::string n = std::to_string(i + 1);
      text.append("[[backend]]\nname = \"b").append(n).append("\"\naddress = \"h:").append(n).append("\"\n");
    }
    return text;
  };
  EXPECT_THAT(problems_of(numbered(16) + accounts), IsEmpty());
  EXPECT_THAT(problems_of(numbered(17) + accounts),
              ElementsAre("p.toml:1:3: backend: expected 2 to 16 [[backend]] tables, found 17"));
}

// A file with many mistakes is mended in one go.
TEST(Loader, ReportsEveryProblemInOrder) {
  EXPECT_THAT(
      problems_of(
          "[proxy]\nthreads = \"x\"\nlistn = 1\nmax_held = -1\n[heartbeat]\ndeadtime = \"50ms\"\n[lag]\n" +
          rest),
      ElementsAre("p.toml:2:11: proxy.threads: expected an integer from 0 to 256, found the string \"x\"",
                  "p.toml:3:1: unknown key \"listn\" in [proxy]: did you mean \"listen\"?",
                  "p.toml:4:12: proxy.max_held: expected an integer from 0 to 1000000, found the integer -1",
                  "p.toml:6:12: heartbeat.deadtime (50ms) must be longer than heartbeat.keepalive (100ms, "
                  "the default)",
                  "p.toml:6:12: monitor.interval (200ms, the default) and monitor.timeout (500ms, the "
                  "default) together "
                  "must not exceed heartbeat.deadtime (50ms): a server that answers just in time would be "
                  "declared dead",
                  "p.toml:7:2: unknown section \"lag\": did you mean \"log\"?"));
}

// A hostile file cannot flood the log.
TEST(Loader, LimitsTheProblems) {
  std::string text = "[proxy]\n";
  for (int i = 0; i < 5000; ++i) text += "key" + std::to_string(i) + " = 1\n";
  const auto problems = problems_of(text + rest);
  ASSERT_EQ(problems.size(), 101U);
  EXPECT_EQ(problems[99], "p.toml:101:1: unknown key \"key99\" in [proxy]");
  EXPECT_EQ(problems[100], "p.toml: 4900 more problems are not shown");
}

// What is no TOML: the parser's words, with the place.
TEST(Loader, Syntax) {
  EXPECT_THAT(
      problems_of("[proxy]\nthreads = 1\nthreads = 2\n"),
      ElementsAre(
          "p.toml:3:11: not valid TOML: Error while parsing key-value pair: cannot redefine existing integer "
          "'threads'"));
  EXPECT_THAT(
      problems_of("[proxy\n"),
      ElementsAre("p.toml:1:7: not valid TOML: Error while parsing table header: expected ']', saw '\\n'"));
  EXPECT_THAT(
      problems_of("[#"),
      ElementsAre(
          "p.toml:1:2: not valid TOML: Error while parsing key: expected bare key starting character or "
          "string delimiter, saw '#'"));
  EXPECT_THAT(
      problems_of("\xc3\xa4 = 1\n"),
      ElementsAre(
          "p.toml:1:1: not valid TOML: Error while parsing root table: expected keys, tables, whitespace or "
          "comments, saw '\?\?'"));
  EXPECT_EQ(problems_of("a = \"\xff\"").size(), 1U);
  EXPECT_EQ(problems_of(std::string("a\0b", 3)).size(), 1U);
  EXPECT_EQ(problems_of("a = " + std::string(100000, '[')).size(), 1U);
  EXPECT_THAT(problems_of(std::string((1U << 20U) + 1, ' ')),
              ElementsAre("p.toml: longer than 1048576 bytes"));
}

// The file itself: missing, a directory, too long, read through a FIFO.
TEST(LoaderFiles, TheFileItself) {
  const TempDir dir;
  const auto problem = [](const std::string& path) {
    const auto config = load(path);
    return config ? std::string("no problem") : to_string(config.error().at(0));
  };
  EXPECT_EQ(problem(dir.path() + "/none"), dir.path() + "/none: cannot open: No such file or directory");
  EXPECT_EQ(problem(dir.path()), dir.path() + ": not a regular file");
  EXPECT_EQ(problem("/dev/zero"), "/dev/zero: not a regular file");
  const std::string big = dir.write("big", std::string((1U << 20U) + 1, '#'));
  EXPECT_EQ(problem(big), big + ": longer than 1048576 bytes");
}

// Passwords come from their files; what is wrong with one is told at the key that names it.
TEST(LoaderFiles, Passwords) {
  const TempDir dir;
  const std::string monitor = dir.write("monitor", "one\n");
  const std::string replica = dir.write("replica", "two\n", 0644);
  const std::string text = "[monitor]\nuser = \"m\"\npassword_file = \"" + monitor +
                           "\"\n[replication]\nuser = \"r\"\npassword_file = \"" + replica + "\"\n" +
                           two_backends;
  const std::string path = dir.write("pointsman.toml", text);

  const auto refused = load(path);
  ASSERT_FALSE(refused.has_value());
  ASSERT_EQ(refused.error().size(), 1U);
  EXPECT_EQ(to_string(refused.error()[0]), path + ":6:17: replication.password_file: " + replica +
                                               ": accessible by group or others; run: chmod 600 " + replica);

  ASSERT_EQ(::chmod(replica.c_str(), 0600), 0);
  const auto config = load(path);
  ASSERT_TRUE(config.has_value()) << to_string(config.error()[0]);
  EXPECT_EQ(config->file, path);
  EXPECT_EQ(config->monitor.account.password, "one");
  EXPECT_EQ(config->replication.account.password, "two");
}

// A program that cannot be run is found out now, not when the primary is dead.
TEST(LoaderFiles, Programs) {
  const TempDir dir;
  const std::string password = dir.write("password", "x");
  for (const std::string section : {"fence", "hooks"}) {
    const auto problem = [&](const std::string& program) {
      const auto config = load_text("[" + section + "]\ncommand = [\"" + program +
                                        "\", \"off\"]\n[monitor]\nuser = \"m\"\npassword_file = \"" +
                                        password + "\"\n[replication]\nuser = \"r\"\npassword_file = \"" +
                                        password + "\"\n" + two_backends,
                                    "p.toml");
      return config ? std::string("no problem") : to_string(config.error().at(0));
    };
    const std::string start = "p.toml:2:12: " + section + ".command: ";
    EXPECT_EQ(problem("/bin/sh"), "no problem");
    EXPECT_EQ(problem("/nowhere/tool"),
              start + "\"/nowhere/tool\": cannot be run: No such file or directory");
    EXPECT_EQ(problem(dir.path()), start + "\"" + dir.path() + "\": cannot be run: not a regular file");
    EXPECT_EQ(problem(password), start + "\"" + password + "\": cannot be run: Permission denied");
  }
}

}  // namespace
}  // namespace pointsman::conf
