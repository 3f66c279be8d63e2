#include <fstream>
#include <random>
#include <sstream>

#include <gtest/gtest.h>

#include "proxy/cli/render_answers.h"
#include "proxy/cli/render_events.h"
#include "proxy/cli/render_status.h"
#include "tests/proxy_admin/samples.h"

// What the operator sees, as whole pictures.
namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;
using proxy::testing::failover_event;
using proxy::testing::steady_status;

constexpr Style style{.width = 100, .color = false, .unicode = true};

// All is well: one look says so.
TEST(RenderStatusTest, Steady) {
  EXPECT_EQ(render_status(steady_status(), style),
            R"(pointsman 0.1.0 · steady for 3 h 12 min · primary dbserv1 · epoch 4 · automatic failover on
listen 0.0.0.0:3306 · sessions 12 active, 0 held, 340 total · up 1 d 1 h · pid 4242

  NAME     ROLE     VERDICT  ADDRESS            SERVER             PROBE  SESSIONS
▸ dbserv1  primary  up       192.168.10.1:3306  MariaDB 10.11.19  0.4 ms        12
    semi-sync on · udp alive, serial late 450 ms
  dbserv2  replica  up       192.168.10.2:3306  MariaDB 10.11.19  1.2 ms         0
    <- dbserv1 io ok, sql ok, lag 0 ms · semi-sync on
)");
}

// A wide window: one line a server.
TEST(RenderStatusTest, Wide) {
  EXPECT_EQ(render_status(steady_status(), {.width = 180}),
            R"(pointsman 0.1.0 · steady for 3 h 12 min · primary dbserv1 · epoch 4 · automatic failover on
listen 0.0.0.0:3306 · sessions 12 active, 0 held, 340 total · up 1 d 1 h · pid 4242

  NAME     ROLE     VERDICT  ADDRESS            SERVER            REPLICATION                         SEMI-SYNC   PROBE  LINKS                          SESSIONS
▸ dbserv1  primary  up       192.168.10.1:3306  MariaDB 10.11.19                                      on         0.4 ms  udp alive, serial late 450 ms        12
  dbserv2  replica  up       192.168.10.2:3306  MariaDB 10.11.19  <- dbserv1 io ok, sql ok, lag 0 ms  on         1.2 ms                                        0
)");
}

// A serial console without unicode, 60 columns wide.
TEST(RenderStatusTest, NarrowAscii) {
  EXPECT_EQ(render_status(steady_status(), {.width = 60, .color = false, .unicode = false}),
            R"(pointsman 0.1.0 | steady for 3 h 12 min | primary dbserv1 |
  epoch 4 | automatic failover on
listen 0.0.0.0:3306 | sessions 12 active, 0 held, 340 total
  | up 1 d 1 h | pid 4242

  NAME     ROLE     VERDICT  ADDRESS             PROBE
> dbserv1  primary  up       192.168.10.1:3306  0.4 ms
    semi-sync on | udp alive, serial late 450 ms
  dbserv2  replica  up       192.168.10.2:3306  1.2 ms
    <- dbserv1 io ok, sql ok, lag 0 ms | semi-sync on
)");
}

