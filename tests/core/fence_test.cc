// The decision core and the agents: who is told what, and what a failover waits for before it promotes. One
// primary, one replica, both with an agent; every word and every answer is the test's.
#include <gtest/gtest.h>

#include "health/core/controller.h"

namespace pointsman::core {
namespace {

using namespace std::chrono_literals;

constexpr BackendId db1{0};
constexpr BackendId db2{1};

class Fence : public testing::Test {
 protected:
  static conf::Config config() {
    conf::Config config;
    config.replication.semi_sync = conf::SemiSync::off;
    for (const char* name : {"db1", "db2"}) {
      conf::Backend backend;
      backend.name = name;
      backend.address = {"192.0.2.1", static_cast<std::uint16_t>(backend.name == "db1" ? 1 : 2)};
      backend.udp = {{"192.0.2.1", 694}};
      backend.serial = "/dev/ttyS9";
      config.backends.push_back(std::move(backend));
    }
    return config;
  }

  void begin(conf::Config config = Fence::config(), DurableState stored = {}) {
    config_ = config;
    core_.emplace(std::move(config), std::move(stored), now_);
    commands_.clear();
    take(core_->begin());
  }

  static GtidSet executed(const std::string& text) { return *GtidSet::parse(Flavour::mariadb, text); }
  ServerReport report(BackendId id) const {
    ServerReport report;
    report.flavour = Flavour::mariadb;
    report.version = "10.11";
    report.server_id = static_cast<std::uint32_t>(index(id) + 1);
    report.read_only = id != db1;
    report.executed = executed(index(id) == 0 ? at_primary_ : at_replica_);
    report.uptime = 1h;
    report.log_bin = report.log_replica_updates = report.gtid_on = true;
    if (acknowledging_ && id == db1) {
      report.semi_sync.available = report.semi_sync.source_enabled = report.semi_sync.source_active = true;
      report.semi_sync.source_insists = report.semi_sync.source_waits_alone = true;
      report.semi_sync.source_clients = *acknowledging_;
    }
    if (id == db2) {
      ReplicaStatus replica;
      replica.source = config_.backends[0].address;
      replica.io = ReplicaStatus::Io::yes;
      replica.sql = replica.by_gtid = true;
      replica.received = executed(at_replica_);
      replica.lag = 0s;
      replica.events_received = events_;
      report.replica = replica;
      report.sources = 1;
    }
    return report;
  }

  // Performs at once what takes no server; keeps the commands.
  void take(Actions actions) {
    for (auto& action : actions) {
      if (auto* command = std::get_if<SendCommand>(&action)) commands_.push_back(*command);
      if (auto* reply = std::get_if<Reply>(&action)) reply_ = *reply;
      if (auto* route = std::get_if<SetRoute>(&action)) later_.emplace_back(RouteApplied{route->token});
      if (auto* store = std::get_if<StoreState>(&action)) {
        stored_ = store->state;
        if (!disk_error_.empty())
          later_.emplace_back(StateStored{store->version, std::unexpected(disk_error_)});
        else if (disk_works_)
          later_.emplace_back(StateStored{store->version, {}});
      }
    }
    while (!later_.empty()) {
      const Event event = std::move(later_.front());
      later_.erase(later_.begin());
      take(core_->step(event, now_));
    }
  }
  void step(const Event& event) { take(core_->step(event, now_)); }

  void probe(BackendId id) { step(ProbeSucceeded{id, report(id), now_ - 1ms, now_}); }
  void hear(BackendId id, AgentWord word, LinkKind link = LinkKind::udp) {
    step(AgentHeard{id, link, std::move(word), core_->order_for(id).epoch, true, now_ - 1ms, now_});
  }
  static AgentWord answers(bool leased) {
    AgentWord word;
    word.mysqld = MysqldState::answers;
    word.read_only = !leased;
    word.lease_held = leased;
    return word;
  }
  GrantedRole role(BackendId id) const { return core_->order_for(id).word.role; }
  // A frame to the agent that acknowledges what was heard of it just now.
  void grant(BackendId id) { core_->on_sealed(id, core_->order_for(id).word, now_); }

