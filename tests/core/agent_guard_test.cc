// The agent's decisions: when the local server may accept writes, and what is done when it must not.
#include "health/core/agent_guard.h"

#include <gtest/gtest.h>

#include "health/core/frame_gtids.h"

namespace pointsman::core {
namespace {

using namespace std::chrono_literals;
using Order = AgentGuard::Order;
using Orders = std::vector<Order>;

class Guard : public testing::Test {
 protected:
  void begin(GuardMemory memory = {}, GuardSettings settings = {}) { guard_.emplace(settings, memory, now_); }
  // A frame that answers one that we sent `ago`.
  void hear(GrantedRole role, std::uint64_t epoch, Duration ago = 1ms, std::uint32_t lease_ms = 800) {
    guard_->on_word({role, true, lease_ms}, Epoch{epoch}, now_ - ago, now_);
  }
  void server_says(bool read_only) {
    ServerReport report;
    report.flavour = Flavour::mariadb;
    report.server_id = 7;
    report.read_only = read_only;
    report.executed = *GtidSet::parse(Flavour::mariadb, "0-3-40,0-7-44,5-7-2");
    guard_->on_report(report, now_);
  }
  // A primary that has been one for some time.
  void be_primary() {
    begin();
    guard_->on_process(MysqldState::answers, false);
    server_says(false);
    hear(GrantedRole::primary, 3);
    ASSERT_TRUE(step().empty());
  }
  Orders step() { return guard_->step(now_); }
  Orders after(Duration duration) {
    now_ += duration;
    return step();
  }
  void done(Order order, bool ok = true) { guard_->on_done(order, ok, now_); }

