// From evidence to verdict where an agent has a say: each row of the design's table.
#include "health/core/verdict.h"

#include <gtest/gtest.h>

namespace pointsman::core {
namespace {

using namespace std::chrono_literals;

// A server that is probed each 200 ms with an agent that sends each 100 ms, until told otherwise.
class AgentVerdict : public testing::Test {
 protected:
  static constexpr JudgeTimes times{200ms, 500ms, 1s, 2};

  void probe_ok() { evidence_.on_probe_ok({}, now_ - 1ms, now_, 1ms); }
  void probe_fails(FailureKind kind) { evidence_.on_probe_failed({kind, 0, "a failure"}, now_); }
  void hear(LinkKind link, MysqldState mysqld, std::uint16_t silent_ms = 0) {
    AgentWord word;
    word.mysqld = mysqld;
    word.silent_ms = silent_ms;
    evidence_.agent.on_frame({link, true, now_, now_}, word, times.deadtime, std::nullopt);
  }
  // `mysqld` on the links that live; nothing from the server itself.
  void live_without_probes(Duration time, std::initializer_list<LinkKind> links, MysqldState mysqld) {
    for (Duration passed{}; passed < time; passed += 100ms) {
      now_ += 100ms;
      if (passed % 500ms == 0ms) probe_fails(FailureKind::timeout);
      for (const LinkKind link : links)
        hear(link, mysqld, mysqld == MysqldState::silent ? static_cast<std::uint16_t>(to_ms(passed)) : 0);
    }
  }
  void begin_well() {
    for (int i = 0; i < 20; ++i) {
      now_ += 100ms;
      hear(LinkKind::udp, MysqldState::answers);
      hear(LinkKind::serial, MysqldState::answers);
    }
    probe_ok();
    ASSERT_EQ(verdict(), Verdict::up);
  }
  Verdict verdict() { return judge(evidence_, times, now_).verdict; }
  std::string why() { return judge(evidence_, times, now_).why; }

  Instant now_{1h};
  Evidence evidence_{now_};
};

// The agent's word that mysqld is dying counts at once, long before its sockets close.
TEST_F(AgentVerdict, AgentSeesTheEnd) {
  begin_well();
  now_ += 10ms;
  hear(LinkKind::udp, MysqldState::dying);
  EXPECT_EQ(verdict(), Verdict::crashed) << why();
  now_ += 100ms;
  hear(LinkKind::udp, MysqldState::exited);
  EXPECT_EQ(verdict(), Verdict::crashed);
  now_ += 100ms;
  probe_ok();  // it is back; the agent has not found it yet
  EXPECT_EQ(verdict(), Verdict::up);
  hear(LinkKind::udp, MysqldState::exited);
  EXPECT_EQ(verdict(), Verdict::up) << "the same end is not news";
}

// A probe that was on its way when mysqld died proves nothing.
TEST_F(AgentVerdict, AnswerFromBeforeTheEnd) {
  begin_well();
  const Instant asked = now_;
  now_ += 5ms;
  hear(LinkKind::udp, MysqldState::dying);
  evidence_.on_probe_ok({}, asked, now_, 5ms);
  EXPECT_EQ(verdict(), Verdict::crashed);
}

// An agent that looks at the wrong socket and never saw mysqld run cannot bring a healthy primary down.
TEST_F(AgentVerdict, AgentThatNeverSawItRun) {
  now_ += 100ms;
  for (int i = 0; i < 30; ++i) {
    now_ += 100ms;
    hear(LinkKind::udp, i % 2 == 0 ? MysqldState::absent : MysqldState::exited);
    if (i % 2 == 0) probe_ok();
    if (i > 0) {
      EXPECT_EQ(verdict(), Verdict::up) << i;
    }
  }
}

TEST_F(AgentVerdict, Hung) {
  begin_well();
  live_without_probes(900ms, {LinkKind::udp, LinkKind::serial}, MysqldState::silent);
  EXPECT_EQ(verdict(), Verdict::suspect) << why();
  live_without_probes(1100ms, {LinkKind::udp}, MysqldState::silent);
  EXPECT_EQ(verdict(), Verdict::hung) << why();
  probe_ok();
  EXPECT_EQ(verdict(), Verdict::up);
}

// It answers its agent and nobody else: eth0 is cut and the serial line tells, or only the way to mysqld is.
TEST_F(AgentVerdict, CutOff) {
  begin_well();
  live_without_probes(1200ms, {LinkKind::serial}, MysqldState::answers);
  EXPECT_EQ(verdict(), Verdict::cut_off);
  EXPECT_NE(why().find("heard by serial"), std::string::npos) << why();
  begin_well();
  live_without_probes(1200ms, {LinkKind::udp}, MysqldState::answers);
  EXPECT_EQ(verdict(), Verdict::cut_off);
  EXPECT_NE(why().find("heard by udp"), std::string::npos) << why();
}

// Silence everywhere; the links' count as well, whichever was heard last.
TEST_F(AgentVerdict, Dead) {
  begin_well();
  live_without_probes(500ms, {LinkKind::serial}, MysqldState::answers);
  live_without_probes(900ms, {}, MysqldState::answers);
  EXPECT_EQ(verdict(), Verdict::cut_off) << "the serial line was heard 900 ms ago: " << why();
  live_without_probes(200ms, {}, MysqldState::answers);
  EXPECT_EQ(verdict(), Verdict::dead) << why();
}

// Both links are cut while probes go on: nothing happens to the server.
TEST_F(AgentVerdict, LinksAreCut) {
  begin_well();
  for (int i = 0; i < 30; ++i) {
    now_ += 200ms;
    probe_ok();
    EXPECT_EQ(verdict(), Verdict::up);
  }
}

// mysqld is refused, as after a crash, and the agent confirms it late: crashed all the same, with or without
// it.
TEST_F(AgentVerdict, GoneWithoutTheAgentsWord) {
  begin_well();
  live_without_probes(1200ms, {LinkKind::serial}, MysqldState::absent);
  EXPECT_EQ(verdict(), Verdict::crashed) << why();
}

// Traffic still flows: degraded, whatever the links say.
TEST_F(AgentVerdict, TrafficOutranksSilence) {
  begin_well();
  live_without_probes(1200ms, {LinkKind::udp}, MysqldState::silent);
  evidence_.on_traffic(now_);
  EXPECT_EQ(verdict(), Verdict::degraded) << why();
}

class RunOfAServer : public testing::Test {
 protected:
  void answer(std::chrono::seconds uptime, bool read_only = false) {
    ServerReport report;
    report.uptime = uptime;
    report.read_only = read_only;
    evidence_.on_probe_ok(report, now_, now_, 1ms);
  }