  enum Silent : unsigned { nobody = 0, sql = 1, agent = 2 };
  // So long everything goes on, but for what is silent of db1.
  void pass(Duration time, unsigned silent = nobody) {
    for (const Instant end = now_ + time; now_ < end;) {
      now_ += 50ms;
      ++events_;
      if ((silent & sql) == 0) probe(db1);
      if ((silent & agent) == 0) {
        hear(db1, answers(true));
        grant(db1);
      }
      probe(db2);
      hear(db2, answers(false));
      step(Tick{});
    }
  }
  void be_steady() {
    pass(1s);
    ASSERT_EQ(core_->state(), State::steady);
    ASSERT_EQ(role(db1), GrantedRole::primary);
  }
  void fall_silent(unsigned silent, Verdict verdict) {
    for (int i = 0; i < 40 && core_->cluster().at(db1).judgement.verdict != verdict; ++i) pass(50ms, silent);
    ASSERT_EQ(core_->cluster().at(db1).judgement.verdict, verdict);
  }
  bool fencing() const {
    return core_->change() != nullptr && core_->change()->step() == Change::Step::fence;
  }
  template <class What>
  const SendCommand* sent(BackendId id) const {
    for (const auto& command : commands_)
      if (command.backend == id && std::holds_alternative<What>(command.command)) return &command;
    return nullptr;
  }

