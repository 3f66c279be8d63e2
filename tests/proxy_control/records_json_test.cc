#include "proxy/records_json.h"

#include <gtest/gtest.h>

namespace pointsman::proxy {
namespace {

using namespace std::chrono_literals;

TEST(RecordsJson, Time) {
  EXPECT_EQ(iso_time(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(iso_time(1767323045678), "2026-01-02T03:04:05.678Z");
}

// The members that the contract promises for a change of primary are there even when they are empty.
TEST(RecordsJson, ChangeHasAllMembers) {
  core::HistoryRecord record;
  record.kind = "failover";
  record.epoch = core::Epoch{4};
  record.from = "db1";
  record.to = "db2";
  record.verdict = "crashed";
  record.steps = {{"detect", 1500us, ""}, {"promote", 8ms, "db2"}};
  record.total = 20ms;
  const auto json = event_json(record, 0);
  EXPECT_EQ(json["steps"], nlohmann::json::parse(
                               R"([{"name":"detect","ms":1.5},{"name":"promote","ms":8.0,"note":"db2"}])"));
  EXPECT_EQ(json["total_ms"], 20.0);
  EXPECT_EQ(json["lost"], nlohmann::json::array());
  EXPECT_EQ(json["epoch"], 4);
}

// The status of a daemon that knows nothing yet has every member of the contract.
TEST(RecordsJson, StatusOfTheFirstMoment) {
  conf::Config config;
  for (const char* name : {"db1", "db2"}) {
    conf::Backend backend;
    backend.name = name;
    backend.address = {"127.0.0.1", static_cast<std::uint16_t>(name[2])};
    config.backends.push_back(backend);
  }
  const core::Instant now{1h};
  core::Controller controller(config, {}, now);
  (void)controller.begin();
  const auto json = status_json({controller, {}, {{"0.0.0.0", 3306}}, {"/run/s"}, now, 5s, 1s});
  EXPECT_EQ(json["state"], "no_primary");
  EXPECT_TRUE(json["primary"].is_null());
  EXPECT_EQ(json["listen"], nlohmann::json::parse(R"(["0.0.0.0:3306", "unix:/run/s"])"));
  EXPECT_EQ(json["sessions"]["held"], 0);
  ASSERT_EQ(json["backends"].size(), 2U);
  for (const char* member : {"name", "address", "role", "verdict", "server", "probe", "links", "replication",
                             "read_only", "errant", "sessions"}) {
    EXPECT_TRUE(json["backends"][0].contains(member)) << member;
  }
  EXPECT_EQ(json["backends"][0]["links"]["serial"]["state"], "off");
  EXPECT_FALSE(json["reason"].get<std::string>().empty());
  EXPECT_EQ(json["semi_sync"], nlohmann::json::parse(R"({"mode": "preferred", "state": "unknown",
      "degraded_since": null, "degraded_at": null, "at_stake": null})"));
}

// What an earlier daemon knew of commits without a replica is there from the first moment.
TEST(RecordsJson, StatusOfADegradedPrimary) {
  conf::Config config;
  conf::Backend backend;
  backend.name = "db1";
  backend.address = {"127.0.0.1", 1};
  config.backends.push_back(backend);
  const auto gtids = [](const char* text) { return *core::GtidSet::parse(core::Flavour::mariadb, text); };
  core::DurableState stored;
  stored.primary = "db1";
  stored.degraded = core::Degraded{"db1", gtids("0-1-120"), gtids("0-1-163"), 1767323045678};
  const core::Instant now{1h};
  core::Controller controller(config, stored, now);
  (void)controller.begin();
  const auto json = status_json({controller, {}, {}, {}, now, 5s, 1s})["semi_sync"];
  EXPECT_EQ(json["state"], "degraded");
  EXPECT_EQ(json["degraded_since"], "2026-01-02T03:04:05.678Z");
  EXPECT_EQ(json["degraded_at"], "0-1-120");
  EXPECT_EQ(json["at_stake"], 43);
}

}  // namespace
}  // namespace pointsman::proxy