// Two servers accept writes: who reads this must know at once that nobody is served, why, and what to type.
TEST(RenderStatusTest, NoPrimaryComesFirst) {
  json status = steady_status();
  status.update({{"state", "no_primary"},
                 {"primary", nullptr},
                 {"since_ms", 12'400},
                 {"reason", "dbserv1 and dbserv2 both accept writes"}});
  status["sessions"]["held"] = 3;
  for (json& backend : status["backends"]) {
    backend.update(
        {{"role", "unknown"}, {"read_only", false}, {"replication", nullptr}, {"links", json::object()}});
  }
  EXPECT_EQ(render_status(status, style),
            R"( NO PRIMARY for 12.4 s  new clients are held (3 waiting)
  why:  dbserv1 and dbserv2 both accept writes
  next: pointsman explain
  or:   pointsman failover --to dbserv1
  or:   pointsman failover --to dbserv2

pointsman 0.1.0 · no primary · epoch 4 · automatic failover on
listen 0.0.0.0:3306 · sessions 12 active, 3 held, 340 total · up 1 d 1 h · pid 4242

  NAME     ROLE     VERDICT  ADDRESS            SERVER             PROBE  SESSIONS
  dbserv1  unknown  up       192.168.10.1:3306  MariaDB 10.11.19  0.4 ms        12
    has 0-1-4711
  dbserv2  unknown  up       192.168.10.2:3306  MariaDB 10.11.19  1.2 ms         0
    has 0-1-4711
)");
  const std::string coloured = render_status(status, {.width = 100, .color = true, .unicode = true});
  EXPECT_TRUE(coloured.starts_with("\x1b[1;37;41m NO PRIMARY for 12.4 s \x1b[0m")) << coloured;
}

// What the daemon itself advises goes before what the command could guess.
TEST(RenderStatusTest, ShowsTheDaemonsAdvice) {
  json status = steady_status();
  status.update(
      {{"state", "no_primary"}, {"primary", nullptr}, {"next", "pointsman failover --to dbserv2 --force"}});
  const std::string text = render_status(status, style);
  EXPECT_NE(text.find("  next: pointsman failover --to dbserv2 --force\n\n"), std::string::npos) << text;
}

// Nor is anything guessed that the daemon's reason names already.
TEST(RenderStatusTest, TakesTheCommandFromTheReason) {
  json status = steady_status();
  status.update({{"state", "no_primary"},
                 {"primary", nullptr},
                 {"reason", "both accept writes; resolve it with: pointsman failover --to dbserv1 --force"}});
  std::string text = render_status(status, style);
  EXPECT_NE(text.find("  next: pointsman failover --to dbserv1 --force\n\n"), std::string::npos) << text;
  status["reason"] = "db1 is read-only: `pointsman failover --to db1 --force` makes it serve";
  text = render_status(status, style);
  EXPECT_NE(text.find("  next: pointsman failover --to db1 --force\n\n"), std::string::npos) << text;
}

// Every server answers, with an error: that is to be repaired, and no server is to be started.
TEST(RenderStatusTest, EverybodyIsDegraded) {
  json status = steady_status();
  status.update({{"state", "no_primary"}, {"primary", nullptr}, {"reason", "waiting for the first answer"}});
  for (json& backend : status["backends"])
    backend.update({{"verdict", "degraded"}, {"why", "1045: Access denied"}});
  const std::string text = render_status(status, style);
  EXPECT_NE(text.find("  next: repair what keeps dbserv1 and dbserv2 from serving (see below)"),
            std::string::npos)
      << text;
}

// No server answers: there is nothing to type for pointsman.
TEST(RenderStatusTest, EverythingDown) {
  json status = steady_status();
  status.update({{"state", "no_primary"},
                 {"primary", nullptr},
                 {"since_ms", 312'400},
                 {"reason", "no server answers"}});
  for (json& backend : status["backends"]) {
    backend.update(
        {{"role", "unknown"}, {"verdict", "dead"}, {"why", "probe and every link silent for 1 s"}});
    backend["probe"] = {{"ok", false}, {"error", "connect: Connection refused"}};
    for (const char* gone : {"replication", "server", "links", "read_only", "executed"}) backend.erase(gone);
  }
  EXPECT_EQ(render_status(status, style),
            R"( NO PRIMARY for 5 min 12 s  new clients are held (0 waiting)
  why:  no server answers
  next: start a database server (dbserv1 or dbserv2); pointsman sees by itself that it is back

pointsman 0.1.0 · no primary · epoch 4 · automatic failover on
listen 0.0.0.0:3306 · sessions 12 active, 0 held, 340 total · up 1 d 1 h · pid 4242

  NAME     ROLE     VERDICT  ADDRESS              PROBE  SESSIONS
  dbserv1  unknown  dead     192.168.10.1:3306  failing        12
    probe and every link silent for 1 s
    probe: connect: Connection refused
  dbserv2  unknown  dead     192.168.10.2:3306  failing         0
    probe and every link silent for 1 s
    probe: connect: Connection refused
)");
}

// What a change of primary makes of a server is said where it is not the usual.
TEST(RenderStatusTest, PlacesOfServers) {
  json status = steady_status();
  const auto shown = [&](const char* text) {
    return render_status(status, style).find(text) != std::string::npos;
  };
  for (json& backend : status["backends"])
    backend.update({{"priority", 100}, {"never_promote", false}, {"chained", false}});
  EXPECT_FALSE(shown("priority") || shown("never") || shown("a replica of a replica"));
  status["backends"][0]["priority"] = 200;
  EXPECT_TRUE(shown("    priority 200\n"));
  status["backends"][0]["never_promote"] = true;
  EXPECT_TRUE(shown("    never to be promoted (never_promote)\n"));
  EXPECT_FALSE(shown("priority 200"));
  status["backends"][1]["chained"] = true;
  EXPECT_TRUE(shown("    a replica of a replica\n"));
}

// A replica in trouble of every kind, a quarantined server, and warnings.
TEST(RenderStatusTest, Troubles) {
  json status = steady_status();
  status["automatic"] = false;
  status["warnings"] = {
      "Automatic failover is off: a lost primary is replaced only by hand (pointsman automatic on).",
      "No backend has an agent, so a server that hangs or is cut off cannot be fenced, and nothing is known "
      "of its host."};
  status["backends"][0].update({{"role", "quarantined"},
                                {"errant", {"0-1-4712..4715", "1-1-3"}},
                                {"links", nullptr},
                                {"read_only", true}});
  status["backends"][1].update({{"verdict", "suspect"},
                                {"why", "no answer for 450 ms"},
                                {"suspect_until_ms", 550},
                                {"read_only", false}});
  status["backends"][1]["probe"] = {{"ok", false}, {"error", "timeout: no answer within 500 ms"}};
  status["backends"][1]["replication"] = {{"source", "dbserv1"},
                                          {"io", "connecting"},
                                          {"sql", false},
                                          {"lag_ms", nullptr},
                                          {"error", "Duplicate entry '7' for key 'PRIMARY'"}};
  EXPECT_EQ(render_status(status, style),
            R"(pointsman 0.1.0 · steady for 3 h 12 min · primary dbserv1 · epoch 4 · automatic failover OFF
listen 0.0.0.0:3306 · sessions 12 active, 0 held, 340 total · up 1 d 1 h · pid 4242

  NAME     ROLE         VERDICT  ADDRESS            SERVER              PROBE  SESSIONS
  dbserv1  quarantined  up       192.168.10.1:3306  MariaDB 10.11.19   0.4 ms        12
    transactions of its own, unknown to the primary: 0-1-4712..4715,1-1-3; it serves nobody until
      they are given up or carried over, and it is set up anew
  dbserv2  replica      suspect  192.168.10.2:3306  MariaDB 10.11.19  failing         0
    <- dbserv1 io connecting, sql stopped
    no answer for 450 ms (decided in 550 ms at the latest)
    probe: timeout: no answer within 500 ms
    replication: Duplicate entry '7' for key 'PRIMARY'
    accepts writes: read_only is off

! Automatic failover is off: a lost primary is replaced only by hand (pointsman automatic on).
! No backend has an agent, so a server that hangs or is cut off cannot be fenced, and nothing is
  known of its host.
)");
}

// Commits are answered without a replica: since when, and what is lost with the primary.
json degraded_status() {
  json status = steady_status();
  status["semi_sync"] = {{"mode", "preferred"},
                         {"state", "degraded"},
                         {"degraded_since", "2026-11-26T10:41:51.207Z"},
                         {"degraded_at", "0-1-120"},
                         {"at_stake", 43}};
  return status;
}

TEST(RenderStatusTest, Degraded) {
  json status = degraded_status();
  EXPECT_TRUE(
      render_status(status, style)
          .contains("\n\nsemi-sync DEGRADED · since 2026-11-26T10:41:51.207Z at 0-1-120 · 43 transactions "
                    "at stake\n"))
      << render_status(status, style);
  const std::string before = status_fingerprint(status);
  status["semi_sync"]["at_stake"] = 1;
  EXPECT_TRUE(render_status(status, style).contains(" · 1 transaction at stake\n"));
  EXPECT_EQ(status_fingerprint(status), before);
  status["semi_sync"]["state"] = "catching_up";
  EXPECT_TRUE(render_status(status, style).contains("\nsemi-sync catching up · since "));
  EXPECT_NE(status_fingerprint(status), before);
  status["semi_sync"]["state"] = "on";
  EXPECT_FALSE(render_status(status, style).contains("at stake"));
}

TEST(RenderStatusTest, ChangesAndPauses) {
  json status = steady_status();
  status.update(
      {{"state", "failing_over"}, {"since_ms", 210}, {"step", "catch up"}, {"reason", "dbserv1 crashed"}});
  EXPECT_TRUE(
      render_status(status, style)
          .starts_with("FAILING OVER for 210 ms: catch up; new clients are held (0 waiting)\n"
                       "  why:  dbserv1 crashed\n\npointsman 0.1.0 · failing over · primary dbserv1"));
  status.update({{"state", "paused"}, {"reason", ""}});
  EXPECT_TRUE(render_status(status, style)
                  .starts_with("PAUSED for 210 ms: new clients are held (0 waiting); this lets them go: "
                               "pointsman resume\n\npointsman 0.1.0 · paused"));
}

// A daemon of another version: whatever is missing or of another type, the command shows the rest.
TEST(RenderStatusTest, ToleratesEveryShape) {
  EXPECT_EQ(render_status(json::object(), style), "pointsman  · state unknown · no primary\n");
  for (const char* odd :
       {"null", "3", "[]", "\"text\"",
        R"({"backends":[null,3,{}],"listen":7,"sessions":[],"warnings":{"a":1},"epoch":"x"})"}) {
    EXPECT_NE(render_status(json::parse(odd), style), "");
  }
  // Every member in turn replaced by every type, in all answers.
  const std::vector<json> types = {
      nullptr, true, -1, 1e300, "text\x1b[2J", json::array(), json::array({1, nullptr, "a"}), json::object()};
  const auto shake = [&](const json& sample, const auto& render) {
    const json flat = sample.flatten();
    for (auto member = flat.begin(); member != flat.end(); ++member) {
      for (const json& type : types) {
        json changed = sample;
        changed[json::json_pointer(member.key())] = type;
        const std::string text = render(changed);
        EXPECT_EQ(text.find('\x1b'), std::string::npos);
      }
    }
    for (const json& type : types) EXPECT_EQ(render(type).find('\x1b'), std::string::npos);
  };
  shake(steady_status(),
        [](const json& value) { return render_status(value, style) + status_fingerprint(value); });
  shake(degraded_status(),
        [](const json& value) { return render_status(value, style) + status_fingerprint(value); });
  shake(failover_event(),
        [](const json& value) { return render_event(value, style) + render_change(value, style); });
  shake(
      json::parse(
          R"({"sessions":[{"id":1,"client":"c","backend":"b","age_ms":1,"bytes_from_client":1,"worker":0}],"total":2})"),
      [](const json& value) { return render_sessions(value, style); });
  shake(json::parse(R"({"plan":[{"step":"s","backend":"b","what":"w"}],"refused":["r"]})"),
        [](const json& value) { return render_plan("switchover", value, style); });
  shake(
      json::parse(
          R"({"candidate":"b","verdict_needed":"crashed","expected_ms":30,"loss":"nothing","vetoes":["v"],"text":"t"})"),
      [](const json& value) { return render_explain(value, style) + render_message(value, style); });
}

// In a pipe only news is printed: times and counts are none, a verdict is.
TEST(RenderStatusTest, FingerprintIsWhatIsNews) {
  json status = steady_status();
  const std::string before = status_fingerprint(status);
  status["since_ms"] = 11'568'000;
  status["sessions"]["total"] = 999;
  status["backends"][0]["probe"]["latency_us"] = 5;
  status["backends"][0]["links"]["udp"]["age_ms"] = 99;
  EXPECT_EQ(status_fingerprint(status), before);
  status["backends"][0]["verdict"] = "suspect";
  EXPECT_NE(status_fingerprint(status), before);
}

// A night, as `events` tells it the next morning.
TEST(RenderEventsTest, History) {
  json failed = failover_event();
  failed.update({{"kind", "switchover"},
                 {"ok", false},
                 {"from", "dbserv2"},
                 {"to", "dbserv1"},
                 {"total_ms", 30012.4},
                 {"epoch", 6},
                 {"message", "dbserv1 did not catch up within 30 s"},
                 {"lost", {"0-1-4712", "0-1-4713"}},
                 {"steps", {{{"name", "catch up"}, {"ms", 30000}}}}});
  failed.erase("verdict");
  const json events = {{"events",
                        {{{"time", "2026-10-19T03:12:44.123Z"},
                          {"kind", "verdict"},
                          {"epoch", 4},
                          {"backend", "dbserv1"},
                          {"verdict", "crashed"},
                          {"message", "its connections were reset, then two connects in a row were refused"}},
                         failover_event(),
                         failed}}};
  EXPECT_EQ(render_events(events, style),
            R"(2026-10-19 03:12:44.123Z  verdict     dbserv1 · crashed · its connections were reset, then two
                                      connects in a row were refused
2026-10-19 03:12:44.161Z  failover    dbserv1 → dbserv2 · crashed · 37.4 ms · epoch 5
    fence         0.3 ms  ▌
    choose        0.1 ms  ▎  dbserv2 has all
    catch up      2.1 ms  ███▌
    promote      18.0 ms  ██████████████████████████████
    repoint       0.0 ms
    nothing lost
2026-10-19 03:12:44.161Z  switchover  dbserv2 → dbserv1 · 30 s · FAILED · epoch 6 ·
                                      dbserv1 did not catch up within 30 s
    catch up        30 s  ██████████████████████████████
    LOST 0-1-4712, 0-1-4713
)");
  EXPECT_EQ(render_events(json{{"events", json::array()}}, style), "no events yet\n");
}

TEST(RenderEventsTest, AnswerToASwitchover) {
  json event = failover_event();
  event.update({{"kind", "switchover"}, {"steps", {{{"name", "promote"}, {"ms", 18.03}}}}});
  EXPECT_EQ(render_change(event, {.width = 100, .color = false, .unicode = false}),
            "done: switchover dbserv1 -> dbserv2 in 37.4 ms, epoch 5\n"
            "    promote     18.0 ms  ##############################\n"
            "    nothing lost\n");
}

TEST(RenderAnswersTest, Sessions) {
  const json result = json::parse(R"({"total": 340, "sessions": [
    {"id": 17, "client": "10.0.0.7:51234", "backend": null, "age_ms": 3, "bytes_from_client": 0, "bytes_from_server": 0, "worker": 0},
    {"id": 18, "client": "10.0.0.8:51235", "backend": "dbserv1", "age_ms": 1234567, "bytes_from_client": 340, "bytes_from_server": 1572864, "worker": 1}]})");
  EXPECT_EQ(render_sessions(result, style),
            R"(ID  CLIENT          BACKEND          AGE  FROM CLIENT  FROM SERVER  WORKER
17  10.0.0.7:51234  held            3 ms          0 B          0 B       0
18  10.0.0.8:51235  dbserv1  20 min 34 s        340 B      1.5 MiB       1
2 of 340 sessions; -n N shows more
)");
  EXPECT_EQ(render_sessions(json::object(), style), "no sessions\n");
}

