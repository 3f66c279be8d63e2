// The primary's role in semi-sync, ordered in two steps: with a replica there, it is waited for.
#include <gtest/gtest.h>

#include "tests/core/stand.h"

namespace pointsman::core {
namespace {

using namespace std::chrono_literals;

conf::Config preferred() {
  conf::Config config = two_backends(false);
  config.replication.semi_sync = conf::SemiSync::preferred;
  return config;
}

// Carries out what was ordered last, as a server does, or as one that keeps nothing.
void carry_out(Stand& stand, bool keeps = true) {
  const auto [id, role] = stand.roles.back();
  auto& source = stand.primary.semi_sync;
  if (keeps) {
    source.source_enabled = true;
    source.source_active = source.source_clients > 0;
    source.source_insists = false;
    source.source_waits_alone = role.replica_there;
  }
  stand.keep(stand.controller.step(CommandFinished{id, BackendId{0}, stand.primary, stand.now - Stand::query},
                                   stand.now));
}

// A replica acknowledges already when the daemon comes and changes the mode: from then on is known that
// nothing is acknowledged alone.
TEST(SemiSyncRole, CountsOnAReplicaThatIsThere) {
  Stand stand(Flavour::mysql, preferred());
  stand.run_for(1s);
  ASSERT_EQ(stand.roles.size(), 1U);
  EXPECT_TRUE(stand.roles[0].second.replica_there);
  carry_out(stand);
  stand.run_for(60s);
  EXPECT_EQ(stand.roles.size(), 1U);
}

// Its replica comes as soon as it is told to wait: the second step follows after a moment.
TEST(SemiSyncRole, CountsOnAReplicaSoonAfterItCame) {
  Stand stand(Flavour::mysql, preferred());
  stand.primary.semi_sync = {.available = true};
  stand.run_for(1s);
  ASSERT_EQ(stand.roles.size(), 1U);
  EXPECT_FALSE(stand.roles[0].second.replica_there);
  stand.primary.semi_sync.source_clients = 1;
  carry_out(stand);
  stand.run_for(1s);
  ASSERT_EQ(stand.roles.size(), 2U);
  EXPECT_TRUE(stand.roles[1].second.replica_there);
  carry_out(stand);
  stand.run_for(60s);
  EXPECT_EQ(stand.roles.size(), 2U);
}

// A server that does not keep it is not told so without end, and is told again when it may have come round.
TEST(SemiSyncRole, IsNotOrderedInVainWithoutEnd) {
  Stand stand(Flavour::mysql, preferred());
  for (const Instant end = stand.now + 60s; stand.now < end;) {
    const auto before = stand.roles.size();
    stand.run_for(200ms);
    if (stand.roles.size() > before) carry_out(stand, false);
  }
  EXPECT_GE(stand.roles.size(), 6U);
  EXPECT_LE(stand.roles.size(), 10U);
  stand.primary.semi_sync.source_insists = false;
  stand.run_for(60s);
  stand.primary.semi_sync.source_insists = true;
  const auto before = stand.roles.size();
  stand.run_for(400ms);
  ASSERT_EQ(stand.roles.size(), before + 1);
  carry_out(stand, false);
  stand.run_for(1s);
  EXPECT_EQ(stand.roles.size(), before + 2) << "what was long ago counts for nothing";
}

}  // namespace
}  // namespace pointsman::core
