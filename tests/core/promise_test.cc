// What is known of a replaced primary's commits: the ledger of its reports, and the promise weighed from it.
#include "health/core/promise.h"

#include <gtest/gtest.h>

namespace pointsman::core {
namespace {

using namespace std::chrono_literals;

GtidSet upto(unsigned n) {
  return *GtidSet::parse(Flavour::mariadb, "0-1-" + std::to_string(n));
}

class PromiseTest : public testing::Test {
 protected:
  // A report every 200 ms of a primary that commits ten transactions between two of them, under `preferred`.
  void SetUp() override {
    report_.semi_sync = {.available = true,
                         .source_enabled = true,
                         .source_active = true,
                         .source_waits_alone = true,
                         .source_clients = 1,
                         .source_waiting = 4,
                         .source_timeout = 2500ms};
    facts_.received = upto(1000);
    facts_.all_asked = true;
    facts_.in_flight = 100ms;
  }

  void reports(unsigned n, bool commits = true) {
    for (unsigned i = 0; i < n; ++i) {
      now_ += 200ms;
      if (commits) last_ += 10;
      report_.executed = upto(last_);
      ledger_.on_report(report_, now_ - 1ms, now_, 800ms);
    }
    facts_.ended_at = now_ + 50ms;
  }

  Promise weighed() { return weigh(facts_); }