  Instant now_{1h};
  std::optional<AgentGuard> guard_;
};

// A host boots under a fence and its server does not listen yet: nothing can be made read-only and there is
// no process to kill. Each is tried again after a while, never without end at once: the agent has to be
// heard.
TEST_F(Guard, TriesNothingWithoutAPause) {
  begin();
  hear(GrantedRole::fence, 6);
  int orders = 0;
  for (Instant end = now_ + 1s; now_ < end;) {
    for (const Order order : step()) {
      done(order, false);
      ++orders;
    }
    ASSERT_GT(guard_->next_deadline(), now_);
    now_ = std::min(guard_->next_deadline(), end);
  }
  EXPECT_GE(orders, 5);
  EXPECT_LE(orders, 25);
}

// A fenced server starts on a host without time for it: it listens, and greets nobody for seconds. It is
// given time, or it would be started and killed without end. One that never greets anybody is killed in the
// end.
TEST_F(Guard, GivesAServerThatStartsTimeToGreet) {
  begin();
  guard_->on_process(MysqldState::exited, false);
  hear(GrantedRole::fence, 6);
  step();
  guard_->on_process(MysqldState::answers, true);
  guard_->on_silence(now_);
  const auto kills = [this](Duration time) {
    int count = 0;
    for (const Instant end = now_ + time; now_ < end; now_ += 100ms) {
      hear(GrantedRole::fence, 6);
      for (const Order order : step()) {
        count += order == Order::kill ? 1 : 0;
        done(order, false);
      }
    }
    return count;
  };
  EXPECT_EQ(kills(10s), 0);
  EXPECT_GE(kills(10s), 1);
  guard_->on_answer(now_);
  guard_->on_silence(now_);
  EXPECT_GE(kills(1s), 1) << "one that has answered and does no more hangs";
}

// A server is killed with an order under way, which so fails: with no process there is nothing to try again.
TEST_F(Guard, NothingIsOverdueWithoutAProcess) {
  be_primary();
  hear(GrantedRole::fence, 4);
  EXPECT_EQ(step(), Orders{Order::make_read_only});
  guard_->on_process(MysqldState::exited, false);
  done(Order::make_read_only, false);
  EXPECT_TRUE(after(1s).empty());
  EXPECT_EQ(guard_->next_deadline(), Instant::max());
}

// An agent is installed on a running primary and hears nobody: nothing is touched.
TEST_F(Guard, LeavesAServerAloneThatItWasToldNothingAbout) {
  begin();
  guard_->on_process(MysqldState::answers, false);
  server_says(false);
  EXPECT_TRUE(step().empty());
  EXPECT_TRUE(after(1h).empty());
  EXPECT_FALSE(guard_->may_write(now_));
}

// No frame comes any more: writes stop when the lease is over, which counts from our own frame that the proxy
// had heard, not from when its answer arrived.
TEST_F(Guard, StopsWritesWhenTheLeaseRunsOut) {
  be_primary();
  hear(GrantedRole::primary, 3, 300ms);
  EXPECT_EQ(guard_->next_deadline(), now_ + 799ms) << "the later of the two grants counts";
  EXPECT_TRUE(after(798ms).empty());
  EXPECT_TRUE(guard_->word(now_).lease_held);
  EXPECT_EQ(after(1ms), Orders{Order::make_read_only});
  EXPECT_TRUE(after(1ms).empty()) << "it is under way";
  EXPECT_TRUE(guard_->word(now_).lease_lost);
  EXPECT_FALSE(guard_->word(now_).lease_held);
}

// A grant that was long on its way, in answer to an old frame, is no new lease.
TEST_F(Guard, DelayedGrantIsWorthWhatIsLeftOfIt) {
  be_primary();
  now_ += 790ms;
  hear(GrantedRole::primary, 3, 795ms);
  EXPECT_EQ(after(10ms), Orders{Order::make_read_only});
  begin();
  hear(GrantedRole::primary, 4, 900ms);
  EXPECT_FALSE(guard_->may_write(now_));
}

// A frame that acknowledges nothing of ours cannot be dated, so it grants nothing.
TEST_F(Guard, UndatedGrantIsNone) {
  begin();
  guard_->on_word({GrantedRole::primary, true, 800}, Epoch{1}, std::nullopt, now_);
  EXPECT_FALSE(guard_->may_write(now_));
}

// The links come back while the server is still the primary: the proxy is told that it was we who stopped the
// writes, until it has allowed them again.
TEST_F(Guard, SaysThatTheReadOnlyIsOurs) {
  be_primary();
  ASSERT_EQ(after(900ms), Orders{Order::make_read_only});
  done(Order::make_read_only);
  server_says(true);
  EXPECT_TRUE(after(5s).empty());
  hear(GrantedRole::primary, 3);
  EXPECT_TRUE(step().empty());
  EXPECT_TRUE(guard_->word(now_).lease_held);
  EXPECT_TRUE(guard_->word(now_).lease_lost);
  begin(guard_->memory());
  guard_->on_process(MysqldState::answers, false);
  server_says(true);
  EXPECT_TRUE(guard_->word(now_).lease_lost) << "a restart of the agent does not forget it";
  server_says(false);
  EXPECT_TRUE(step().empty());
  EXPECT_FALSE(guard_->word(now_).lease_lost);
}

// A server stands still, and our order to it is given up when the proxy is back and grants the lease anew.
// When it comes to itself it carries the order out: that is ours, and nobody else would lift it. After a
// while of writing nothing is left of it, and a read_only is a person's again.
TEST_F(Guard, ClaimsAnOrderThatIsCarriedOutLate) {
  for (const bool restarted : {false, true}) {
    be_primary();
    ASSERT_EQ(after(900ms), Orders{Order::make_read_only});
    now_ += 1s;
    if (!restarted) done(Order::make_read_only, false);
    if (restarted) {
      begin(guard_->memory());
      guard_->on_process(MysqldState::answers, false);
    }
    hear(GrantedRole::primary, 3);
    EXPECT_TRUE(step().empty());
    server_says(false);
    step();
    now_ += 5ms;
    server_says(true);
    step();
    EXPECT_TRUE(guard_->word(now_).lease_held);
    EXPECT_TRUE(guard_->word(now_).lease_lost) << "after " << (restarted ? "a restart" : "a failure");
    now_ += 5ms;
    server_says(false);
    EXPECT_FALSE(guard_->word(now_).lease_lost) << "the proxy has lifted it";
  }
}
TEST_F(Guard, ClaimsALateOrderForAWhileOnly) {
  be_primary();
  ASSERT_EQ(after(900ms), Orders{Order::make_read_only});
  done(Order::make_read_only, false);
  hear(GrantedRole::primary, 3);
  for (int i = 0; i < 110; ++i) {
    now_ += 100ms;
    hear(GrantedRole::primary, 3);
    server_says(false);
    step();
  }
  server_says(true);
  step();
  EXPECT_FALSE(guard_->word(now_).lease_lost);
}

// A failover was begun and came to nothing, its daemon with it: the next one finds the server as it was
// before the fence and makes it the primary again. The read_only is ours, and nobody else would lift it. The
// same for a server that was stopped as it started.
TEST_F(Guard, ClaimsWhatAFenceLeftBehind) {
  for (const bool fence : {true, false}) {
    begin();
    guard_->on_process(MysqldState::answers, !fence);
    server_says(false);
    if (fence) hear(GrantedRole::fence, 4);
    ASSERT_EQ(step(), Orders{Order::make_read_only});
    now_ += 1ms;
    done(Order::make_read_only);
    server_says(true);
    step();
    EXPECT_FALSE(guard_->word(now_).lease_lost) << "that it fenced, the proxy knows";
    hear(GrantedRole::primary, 5);
    step();
    EXPECT_TRUE(guard_->word(now_).lease_lost);
    now_ += 1ms;
    server_says(false);
    EXPECT_FALSE(guard_->word(now_).lease_lost);
  }
}

// Nobody but its maker lifts a person's read_only.
TEST_F(Guard, LeavesAPersonsReadOnly) {
  be_primary();
  server_says(true);
  hear(GrantedRole::primary, 3);
  EXPECT_TRUE(step().empty());
  EXPECT_FALSE(guard_->word(now_).lease_lost);
}

// The links come back and the other server is the primary now: this one stays read-only for good.
TEST_F(Guard, KeepsReadOnlyAsAStandby) {
  be_primary();
  ASSERT_EQ(after(900ms), Orders{Order::make_read_only});
  done(Order::make_read_only);
  server_says(true);
  hear(GrantedRole::standby, 4);
  EXPECT_TRUE(after(1s).empty());
  hear(GrantedRole::primary, 3);  // an old frame
  EXPECT_TRUE(after(1ms).empty());
  EXPECT_FALSE(guard_->may_write(now_));
  EXPECT_EQ(guard_->epoch(), Epoch{4});
}

// A fence: read-only, and acknowledged with the last transactions only by what the server says afterwards.
TEST_F(Guard, AcknowledgesAFenceByTheServersOwnWord) {
  be_primary();
  server_says(true);  // before the order
  now_ += 1ms;
  hear(GrantedRole::fence, 4);
  EXPECT_EQ(step(), Orders{Order::make_read_only});
  EXPECT_EQ(guard_->word(now_).fenced, Epoch{});
  now_ += 1ms;
  done(Order::make_read_only);
  server_says(true);
  EXPECT_TRUE(step().empty());
  EXPECT_EQ(guard_->word(now_).fenced, Epoch{4});
  const auto gtids = guard_->word(now_).gtids;
  ASSERT_EQ(gtids.size(), 2U);
  EXPECT_EQ(std::get<MariaDbGtid>(gtids[0]), (MariaDbGtid{0, 7, 44}));
  EXPECT_EQ(gtids_of(gtids).to_string(), "0-7-44,5-7-2");
  server_says(false);
  EXPECT_EQ(step(), Orders{Order::make_read_only}) << "it is enforced";
}

// A fenced server hangs: it is killed when both sides allow it, and its end is the acknowledgement.
TEST_F(Guard, KillsAHungServerUnderAFence) {
  be_primary();
  guard_->on_silence(now_);
  EXPECT_TRUE(after(100ms).empty()) << "not without an order";
  hear(GrantedRole::fence, 4);
  EXPECT_EQ(step(), (Orders{Order::kill, Order::make_read_only}));
  EXPECT_EQ(guard_->word(now_).mysqld, MysqldState::silent);
  EXPECT_EQ(guard_->word(now_).silent_ms, 100);
  guard_->on_process(MysqldState::exited, false);
  EXPECT_TRUE(step().empty());
  EXPECT_EQ(guard_->word(now_).fenced, Epoch{4});
  EXPECT_EQ(guard_->word(now_).mysqld, MysqldState::exited);

  begin({}, {.kill_hung = false});
  guard_->on_process(MysqldState::answers, false);
  guard_->on_silence(now_);
  hear(GrantedRole::fence, 4);
  EXPECT_EQ(step(), Orders{Order::make_read_only});
}

// A long statement, or a commit that waits for a replica, holds up the fence: the server is ended, for nobody
// knows when that one goes on.
TEST_F(Guard, KillsAServerThatCannotBeFenced) {
  be_primary();
  hear(GrantedRole::fence, 4);
  EXPECT_EQ(step(), Orders{Order::make_read_only});
  EXPECT_EQ(guard_->next_deadline(), now_ + AgentGuard::enforce_limit);
  EXPECT_TRUE(after(AgentGuard::enforce_limit - 1ms).empty());
  EXPECT_EQ(after(1ms), Orders{Order::kill});

  begin({}, {.kill_hung = false});
  guard_->on_process(MysqldState::answers, false);
  server_says(false);
  hear(GrantedRole::fence, 4);
  EXPECT_EQ(after(1h), Orders{Order::make_read_only});
}

// Its replica is cut off with it: since then no commit was acknowledged, and a MySQL server becomes read-only
// after the last of them only. It is ended as the fence comes.
TEST_F(Guard, KillsAServerWhoseCommitsHaveWaitedLongEnough) {
  const auto report = [this](unsigned waiting, const char* executed, Flavour flavour = Flavour::mysql) {
    ServerReport said;
    said.flavour = flavour;
    said.read_only = false;
    said.executed = *GtidSet::parse(flavour, executed);
    said.semi_sync.source_waiting = waiting;
    guard_->on_report(said, now_);
  };
  constexpr auto before = "11111111-1111-1111-1111-111111111111:1-5";
  constexpr auto later = "11111111-1111-1111-1111-111111111111:1-6";
  const auto fenced_after = [&](auto story) {
    be_primary();
    story();
    hear(GrantedRole::fence, 4);
    return step();
  };
  const auto pass = [this](Duration time) { now_ += time; };
  const Duration limit = AgentGuard::enforce_limit;
  EXPECT_EQ(fenced_after([&] {
              report(2, before);
              pass(limit);
              report(4, before);
              pass(50ms);
            }),
            (Orders{Order::kill, Order::make_read_only}));
  EXPECT_EQ(fenced_after([&] {
              report(2, before);
              pass(limit - 1ms);
              report(4, before);
              pass(50ms);
            }),
            Orders{Order::make_read_only})
      << "not long enough, as far as it said";
  now_ += 1ms;
  report(4, before);
  EXPECT_EQ(guard_->next_deadline(), now_ - 1ms) << "it is due at once";
  EXPECT_EQ(step(), Orders{Order::kill});
  EXPECT_EQ(fenced_after([&] {
              report(2, before);
              pass(limit);
              report(4, later);
            }),
            Orders{Order::make_read_only})
      << "some were acknowledged";
  EXPECT_EQ(fenced_after([&] {
              report(2, before);
              pass(limit);
              report(0, before);
              report(2, before);
            }),
            Orders{Order::make_read_only})
      << "nobody waited meanwhile";
  EXPECT_EQ(fenced_after([&] {
              report(2, "0-1-5", Flavour::mariadb);
              pass(limit);
              report(2, "0-1-5", Flavour::mariadb);
            }),
            Orders{Order::make_read_only})
      << "MariaDB's end with their clients";
}

// The primary hangs and the host is cut off: the other server is promoted when the lease is over, so this one
// may never come to itself again.
TEST_F(Guard, KillsAServerThatHangsWhenTheLeaseRunsOut) {
  be_primary();
  now_ += 700ms;
  guard_->on_silence(now_);
  EXPECT_TRUE(step().empty());
  now_ += 99ms;
  const Instant over = now_;
  EXPECT_EQ(step(), Orders{Order::make_read_only});
  EXPECT_EQ(guard_->next_deadline(), over + LeaseBound::patience(800ms));
  done(Order::make_read_only, false);
  EXPECT_EQ(after(LeaseBound::patience(800ms) - 1ms), Orders{Order::make_read_only}) << "it may only be slow";
  EXPECT_EQ(guard_->next_deadline(), now_ + 1ms);
  EXPECT_EQ(after(1ms), Orders{Order::kill});

  begin({}, {.kill_hung = false});
  guard_->on_process(MysqldState::answers, false);
  hear(GrantedRole::primary, 3);
  guard_->on_silence(now_);
  EXPECT_EQ(after(1h), Orders{Order::make_read_only});
}

// A statement holds the order up while the lease is over: a transaction that is open meanwhile can be
// committed, and the proxy waits no longer than LeaseBound::reaction.
TEST_F(Guard, KillsAServerThatIsHeldUpBeforeAnotherOneIsPromoted) {
  for (const Duration lease : {200ms, 800ms, 5000ms}) {
    EXPECT_GE(LeaseBound::patience(lease), 60ms);
    EXPECT_GE(LeaseBound::reaction(lease) - LeaseBound::patience(lease), 40ms);
  }
  be_primary();
  now_ += 798ms;
  server_says(false);
  EXPECT_TRUE(step().empty());
  EXPECT_EQ(after(1ms), Orders{Order::make_read_only});
  now_ += LeaseBound::patience(800ms) - 1ms;
  server_says(false);
  EXPECT_TRUE(step().empty());
  now_ += 1ms;
  server_says(false);
  EXPECT_EQ(step(), Orders{Order::kill});
}

// A fenced server is started again, or made writable by a person: the fence is not in force until it is
// read-only once more.
TEST_F(Guard, FenceHoldsOnlyWhileTheServerIsReadOnly) {
  be_primary();
  hear(GrantedRole::fence, 4);
  guard_->on_process(MysqldState::exited, false);
  step();
  ASSERT_EQ(guard_->word(now_).fenced, Epoch{4});
  guard_->on_process(MysqldState::answers, true);
  step();
  EXPECT_EQ(guard_->word(now_).fenced, Epoch{});
  done(Order::make_read_only);
  server_says(true);
  step();
  EXPECT_EQ(guard_->word(now_).fenced, Epoch{4});
}

// Fenced, then another mysqld runs there, of which nothing is known yet: the fence is not in force, whatever
// the one before said, until this one says so itself.
TEST_F(Guard, FenceOfOneProcessIsNotThatOfTheNext) {
  be_primary();
  hear(GrantedRole::fence, 4);
  EXPECT_EQ(step(), Orders{Order::make_read_only});
  now_ += 1ms;
  server_says(true);
  done(Order::make_read_only);
  EXPECT_TRUE(step().empty());
  ASSERT_EQ(guard_->word(now_).fenced, Epoch{4});
  guard_->on_process(MysqldState::unknown, true);
  EXPECT_EQ(after(1ms), Orders{Order::make_read_only});
  EXPECT_EQ(guard_->word(now_).fenced, Epoch{});
  EXPECT_FALSE(guard_->word(now_).read_only.has_value()) << "nor is the old one's word repeated";
  server_says(false);
  EXPECT_TRUE(step().empty()) << "the order runs";
  EXPECT_EQ(guard_->word(now_).fenced, Epoch{});
  now_ += 1ms;
  server_says(true);
  step();
  EXPECT_EQ(guard_->word(now_).fenced, Epoch{4});
}

// A frame of a lower epoch, from a proxy that was replaced or from before a failover, changes nothing:
// neither the role nor the epoch nor the lease.
TEST_F(Guard, LowerEpochCountsForNothing) {
  be_primary();
  hear(GrantedRole::fence, 5);
  const GuardMemory before = guard_->memory();
  hear(GrantedRole::primary, 4);
  EXPECT_EQ(guard_->memory(), before);
  EXPECT_EQ(guard_->epoch(), Epoch{5});
  EXPECT_EQ(guard_->role(), GrantedRole::fence);
  EXPECT_FALSE(guard_->may_write(now_));
  hear(GrantedRole::standby, 4);
  EXPECT_EQ(guard_->role(), GrantedRole::fence);
  hear(GrantedRole::primary, 5);
  EXPECT_TRUE(guard_->may_write(now_)) << "the same epoch counts";
}

// A fenced server has no connection left for us: that is an answer, so it is not killed as a hung one.
TEST_F(Guard, ServerThatAnswersWithAnErrorDoesNotHang) {
  be_primary();
  guard_->on_silence(now_);
  now_ += 1ms;
  guard_->on_answer(now_);
  hear(GrantedRole::fence, 4);
  EXPECT_EQ(step(), Orders{Order::make_read_only});
  EXPECT_EQ(guard_->word(now_).mysqld, MysqldState::answers);
  guard_->on_silence(now_);
  guard_->on_answer(now_ - 1ms);
  EXPECT_EQ(guard_->word(now_).mysqld, MysqldState::silent) << "an answer from before the silence";
}

// The server ends while it is being made read-only: the order fails, the fence does not.
TEST_F(Guard, EndOfTheServerMendsAFailedFence) {
  be_primary();
  hear(GrantedRole::fence, 4);
  ASSERT_EQ(step(), Orders{Order::make_read_only});
  guard_->on_process(MysqldState::exited, false);
  done(Order::make_read_only, false);
  EXPECT_TRUE(step().empty());
  EXPECT_FALSE(guard_->word(now_).fence_failed);
  EXPECT_EQ(guard_->word(now_).fenced, Epoch{4});
}

// A server starts on a host whose role is not the primary's: read-only at once. As the primary's it is left
// alone.
TEST_F(Guard, FencesAServerThatStarts) {
  begin();
  guard_->on_process(MysqldState::absent, false);
  EXPECT_TRUE(step().empty());
  guard_->on_process(MysqldState::answers, true);
  EXPECT_EQ(step(), Orders{Order::make_read_only});
  done(Order::make_read_only, false);
  EXPECT_TRUE(step().empty());
  EXPECT_EQ(after(100ms), Orders{Order::make_read_only}) << "tried again";
  done(Order::make_read_only);
  server_says(true);
  EXPECT_TRUE(after(1s).empty());

  be_primary();
  guard_->on_process(MysqldState::exited, false);
  guard_->on_process(MysqldState::answers, true);
  EXPECT_TRUE(step().empty());
}

// The proxy promotes by SQL before it grants the role: a standby that becomes writable is not fought.
TEST_F(Guard, DoesNotFightAPromotion) {
  begin();
  guard_->on_process(MysqldState::answers, false);
  server_says(true);
  hear(GrantedRole::standby, 3);
  EXPECT_TRUE(step().empty());
  now_ += 1ms;
  server_says(false);
  EXPECT_TRUE(step().empty());
  hear(GrantedRole::primary, 4);
  EXPECT_TRUE(step().empty());
  EXPECT_TRUE(guard_->may_write(now_));
}

// The agent stood still while its server was restarted and the lease ran out. It orders first and sees the
// other process then, and is granted the role again: that the order reaches that process is our doing all the
// same, and the proxy is told, or the server would stay read-only.
TEST_F(Guard, SaysOfAnOrderThatReachedTheNextProcess) {
  for (const bool carried_out : {true, false}) {
    be_primary();
    ASSERT_EQ(after(2s), Orders{Order::make_read_only});
    guard_->on_process(MysqldState::exited, false);
    guard_->on_process(MysqldState::answers, true);
    server_says(false);
    hear(GrantedRole::primary, 3);
    EXPECT_TRUE(step().empty());
    done(Order::make_read_only);
    now_ += 10ms;
    server_says(carried_out);
    EXPECT_TRUE(step().empty());
    EXPECT_EQ(guard_->word(now_).lease_lost, carried_out);
    EXPECT_TRUE(guard_->word(now_).lease_held);
    now_ += 1min;
  }
}

// The agent is restarted on a primary that is cut off: it remembers what it must enforce.
TEST_F(Guard, RemembersTheRoleOverARestart) {
  be_primary();
  const GuardMemory memory = guard_->memory();
  EXPECT_EQ(memory.epoch, Epoch{3});
  EXPECT_TRUE(memory.primary);
  EXPECT_EQ(memory.lease, 800ms);
  ASSERT_TRUE(memory.lease_until);
  const Duration left = *memory.lease_until - now_;
  ASSERT_GT(left, 500ms);
  now_ += 500ms;
  begin(memory);
  guard_->on_process(MysqldState::answers, false);
  server_says(false);
  EXPECT_TRUE(step().empty());
  EXPECT_TRUE(after(left - 501ms).empty()) << "the lease is the one from before, and no longer";
  EXPECT_EQ(after(1ms), Orders{Order::make_read_only});
}

// The agent of a primary that is cut off is restarted, and a commit there holds up what would make it
// read-only. Until the proxy is heard again it knows by itself that it may kill; without that the old primary
// would accept writes beside the new one.
TEST_F(Guard, RemembersOverARestartThatItMayKill) {
  for (const bool may_kill : {true, false}) {
    begin();
    guard_->on_process(MysqldState::answers, false);
    server_says(false);
    guard_->on_word({GrantedRole::primary, may_kill, 800}, Epoch{3}, now_ - 1ms, now_);
    const GuardMemory memory = guard_->memory();
    now_ += 500ms;
    begin(memory);
    guard_->on_process(MysqldState::answers, false);
    server_says(false);
    ASSERT_EQ(after(299ms), Orders{Order::make_read_only});
    EXPECT_EQ(guard_->next_deadline() == now_ + LeaseBound::patience(800ms), may_kill);
    EXPECT_EQ(after(LeaseBound::patience(800ms)), may_kill ? Orders{Order::kill} : Orders{});
    now_ += 1min;
  }
}

// The agent comes back after the lease ran out unguarded: the proxy gets a moment to be heard.
TEST_F(Guard, GivesTheProxyAMomentAfterALongRestart) {
  be_primary();
  const GuardMemory memory = guard_->memory();
  now_ += 1min;
  begin(memory);
  guard_->on_process(MysqldState::answers, false);
  server_says(false);
  EXPECT_TRUE(after(AgentGuard::restart_grace - 1ms).empty());
  EXPECT_EQ(after(1ms), Orders{Order::make_read_only});
}

// A proxy that has just started knows no roles yet: the lease runs on meanwhile, and nothing else changes.
TEST_F(Guard, ProxyThatKnowsNoRolesTakesNothingAway) {
  be_primary();
  hear(GrantedRole::none, 3);
  EXPECT_TRUE(after(700ms).empty());
  EXPECT_EQ(after(99ms), Orders{Order::make_read_only});
}

// Lease 0: no frame, no consequence.
TEST_F(Guard, WithoutALeaseNothingRunsOut) {
  begin();
  guard_->on_process(MysqldState::answers, false);
  server_says(false);
  hear(GrantedRole::primary, 3, 1ms, 0);
  EXPECT_TRUE(after(1h).empty());
  EXPECT_TRUE(guard_->may_write(now_));
}

}  // namespace
}  // namespace pointsman::core
