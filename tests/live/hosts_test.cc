#include <algorithm>
#include <chrono>
#include <cstdio>

#include <gtest/gtest.h>

#include "tests/live/hosts_world.h"
#include "tests/testbed/done.h"

// What happens to a whole installation when a part of it fails: servers, hosts, cables, the programs.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using conf::SemiSync;
using Clock = std::chrono::steady_clock;
using Cut = testbed::Network::Cut;

// MySQL keeps, and MariaDB sheds, what a dead primary had in its log and no replica had. So on MariaDB the
// old primary always comes back clean; on MySQL, under `required`, it may be quarantined, and nobody
// acknowledges any more.
SemiSync mode(Product product) {
  return product == Product::mariadb ? SemiSync::required : SemiSync::preferred;
}

class Hosts : public EachProduct {
 protected:
  bool clean() const { return GetParam() == Product::mariadb; }
  // With db2 as primary and db1 dead: nothing is lost, and with db1 back all is well.
  void expect_recovery(Writer& writer) {
    expect_kept(1, writer);
    const auto booted = hosts_->start_host(0);
    ASSERT_TRUE(booted) << booted.error();
    expect_back_as_replica(clean());
    expect_writes(writer);
    writer.stop();
    expect_kept(1, writer);
  }
};
INSTANTIATE_TEST_SUITE_P(Each, Hosts, testing::Values(Product::mariadb, Product::mysql), product_name);

// mysqld is killed under a writer: its agent says so, db2 takes over with every acknowledged row, and db1
// comes back as its replica.
TEST_P(Hosts, ServerKilled) {
  ASSERT_NO_FATAL_FAILURE(start({.product = GetParam(), .semi_sync = mode(GetParam())}));
  const auto writer = write_through();
  db(0).kill();
  expect_failover("crashed");
  EXPECT_TRUE(agent(0).wait_log("state=exited", soon));
  expect_recovery(*writer);
}

// mysqld stands still while its host lives: it is hung, its agent kills it, and db2 takes over.
TEST_P(Hosts, ServerFrozen) {
  ASSERT_NO_FATAL_FAILURE(start({.product = GetParam(), .semi_sync = mode(GetParam())}));
  const auto writer = write_through();
  ASSERT_TRUE(db(0).freeze());
  expect_failover("hung");
  EXPECT_TRUE(agent(0).wait_log("kill done=true", soon));
  EXPECT_TRUE(agent(0).wait_log("state=exited", soon));
  EXPECT_FALSE(db(0).running());
  expect_recovery(*writer);
}

// Both links are cut while the primary lives and an application beside the proxy writes to it directly, at
// the best of its health. The lease ends that before anybody can write to db2, and the old primary stays
// read-only.
TEST_P(Hosts, BothLinksCutUnderADirectWriter) {
  // Asynchronous, so that nothing but the lease holds the direct writer up; what it wrote while it was cut
  // off is lost by that choice.
  ASSERT_NO_FATAL_FAILURE(start({.product = GetParam(),
                                 .semi_sync = SemiSync::off,
                                 .daemon_keys = {{"failover", {{"allow_loss", "true"}}}}}));
  const auto through = write_through();
  const auto round = write_round(0);
  const auto cut = hosts_->cut_off(0);
  ASSERT_TRUE(cut) << cut.error();
  const auto cut_at = Clock::now();
  expect_failover("dead");
  expect_writes(*through);
  through->stop();
  round->stop();
  EXPECT_FALSE(writable(db(0)));
  EXPECT_TRUE(agent(0).log().contains("lease_lost"));

  const Clock::time_point last_on_db1 = round->rows().back().second;
  EXPECT_GT(last_on_db1, cut_at) << "the direct writer was stopped by the cut, so that this shows nothing";
  const auto only_on_db2 = world_.missing(db(0), through->acknowledged());
  ASSERT_FALSE(only_on_db2.empty());
  const auto rows = through->rows();
  const auto first_on_db2 = std::ranges::find(rows, only_on_db2.front(), &Writer::Row::first)->second;
  EXPECT_LT(last_on_db1, first_on_db2) << "two servers took writes at a time";
  using ms = std::chrono::duration<double, std::milli>;
  std::printf("after the cut: last commit on db1 %.0f ms, first on db2 %.0f ms\n",
              ms(last_on_db1 - cut_at).count(), ms(first_on_db2 - cut_at).count());

  const auto mended = hosts_->mend(0);
  ASSERT_TRUE(mended) << mended.error();
  // It has what its direct writer committed while nobody replicated.
  const json back =
      wait_for("db1 in quarantine", [](const json& s) { return s["backends"][0]["role"] == "quarantined"; });
  EXPECT_TRUE(back.is_object() && !back["backends"][0]["errant"].empty());
  EXPECT_FALSE(writable(db(0)));
}