  Instant now_{1h};
  Evidence evidence_{now_};
};

// A primary is killed right after it was seen to accept writes and answers again within the second: uptime
// says 1 s, as its clock has passed a second meanwhile.
TEST_F(RunOfAServer, BeganAfterItWasLastWritable) {
  answer(30s);
  now_ += 10ms;
  evidence_.on_probe_failed({FailureKind::refused, 0, "refused"}, now_);
  now_ += 250ms;
  answer(1s, true);
  EXPECT_TRUE(evidence_.restarted_since_writable());

  // A firewall that refuses for a while is no restart: the uptime goes on.
  evidence_.on_probe_failed({FailureKind::refused, 0, "refused"}, now_);
  now_ += 39s;
  answer(60s, true);
  EXPECT_LE(*evidence_.run_started(), now_ - 59s);
}

// The same, and when it is asked in between it listens already, but does not yet answer.
TEST_F(RunOfAServer, ListensBeforeItAnswers) {
  answer(30s);
  now_ += 10ms;
  evidence_.on_probe_failed({FailureKind::lost, 0, "lost"}, now_);
  evidence_.on_reconnect_checked(0, true, now_ + 200ms);
  evidence_.on_probe_failed({FailureKind::timeout, 0, "no greeting"}, now_ + 300ms);
  now_ += 500ms;
  answer(1s, true);
  EXPECT_TRUE(evidence_.restarted_since_writable());
}

// Started at 100.9 s of its clock, which it takes for 100: at 101.6 it says 1 s, at 102.1 it says 2. What it
// had received may be gone until 100.9, whatever it says.
TEST_F(RunOfAServer, NeverSeemsToHaveBegunBeforeItDid) {
  now_ = Instant{100900ms};
  const Instant began = now_;
  for (const auto& [later, uptime] : {std::pair{700ms, 1s}, std::pair{1200ms, 2s}, std::pair{9100ms, 10s}}) {
    now_ = began + later;
    answer(uptime, true);
    EXPECT_GE(*evidence_.run_started(), began) << later;
    EXPECT_LE(*evidence_.run_started(), std::min(now_, began + 2s)) << later;
  }
}

}  // namespace
}  // namespace pointsman::core