  Instant now_{1h};
  conf::Config config_;
  std::optional<Controller> core_;
  std::vector<SendCommand> commands_;
  std::vector<Event> later_;
  std::optional<Reply> reply_;
  DurableState stored_;
  bool disk_works_ = true;  // false: it never answers
  std::string disk_error_;
  std::optional<unsigned> acknowledging_;  // so many replicas; the primary waits for one, however long
  std::string at_primary_ = "0-1-100";
  std::string at_replica_ = "0-1-100";
  std::uint64_t events_ = 1;
};

// Until it is known who is primary nobody is told a role; then everybody is.
TEST_F(Fence, GrantsTheRolesOfAStoredEpoch) {
  disk_works_ = false;
  begin();
  EXPECT_EQ(role(db1), GrantedRole::none);
  probe(db1);
  probe(db2);
  ASSERT_EQ(core_->state(), State::steady);
  EXPECT_EQ(role(db1), GrantedRole::none) << "the epoch is not durable yet";
  EXPECT_EQ(core_->order_for(db1).epoch, Epoch{0});
  step(StateStored{1000, {}});
  EXPECT_EQ(role(db1), GrantedRole::primary);
  EXPECT_EQ(core_->order_for(db1).epoch, Epoch{1});
  EXPECT_EQ(core_->order_for(db1).word.lease_ms, 800U);
  EXPECT_TRUE(core_->order_for(db1).word.kill_hung);
  EXPECT_EQ(role(db2), GrantedRole::standby);
}

// A change that cannot be stored comes to nothing, and the primary keeps its lease in the epoch that it has;
// what the change was to be is told to nobody. When there is room again, the epoch goes on.
TEST_F(Fence, AFullDiskEndsNoLease) {
  begin();
  be_steady();
  const Epoch stored = core_->order_for(db1).epoch;
  disk_error_ = "No space left on device";
  for (unsigned i = 1; i <= 2; ++i) {
    step(FailoverWanted{RequestId{i}, db2, true});
    pass(1s);
    ASSERT_TRUE(reply_ && reply_->id == RequestId{i});
    EXPECT_FALSE(reply_->ok);
    EXPECT_NE(reply_->text.find("No space left on device"), std::string::npos) << reply_->text;
    ASSERT_EQ(core_->change(), nullptr);
    EXPECT_EQ(role(db1), GrantedRole::primary);
    EXPECT_EQ(core_->order_for(db1).epoch, stored);
    EXPECT_EQ(role(db2), GrantedRole::standby);
  }
  EXPECT_GT(core_->cluster().epoch, stored);
  disk_error_.clear();
  pass(3s);
  EXPECT_EQ(role(db1), GrantedRole::primary);
  EXPECT_EQ(core_->order_for(db1).epoch, core_->cluster().epoch);
}

// The host dies: nobody is promoted before the last lease that was granted is surely over.
TEST_F(Fence, DeadHostWaitsForTheLease) {
  auto times = config();
  times.heartbeat.lease = 900ms;
  times.heartbeat.keepalive = 100ms;
  begin(times);
  be_steady();
  const Instant last_heard = now_;
  grant(db1);
  fall_silent(sql | agent, Verdict::dead);
  const Instant over = *core_->cluster().at(db1).lease.over_at();
  EXPECT_GT(over - last_heard, 900ms + LeaseBound::reaction(900ms) - 1ms);
  ASSERT_EQ(core_->state(), State::failing_over);
  if (now_ < over) {
    EXPECT_TRUE(fencing());
    EXPECT_EQ(sent<StopReceiving>(db2), nullptr);
    EXPECT_LE(core_->next_deadline(), over);
  }
  EXPECT_EQ(role(db1), GrantedRole::fence) << "should it hear us again";
  EXPECT_EQ(core_->order_for(db1).epoch, Epoch{2});
  now_ = std::max(now_, over);
  step(Tick{});
  EXPECT_FALSE(fencing());
  EXPECT_NE(sent<StopReceiving>(db2), nullptr);
}

// The bound itself, in figures: the lease from the frame that was acknowledged, a thousandth of it for clocks
// that do not run alike, and a quarter of it, within bounds, in which an agent makes its server read-only or
// kills it. A later grant never shortens an earlier one.
TEST(LeaseBound, CoversClockAndReaction) {
  LeaseBound bound;
  const Instant heard{1h};
  EXPECT_TRUE(bound.over(heard)) << "none was ever granted";
  bound.on_granted(heard, 800ms);
  EXPECT_EQ(*bound.over_at(), heard + 800ms + 800us + 200ms);
  EXPECT_FALSE(bound.over(heard + 1000ms));
  EXPECT_TRUE(bound.over(heard + 1001ms));
  bound.on_granted(heard + 10ms, 100ms);
  EXPECT_EQ(*bound.over_at(), heard + 800ms + 800us + 200ms);
  EXPECT_EQ(LeaseBound::reaction(200ms), 100ms);
  EXPECT_EQ(LeaseBound::reaction(10s), 300ms);
}

// Its agent had died long before the host fell silent: nothing ends that primary's writes, and a person
// decides.
TEST_F(Fence, NobodyGuardsThePrimary) {
  begin();
  be_steady();
  pass(3s, agent);
  ASSERT_EQ(core_->state(), State::steady);
  EXPECT_TRUE(std::ranges::any_of(core_->warnings(), [](const auto& text) {
    return text.find("the agent of db1 is silent on any link") != std::string::npos;
  }));
  for (int i = 0; i < 60; ++i) pass(50ms, sql | agent);
  EXPECT_EQ(core_->cluster().at(db1).judgement.verdict, Verdict::dead);
  EXPECT_EQ(core_->change(), nullptr);
  EXPECT_NE(core_->reason().find("no agent was known to guard db1"), std::string::npos) << core_->reason();
  step(FailoverWanted{RequestId{1}, std::nullopt, true});
  EXPECT_NE(core_->change(), nullptr) << "by force";
  EXPECT_FALSE(fencing());
}

// Its agent falls silent, and the host only later than warntime after it: the lease that the agent kept says
// nothing, however soon it is over. Silent together with it, it ends the writes.
TEST_F(Fence, AnAgentThatWasSilentBeforeGuardsNothing) {
  for (const bool before : {true, false}) {
    begin();
    be_steady();
    ASSERT_TRUE(core_->cluster().guarded(core_->cluster().at(db1)));
    if (before) pass(500ms, agent);  // warntime is 400 ms, deadtime a second
    EXPECT_EQ(core_->cluster().guarded(core_->cluster().at(db1)), !before);
    for (int i = 0; i < 60 && core_->change() == nullptr; ++i) pass(50ms, sql | agent);
    EXPECT_EQ(core_->change() != nullptr, !before) << core_->reason();
  }
}

// The same while we stand still: what happened meanwhile is heard of afterwards, and nobody is held guilty of
// our silence; but that probes were answered and no frame came is known all the same.
TEST_F(Fence, AnAgentThatWasSilentDuringAStallGuardsNothing) {
  begin();
  be_steady();
  const Instant stalled = now_;
  now_ += 2s;
  for (Instant at = stalled + 200ms; at <= stalled + 700ms; at += 100ms)
    step(ProbeSucceeded{db1, report(db1), at - 1ms, at});
  EXPECT_FALSE(core_->cluster().guarded(core_->cluster().at(db1)));
  for (int i = 0; i < 80; ++i) pass(50ms, sql | agent);
  EXPECT_EQ(core_->change(), nullptr) << core_->reason();
  EXPECT_NE(core_->reason().find("no agent was known to guard db1"), std::string::npos) << core_->reason();
}

// eth0 is cut: the order goes to the agent by the other link, its word is the proof, and what it had last is
// awaited on a replica that still receives.
TEST_F(Fence, CutOffPrimaryIsFencedByItsAgent) {
  begin();
  be_steady();
  fall_silent(sql, Verdict::cut_off);
  ASSERT_TRUE(fencing());
  EXPECT_EQ(role(db1), GrantedRole::fence);
  AgentWord word = answers(true);
  hear(db1, word, LinkKind::serial);
  EXPECT_TRUE(fencing()) << "not obeyed yet";
  word.lease_held = false;
  word.read_only = true;
  word.fenced = Epoch{1};
  hear(db1, word, LinkKind::serial);
  EXPECT_TRUE(fencing()) << "an older fence";
  word.fenced = Epoch{2};
  word.gtids = {MariaDbGtid{0, 1, 103}};
  hear(db1, word, LinkKind::serial);
  EXPECT_FALSE(fencing());
  const SendCommand* wait = sent<WaitApplied>(db2);
  ASSERT_NE(wait, nullptr);
  EXPECT_EQ(std::get<WaitApplied>(wait->command).target.to_string(), "0-1-103");
  EXPECT_EQ(sent<StopReceiving>(db2), nullptr);
  at_replica_ = "0-1-103";
  step(CommandFinished{wait->id, db2, report(db2), now_});
  EXPECT_NE(sent<StopReceiving>(db2), nullptr);
}

// The proxy itself was cut off, and frames come through before any probe: ARP and TCP ask again after a
// second. Whoever answers first, the silence of the other one was ours. What goes on is not.
TEST_F(Fence, OwnIsolationIsHeldAgainstNobody) {
  for (const bool answers_too : {true, false}) {
    begin();
    be_steady();
    const auto pass_with = [this](Duration time, bool frames, bool db2_answers) {
      for (const Instant end = now_ + time; now_ < end;) {
        now_ += 50ms;
        if (frames) hear(db1, answers(true));
        if (frames) hear(db2, answers(false));
        if (db2_answers) probe(db2);
        step(Tick{});
      }
    };
    pass_with(3s, false, false);
    ASSERT_EQ(core_->cluster().at(db1).judgement.verdict, Verdict::dead);
    pass_with(1050ms, true, false);
    pass_with(50ms, true, true);
    EXPECT_EQ(core_->change(), nullptr) << core_->cluster().at(db1).judgement.why;
    if (answers_too) probe(db1);
    pass_with(500ms, true, true);
    EXPECT_EQ(core_->change(), nullptr) << core_->cluster().at(db1).judgement.why;
    if (answers_too) continue;
    fall_silent(sql, Verdict::cut_off);
    pass(100ms, sql);
    EXPECT_TRUE(fencing()) << core_->reason();
  }
}

// The agent is heard and says that writes are still accepted: that the lease should be over proves nothing.
TEST_F(Fence, AgentDeniesThatTheLeaseIsOver) {
  begin();
  be_steady();
  fall_silent(sql, Verdict::cut_off);
  for (int i = 0; i < 40; ++i) {
    now_ += 50ms;
    probe(db2);
    hear(db1, answers(true), LinkKind::serial);
    step(Tick{});
  }
  EXPECT_TRUE(core_->cluster().at(db1).lease.over(now_));
  EXPECT_TRUE(fencing());
}

// A hung server was killed by its agent on our order.
TEST_F(Fence, HungServerIsKilled) {
  begin();
  be_steady();
  AgentWord word = answers(true);
  word.mysqld = MysqldState::silent;
  for (int i = 1; i < 40 && !fencing(); ++i) {
    now_ += 50ms;
    word.silent_ms = static_cast<std::uint16_t>(50 * i);
    hear(db1, word);
    ++events_;
    probe(db2);
    step(Tick{});
  }
  EXPECT_EQ(core_->cluster().at(db1).judgement.verdict, Verdict::hung);
  ASSERT_TRUE(fencing());
  EXPECT_TRUE(core_->order_for(db1).word.kill_hung);
  word.mysqld = MysqldState::dying;
  hear(db1, word);
  EXPECT_FALSE(fencing());
}

// Commits wait for a replica that does not get them, be it connected or not, and the primary ends. Killed it
// has answered nobody, and the replica takes over. A MariaDB that was shut down may have answered some.
TEST_F(Fence, CommitsThatWaitWhenThePrimaryEnds) {
  for (const unsigned connected : {1U, 0U}) {
    for (const bool killed : {true, false}) {
      auto required = config();
      required.replication.semi_sync = conf::SemiSync::required;
      acknowledging_ = 1;
      at_primary_ = at_replica_ = "0-1-100";
      begin(required);
      be_steady();
      acknowledging_ = connected;
      at_primary_ = "0-1-108";
      pass(5s);
      ASSERT_EQ(core_->change(), nullptr);
      AgentWord word;
      word.mysqld = MysqldState::dying;
      word.killed = killed;
      hear(db1, word);
      EXPECT_EQ(core_->cluster().at(db1).judgement.verdict, Verdict::crashed);
      if (killed) {
        EXPECT_NE(core_->change(), nullptr) << core_->reason();
      } else {
        EXPECT_EQ(core_->change(), nullptr);
        EXPECT_NE(core_->reason().find("db2 is behind: it never received 8 transactions"), std::string::npos)
            << core_->reason();
        EXPECT_NE(core_->reason().find("nobody saw that it was killed"), std::string::npos)
            << core_->reason();
      }
    }
  }
}

// The lease ran out while we stood still: the agent says that the read_only is its own, and we lift it, once
// it holds the lease again.
TEST_F(Fence, LiftsTheReadOnlyOfTheAgent) {
  begin();
  be_steady();
  AgentWord word = answers(false);
  word.lease_lost = true;
  hear(db1, word);
  ServerReport read_only = report(db1);
  read_only.read_only = true;
  now_ += 10ms;
  step(ProbeSucceeded{db1, read_only, now_ - 1ms, now_});
  EXPECT_EQ(sent<MakeWritable>(db1), nullptr) << "the agent would stop the writes again";
  word.lease_held = true;
  hear(db1, word);
  EXPECT_NE(sent<MakeWritable>(db1), nullptr);
}

// A primary is restarted writable and its agent, whose lease had run out, makes it read-only: it was seen to
// accept writes since its start, so it has shed nothing and serves again as soon as its lease is held. That a
// replica has a transaction of its own is no sign of the contrary, however the seconds of `uptime` turn.
TEST_F(Fence, RestartIsNotSeenTwice) {
  DurableState stored;
  stored.epoch = Epoch{3};
  stored.primary = "db1";
  begin(config(), stored);
  at_replica_ = "0-1-100,1-2-1";
  const Instant booted = now_;
  const auto report_of = [&](bool read_only) {
    ServerReport fresh = report(db1);
    fresh.read_only = read_only;
    fresh.uptime = std::chrono::floor<std::chrono::seconds>(now_ - booted);
    step(ProbeSucceeded{db1, fresh, now_ - 10ms, now_});
  };
  AgentWord word = answers(false);
  word.lease_lost = true;
  now_ += 20ms;
  report_of(false);
  hear(db1, word);
  now_ += 180ms;
  report_of(true);
  probe(db2);
  ASSERT_EQ(core_->cluster().primary, db1) << core_->reason();
  word.lease_held = true;
  hear(db1, word);
  const SendCommand* lifted = sent<MakeWritable>(db1);
  ASSERT_NE(lifted, nullptr) << core_->reason();
  for (int i = 0; i < 15; ++i) {
    now_ += 100ms;
    probe(db2);
    report_of(true);
    ASSERT_EQ(core_->change(), nullptr) << "at " << to_ms(now_ - booted) << " ms";
  }
  ServerReport writable = report(db1);
  writable.uptime = 1s;
  step(CommandFinished{lifted->id, db1, writable, now_ - 5ms});
  EXPECT_EQ(core_->state(), State::steady) << core_->reason();
}

// The state was lost: agents were told a higher epoch before. Soon after the start we go on above it; later
// another proxy rules, and is not outbid.
TEST_F(Fence, GoesOnAboveTheEpochOfTheAgents) {
  begin();
  probe(db1);
  probe(db2);
  step(AgentHeard{db1, LinkKind::udp, answers(true), Epoch{41}, true, now_, now_});
  EXPECT_EQ(core_->order_for(db1).epoch, Epoch{42});
  pass(20s);
  step(AgentHeard{db1, LinkKind::udp, answers(true), Epoch{50}, true, now_, now_});
  EXPECT_EQ(core_->order_for(db1).epoch, Epoch{42});
  EXPECT_TRUE(std::ranges::any_of(core_->warnings(), [](const auto& text) {
    return text.find("another proxy rules") != std::string::npos;
  }));
}

// Who guards a primary outlives the daemon: host and daemon's host lose their power together.
TEST_F(Fence, GuardOutlivesTheDaemon) {
  begin();
  be_steady();
  EXPECT_EQ(stored_.leased, std::vector<std::string>{"db1"});
  now_ += 10s;
  begin(config(), stored_);
  for (int i = 0; i < 60 && core_->change() == nullptr; ++i) {
    now_ += 50ms;
    ++events_;
    probe(db2);
    step(Tick{});
  }
  ASSERT_NE(core_->change(), nullptr) << core_->reason();
  EXPECT_GE(now_, *core_->cluster().at(db1).lease.over_at() - 1ms);
}

// The agent tells the end of a mysqld that it saw run before the present one was started: it stood still
// meanwhile, or the line is slow.
TEST_F(Fence, EndOfTheOneBeforeIsNoNews) {
  begin();
  be_steady();
  now_ += 1min;
  ServerReport restarted = report(db1);
  restarted.uptime = 10s;
  step(ProbeSucceeded{db1, restarted, now_ - 1ms, now_});
  probe(db2);
  AgentWord word = answers(true);
  step(AgentHeard{db1, LinkKind::serial, word, Epoch{1}, true, now_ - 30s, now_});
  word.mysqld = MysqldState::dying;
  step(AgentHeard{db1, LinkKind::serial, word, Epoch{1}, true, now_ - 30s, now_});
  EXPECT_EQ(core_->cluster().at(db1).judgement.verdict, Verdict::up);
  step(AgentHeard{db1, LinkKind::serial, answers(true), Epoch{1}, true, now_, now_});
  step(AgentHeard{db1, LinkKind::serial, word, Epoch{1}, true, now_, now_});
  EXPECT_EQ(core_->cluster().at(db1).judgement.verdict, Verdict::crashed);
}

// A slow link brings what another one has made old: life, and nothing more.
TEST_F(Fence, OldWordsAreHistory) {
  begin();
  be_steady();
  AgentWord word = answers(true);
  word.mysqld = MysqldState::dying;
  hear(db1, word);
  EXPECT_EQ(core_->cluster().at(db1).judgement.verdict, Verdict::crashed);
  step(AgentHeard{db1, LinkKind::serial, answers(true), Epoch{1}, false, now_, now_});
  EXPECT_EQ(core_->cluster().at(db1).judgement.verdict, Verdict::crashed);
}

// Heartbeats carry positions: what the primary committed between two probes is known and stands against a
// replica that lacks it, and what a replica received is known while it cannot be probed.
TEST_F(Fence, HeartbeatsTellOfTransactions) {
  begin();
  be_steady();
  AgentWord word = answers(true);
  word.gtids = {MariaDbGtid{0, 1, 140}};
  hear(db1, word);
  EXPECT_EQ(core_->at_stake().count(), 40U);
  now_ += 120ms;
  word.gtids = {MariaDbGtid{0, 1, 150}};
  hear(db1, word);
  EXPECT_EQ(core_->at_stake().count(), 50U);
  AgentWord replica = answers(false);
  replica.received = {MariaDbGtid{0, 1, 145}};
  hear(db2, replica);
  EXPECT_EQ(core_->at_stake().to_string(), "0-1-146..150");

  AgentWord gone;
  gone.mysqld = MysqldState::exited;
  hear(db1, gone);
  ++events_;
  probe(db2);
  ASSERT_EQ(core_->cluster().at(db1).judgement.verdict, Verdict::crashed);
  EXPECT_EQ(core_->change(), nullptr);
  EXPECT_NE(core_->reason().find("db2 is behind: it never received 40 transactions"), std::string::npos)
      << core_->reason();
}

}  // namespace
}  // namespace pointsman::core