// The host of the primary dies: silence on all links, and db2 takes over after deadtime. It boots, and its
// server is a replica.
TEST_P(Hosts, HostDead) {
  ASSERT_NO_FATAL_FAILURE(start({.product = GetParam(), .semi_sync = mode(GetParam())}));
  const auto writer = write_through();
  const auto killed = hosts_->kill_host(0);
  ASSERT_TRUE(killed) << killed.error();
  expect_failover("dead");
  expect_recovery(*writer);
}

struct CableCut {
  Product product;
  SemiSync semi_sync;
  Cut how;
};
class Eth0Cut : public HostsTest, public testing::WithParamInterface<CableCut> {
 protected:
  void cut_and_fail_over() {
    const auto cut = hosts_->cut_eth0(0, GetParam().how);
    ASSERT_TRUE(cut) << cut.error();
    expect_failover("cut_off");
    // By its agent's word, and not because its lease must be over.
    const json event = world_.last_event("failover");
    const auto fence =
        std::ranges::find_if(event["steps"], [](const json& step) { return step["name"] == "fence"; });
    ASSERT_NE(fence, event["steps"].end()) << event;
    EXPECT_TRUE(has(*fence, "agent") && !has(*fence, "lease")) << *fence;
    EXPECT_TRUE(agent(0).log().contains("fenced"));
    EXPECT_FALSE(agent(0).log().contains("lease_lost"));
    EXPECT_FALSE(writable(db(0)));
    json now = status();
    json& links = now["backends"][0]["links"];
    EXPECT_EQ(links["serial"]["state"], "alive") << links;
    EXPECT_EQ(links["udp"]["state"], "dead") << links;
  }
};
INSTANTIATE_TEST_SUITE_P(Each, Eth0Cut,
                         testing::Values(CableCut{Product::mariadb, SemiSync::required, Cut::unplugged},
                                         CableCut{Product::mariadb, SemiSync::preferred, Cut::silent},
                                         CableCut{Product::mysql, SemiSync::preferred, Cut::unplugged},
                                         CableCut{Product::mysql, SemiSync::required, Cut::silent}),
                         [](const auto& which) {
                           return std::string(testbed::to_string(which.param.product)) +
                                  (which.param.semi_sync == SemiSync::required ? "_required" : "_preferred");
                         });

// eth0 of the primary is cut, and its serial line is not: it is fenced over that line, says so with its last
// transactions, and db2 takes over with all that was acknowledged. The commit that waited for db2 meanwhile
// is one that db1 may have alone: with the cable back it follows db2, or is quarantined with that.
TEST_P(Eth0Cut, FencedOverSerialUnderAWriter) {
  ASSERT_NO_FATAL_FAILURE(start({.product = GetParam().product, .semi_sync = GetParam().semi_sync}));
  const auto writer = write_through();
  // Under `required` nobody on db1's own host is told that a row is safe, either, unless db2 has it.
  const bool required = GetParam().semi_sync == SemiSync::required;
  const auto round = required ? write_round(0) : nullptr;
  ASSERT_NO_FATAL_FAILURE(cut_and_fail_over());
  expect_kept(1, *writer);
  const auto mended = hosts_->mend(0);
  ASSERT_TRUE(mended) << mended.error();
  if (!db(0).running()) {  // killed by its agent, as it did not answer any more
    ASSERT_TRUE(testbed::done(db(0).start()));
  }
  expect_back_as_replica(false);
  finish(*writer);
  if (!round) return;
  round->stop();
  expect_kept(1, *round);
}