TEST(RenderAnswersTest, Plan) {
  const json result = json::parse(R"({"refused": [], "plan": [
    {"step": "close", "backend": "", "what": "hold new clients"},
    {"step": "promote", "backend": "dbserv2", "what": "stop replication, accept writes"}]})");
  EXPECT_EQ(render_plan("switchover", result, style),
            R"(This is what switchover would do; nothing was changed.
      STEP     SERVER   WHAT
  1.  close             hold new clients
  2.  promote  dbserv2  stop replication, accept writes
)");
  json waits = result;
  waits["waits"] = {"dbserv1: thread 12 (app@10.0.0.5), a transaction open for 34 s: idle"};
  const std::string shown = render_plan("switchover", waits, style);
  EXPECT_NE(shown.find("It would wait for this first"), std::string::npos) << shown;
  EXPECT_NE(shown.find("! dbserv1: thread 12 (app@10.0.0.5), a transaction open for 34 s: idle\n"),
            std::string::npos)
      << shown;
}

TEST(RenderAnswersTest, Explain) {
  EXPECT_EQ(
      render_explain(json::parse(R"({"candidate": "dbserv2", "verdict_needed": "crashed", "expected_ms": 32,
                                           "passed_over": ["dbserv3: in maintenance", "dbserv4: crashed"],
                                           "loss": "nothing", "vetoes": [], "text": "If dbserv1 died now, dbserv2 would take over."})"),
                     style),
      R"(If dbserv1 died now, dbserv2 would take over.

  candidate     dbserv2
  not           dbserv3: in maintenance
                dbserv4: crashed
  verdict       crashed
  expected time 32 ms
  could lose    nothing
  in the way    nothing
)");
  EXPECT_EQ(
      render_explain(
          json::parse(
              R"({"candidate": null, "vetoes": ["automatic failover is off", "dbserv2 is in maintenance"]})"),
          style),
      R"(  candidate     none: nobody would be promoted
  in the way    automatic failover is off
                dbserv2 is in maintenance
)");
}

}  // namespace
}  // namespace pointsman::proxy::cli