  PrimaryLedger ledger_;
  ServerReport report_;
  Instant now_{1h};
  unsigned last_ = 0;
  PromiseFacts facts_{.ledger = ledger_};
};

// A crash in the midst of commits that all wait for a replica.
TEST_F(PromiseTest, KeptByACrash) {
  reports(5);
  const Promise promise = weighed();
  EXPECT_TRUE(promise.kept) << promise.why;
  EXPECT_FALSE(promise.for_ever);
  EXPECT_TRUE(promise.at_stake.empty());
  EXPECT_EQ(promise.safe, upto(1000));
  EXPECT_EQ(promise.reign, upto(40));
}

// The end is seen late: a commit that waited since the third last report but one may have been answered
// alone.
TEST_F(PromiseTest, NotKeptWhenTheWaitMayHaveEnded) {
  reports(5);
  facts_.ended_at = now_ + 1900ms;
  EXPECT_TRUE(weighed().kept);
  facts_.ended_at = now_ + 2050ms;
  EXPECT_FALSE(weighed().kept);
  facts_.ended_at.reset();
  EXPECT_FALSE(weighed().kept);
}

// `required` waits for ever, so a late end changes nothing.
TEST_F(PromiseTest, KeptForEver) {
  report_.semi_sync.source_insists = true;
  reports(3);
  facts_.ended_at.reset();
  const Promise promise = weighed();
  EXPECT_TRUE(promise.kept) << promise.why;
  EXPECT_TRUE(promise.for_ever);
}

// It would have waited for ever, but was shut down.
TEST_F(PromiseTest, NotKeptWhenItLetGo) {
  report_.semi_sync.source_insists = true;
  reports(3);
  facts_.let_go = true;
  EXPECT_FALSE(weighed().kept);
  EXPECT_FALSE(weighed().for_ever);
}

// Nothing was committed for a while: some session may have been waiting in vain all the time.
TEST_F(PromiseTest, IdleOrStuck) {
  reports(5, false);
  EXPECT_FALSE(weighed().kept);
  report_.semi_sync.source_waiting = 0;
  reports(1, false);
  facts_.received = upto(1000);
  // Sequence number 0 is no transaction, so nothing at all is known of it.
  EXPECT_FALSE(weighed().kept);
  last_ = 10;
  reports(2, false);
  EXPECT_TRUE(weighed().kept) << weighed().why;
}

// Once, at any of the reports, commits did not wait, or would not have waited without a replica.
TEST_F(PromiseTest, NotKeptWhenOnceItDidNotWait) {
  reports(4);
  report_.semi_sync.source_active = false;
  reports(1);
  EXPECT_FALSE(weighed().kept);
  report_.semi_sync.source_active = true;
  reports(3);
  EXPECT_FALSE(weighed().kept);
  reports(3);
  EXPECT_TRUE(weighed().kept) << weighed().why;
  report_.semi_sync.source_waits_alone = false;
  reports(1);
  EXPECT_FALSE(weighed().kept);
}

// What was committed for certain and not received is at stake, with everything else that is known.
TEST_F(PromiseTest, BehindTheLedger) {
  reports(5);
  facts_.received = upto(35);
  facts_.last_word = upto(57);
  const Promise promise = weighed();
  EXPECT_FALSE(promise.kept);
  EXPECT_EQ(promise.at_stake, upto(57).minus(upto(35)));
}

// Another replica may have acknowledged what the successor lacks; and a ledger without reports knows nothing.
TEST_F(PromiseTest, OthersAndNothing) {
  EXPECT_FALSE(weighed().kept);
  reports(5);
  facts_.all_asked = false;
  EXPECT_FALSE(weighed().kept);
}

// What heartbeats say between two reports counts as known, and after a while as settled; alone it proves
// nothing.
TEST_F(PromiseTest, HeartbeatsCount) {
  ledger_.on_heard(upto(5), now_, 800ms);
  EXPECT_FALSE(ledger_.has_samples());
  EXPECT_TRUE(ledger_.known().empty());
  reports(2);  // the last one: 20
  now_ += 60ms;
  ledger_.on_heard(upto(26), now_, 800ms);
  EXPECT_EQ(ledger_.known(), upto(26));
  EXPECT_EQ(ledger_.settled(100ms), upto(10)) << "20 is 60 ms old, as far as was heard";
  now_ += 110ms;
  ledger_.on_heard(upto(31), now_, 800ms);
  EXPECT_EQ(ledger_.settled(100ms), upto(26));
  facts_.received = upto(22);
  const Promise promise = weighed();
  EXPECT_FALSE(promise.kept) << "it had 26 for 100 ms, and its successor never received them";
  EXPECT_EQ(promise.at_stake, upto(31).minus(upto(22)));
  reports(1);  // 30
  EXPECT_EQ(ledger_.known(), upto(31));
}

// Cut off from its replica a primary writes another group behind the one that waits, and its agent says so
// for as long as the other path lives. Nobody was answered. What it had before anybody said that commits wait
// is another matter.
TEST_F(PromiseTest, HeardOfAndWaitingForEver) {
  report_.semi_sync.source_insists = true;
  reports(3);  // 10, 20, 30
  facts_.received = upto(31);
  ledger_.on_heard(upto(34), now_ + 100ms, 2s);
  ledger_.on_heard(upto(38), now_ + 700ms, 2s);
  facts_.last_word = upto(38);
  EXPECT_EQ(ledger_.settled(100ms), upto(34));
  EXPECT_TRUE(weighed().kept) << weighed().why;
  facts_.received = upto(9);
  EXPECT_FALSE(weighed().kept);
}

// The link between the two servers is cut, and the commits wait for longer than reports are kept: all that
// are kept show them. They were not there when the commits were first seen to wait for ever.
TEST_F(PromiseTest, WaitingForEverForLong) {
  report_.semi_sync.source_insists = true;
  reports(3);  // 10, 20, 30
  facts_.received = upto(24);
  reports(20, false);
  EXPECT_TRUE(weighed().kept) << weighed().why;
  facts_.received = upto(9);
  EXPECT_FALSE(weighed().kept);

  // Asynchronous in between: then they may have been answered.
  facts_.received = upto(24);
  report_.semi_sync.source_insists = false;
  reports(1, false);
  report_.semi_sync.source_insists = true;
  reports(20, false);
  EXPECT_FALSE(weighed().kept);
}

// The same, and for a while the primary could not be asked.
TEST_F(PromiseTest, WaitingForEverUnseen) {
  report_.semi_sync.source_insists = true;
  reports(3);
  facts_.received = upto(24);
  now_ += 1s;
  reports(20, false);
  EXPECT_FALSE(weighed().kept);
}

}  // namespace
}  // namespace pointsman::core