// The same between two writes: nothing was under way, so db1 always comes back as db2's replica.
TEST_P(Eth0Cut, FencedOverSerialIdleAndRejoins) {
  ASSERT_NO_FATAL_FAILURE(start({.product = GetParam().product, .semi_sync = GetParam().semi_sync}));
  write_through()->stop();
  ASSERT_TRUE(hosts_->cluster().wait_caught_up(db(1), db(0), 20s));
  ASSERT_NO_FATAL_FAILURE(cut_and_fail_over());
  const auto mended = hosts_->mend(0);
  ASSERT_TRUE(mended) << mended.error();
  expect_back_as_replica();
}

// The serial line of the primary is cut, then that of the replica: one warning that names the line, which
// goes when it is mended, and nothing else.
TEST_F(HostsTest, SerialCut) {
  ASSERT_NO_FATAL_FAILURE(start({}));
  const auto writer = write_through();
  for (const std::size_t db : {0U, 1U}) {
    hosts_->cut_serial(db);
    wait_link(db, "serial", "dead");
    json now = status();
    EXPECT_EQ(now["warnings"].size(), 1U) << now["warnings"];
    EXPECT_TRUE(has_words(now["warnings"].dump(), {"serial", hosts_->name(db)})) << now["warnings"];
    EXPECT_EQ(now["backends"][db]["verdict"], "up") << now;
    EXPECT_EQ(now["backends"][db]["links"]["udp"]["state"], "alive") << now;
    expect_writes(*writer);
    hosts_->mend_serial(db);
    wait_link(db, "serial", "alive");
    wait_no_warning();
  }
  expect_no_failover();
  EXPECT_EQ(writer->errors(), 0U) << writer->last_error();
}

// Only the proxy is isolated. It promotes nobody, as it is itself the one that hears nothing; the primary's
// lease runs out. With its cables back, writes go on on the same primary.
TEST_F(HostsTest, ProxyIsolated) {
  ASSERT_NO_FATAL_FAILURE(start({}));
  const auto writer = write_through();
  const auto cut = hosts_->isolate_proxy();
  ASSERT_TRUE(cut) << cut.error();
  EXPECT_TRUE(agent(0).wait_log("lease_lost", soon));
  wait_for("both dead for us", [](const json& s) {
    return std::ranges::all_of(s["backends"], [](const json& backend) {
      return backend["links"]["udp"]["state"] == "dead" && backend["links"]["serial"]["state"] == "dead" &&
             backend["verdict"] != "up" && backend["verdict"] != "suspect";
    });
  });
  EXPECT_FALSE(writable(db(0)));
  EXPECT_FALSE(writable(db(1)));
  const auto mended = hosts_->mend_proxy();
  ASSERT_TRUE(mended) << mended.error();
  expect_writes(*writer);
  expect_no_failover();
  world_.expect_in_order("db1");
}

// The agent of the primary is killed and mysqld lives: no failover, and a warning until the agent is back.
TEST_F(HostsTest, AgentKilled) {
  ASSERT_NO_FATAL_FAILURE(start({}));
  const auto writer = write_through();
  agent(0).kill();
  wait_link(0, "udp", "dead");
  wait_link(0, "serial", "dead");
  wait_warning({"agent", "db1"});
  expect_writes(*writer);
  expect_no_failover();
  ASSERT_TRUE(testbed::done(agent(0).start()));
  wait_link(0, "udp", "alive");
  wait_link(0, "serial", "alive");
  wait_no_warning();
  expect_no_failover();
  EXPECT_EQ(writer->errors(), 0U) << writer->last_error();
}

// The daemon is killed and started again within the lease: the primary stays writable throughout, as one who
// writes to it directly sees, and the lease goes on under the new daemon.
TEST_F(HostsTest, DaemonRestartedWithinTheLease) {
  constexpr auto lease = 4s;
  ASSERT_NO_FATAL_FAILURE(start({.times = {.deadtime = 5s, .lease = lease}}));
  const auto round = write_round(0);
  daemon().kill();
  const auto killed_at = Clock::now();
  ASSERT_TRUE(testbed::done(daemon().start()));
  const auto ready = hosts_->wait_ready(soon);
  ASSERT_TRUE(ready) << ready.error();
  while (Clock::now() < killed_at + 3 * lease / 2 && !HasFailure()) expect_writes(*round, 1);
  round->stop();
  EXPECT_EQ(round->errors(), 0U) << round->last_error();
  EXPECT_FALSE(agent(0).log().contains("lease_lost"));
  expect_no_failover();
}

// Under a writer through the daemon and one that goes round it.
class Takeovers : public HostsTest {
 protected:
  void begin() {
    round_ = write_round(0);
    writer_ = write_through();
  }
  void expect_both_write() {
    expect_writes(*round_);
    expect_writes(*writer_);
  }
  // Neither noticed anything.
  void expect_undisturbed() {
    round_->stop();
    EXPECT_EQ(round_->errors(), 0U) << round_->last_error();
    EXPECT_EQ(writer_->errors(), 0U) << writer_->last_error();
    EXPECT_FALSE(agent(0).log().contains("lease_lost"));
  }

 private:
  std::unique_ptr<Writer> round_;
  std::unique_ptr<Writer> writer_;
};

// One daemon after another takes over, links and leases with it: the primary stays writable throughout, as
// one who writes to it directly sees, and nobody's session ends. The serial line, which one process alone may
// have open, goes on too.
TEST_F(Takeovers, KeepTheLease) {
  ASSERT_NO_FATAL_FAILURE(start({.times = {.deadtime = 2500ms, .lease = 2s}}));
  begin();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(testbed::done(daemon().take_over())) << i;
    wait_link(0, "udp", "alive");
    wait_link(0, "serial", "alive");
    expect_both_write();
  }
  expect_undisturbed();
  wait_no_warning();
  expect_no_failover();
}

// The same beside a replica that is dead, as after a failover: the new process does not find out what it is
// before it grants the primary its lease, which would take longer than the lease.
TEST_F(Takeovers, BesideADeadReplica) {
  ASSERT_NO_FATAL_FAILURE(start({.times = {.deadtime = 5s, .lease = 2s}, .semi_sync = SemiSync::off}));
  begin();
  ASSERT_TRUE(testbed::done(hosts_->kill_host(1)));
  wait_for("a dead db2", [](const json& s) { return s["backends"][1]["verdict"] == "dead"; });
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(testbed::done(daemon().take_over())) << i;
    wait_for("a primary", [](const json& s) { return s["state"] == "steady"; });
    std::this_thread::sleep_for(2s);  // the lease
    expect_both_write();
  }
  expect_undisturbed();
  EXPECT_EQ(status()["primary"], "db1");
}

// Replication is cut, so that db2 falls behind, and then the primary dies.
class ReplicationCut : public HostsTest {
 protected:
  void cut() {
    const auto done = hosts_->cut_replication(0, 1);
    ASSERT_TRUE(done) << done.error();
  }
};

// With semi-sync required nothing is acknowledged meanwhile, so nothing is missing on db2, which takes over.
TEST_F(ReplicationCut, RequiredLosesNothing) {
  ASSERT_NO_FATAL_FAILURE(start({.semi_sync = SemiSync::required}));
  const auto writer = write_through();
  ASSERT_NO_FATAL_FAILURE(cut());
  // For longer than `preferred` would wait.
  const auto silence = [&] { return Clock::now() - writer->rows().back().second; };
  const auto deadline = Clock::now() + soon;
  while (silence() < 2s && Clock::now() < deadline) (void)writer->wait_for(1, 100ms);
  EXPECT_GE(silence(), 2s) << "commits are acknowledged that only db1 has";
  db(0).kill();
  expect_failover("crashed");
  expect_kept(1, *writer);
  const auto mended = hosts_->mend_replication(0);
  ASSERT_TRUE(mended) << mended.error();
  ASSERT_TRUE(testbed::done(db(0).start()));
  expect_back_as_replica();
  expect_writes(*writer);
}

// db2 has received all that db1 has written, and acknowledged none of it when it connects anew. Eight clients
// wait in two groups; no third can be written behind them, and so no prompt. db2 takes over.
TEST_F(HostsTest, NoFurtherAcknowledgementCanCome) {
  ASSERT_NO_FATAL_FAILURE(start({.semi_sync = SemiSync::required}));
  std::vector<std::unique_ptr<Writer>> writers;
  for (int i = 0; i < 8; ++i) {
    writers.push_back(std::make_unique<Writer>(
        [this] { return hosts_->connect(hosts_->cluster().accounts().application, "app"); }, i, 8));
  }
  for (const auto& writer : writers) expect_writes(*writer);
  // Or the daemon would set the role right at once.
  ASSERT_EQ(daemon().command({"maintenance", "db2", "on"})->code, 0);
  const auto connect_again = [this](const char* acknowledges) {
    world_.ask(db(1), "STOP SLAVE IO_THREAD");
    world_.ask(db(1), std::string("SET GLOBAL rpl_semi_sync_slave_enabled = ") + acknowledges);
    world_.ask(db(1), "START SLAVE IO_THREAD");
  };
  connect_again("OFF");
  const auto deadline = Clock::now() + soon;
  const auto quiet = [&] {
    return std::ranges::none_of(writers, [](const auto& writer) { return writer->wait_for(1, 250ms); });
  };
  while (!quiet() && Clock::now() < deadline) {
  }
  ASSERT_LT(Clock::now(), deadline) << "commits do not wait";
  connect_again("ON");
  ASSERT_EQ(daemon().command({"maintenance", "db2", "off"})->code, 0);
  expect_failover("hung");
  expect_back_as_replica();
  for (const auto& writer : writers) expect_writes(*writer);
  for (const auto& writer : writers) writer->stop();
  for (const auto& writer : writers) expect_kept(1, *writer);
}

// With semi-sync preferred commits go on without db2, so its promotion would lose what clients were told is
// safe: it is refused, with the reason, until db1 is back with everything.
TEST_F(ReplicationCut, PreferredRefusesToLose) {
  ASSERT_NO_FATAL_FAILURE(start({.semi_sync = SemiSync::preferred}));
  const auto writer = write_through();
  ASSERT_NO_FATAL_FAILURE(cut());
  wait_warning({"db1", "without a replica"});
  expect_writes(*writer);
  db(0).kill();
  json refused = wait_for("a refusal with its reason", [](const json& s) {
    return s["backends"][0]["verdict"] == "crashed" &&
           has_words(s["warnings"].dump() + s.value("reason", json()).dump(), {"db2", "allow_loss"});
  });
  std::printf("%s %s\n", refused.value("reason", json()).dump().c_str(), refused["warnings"].dump().c_str());
  EXPECT_FALSE(writable(db(1)));
  // Before the cable is mended: what a dead server sent is still in its host's kernel, and a replica that
  // gets all that the daemon knew of may rightly take over.
  ASSERT_TRUE(testbed::done(db(0).start()));
  expect_writes(*writer);
  const auto mended = hosts_->mend_replication(0);
  ASSERT_TRUE(mended) << mended.error();
  writer->stop();
  expect_kept(0, *writer);
  world_.expect_in_order("db1");
  EXPECT_TRUE(world_.last_event("failover").is_null() || world_.last_event("failover")["to"] != "db2");
}

}  // namespace
}  // namespace pointsman::live
