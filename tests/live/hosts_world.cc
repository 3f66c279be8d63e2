#include "tests/live/hosts_world.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <thread>

namespace pointsman::live {

using namespace std::chrono_literals;

namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

bool has(const json& value, const std::string& text) {
  return value.dump().contains(text);
}

bool has_words(const std::string& text, const std::vector<std::string>& words) {
  const std::string all = lower(text);
  return std::ranges::all_of(words, [&](const std::string& word) { return all.contains(lower(word)); });
}

void HostsTest::SetUp() {
  if (const std::string why = testbed::Network::why_not(); !why.empty()) GTEST_SKIP() << why;
}

void HostsTest::TearDown() {
  if (!HasFailure() || !hosts_) return;
  const auto now = daemon().status();
  std::printf("status: %s\n%s\n", now ? now->dump(1).c_str() : now.error().c_str(),
              hosts_->story(400).c_str());
}

void HostsTest::prepare(Hosts::Options options) {
  // As the README advises, and as `status` would warn otherwise.
  if (options.product == testbed::Product::mariadb)
    options.settings.emplace_back("slave_parallel_threads = 8");
  auto made = Hosts::prepare(std::move(options));
  ASSERT_TRUE(made) << made.error();
  hosts_ = std::move(*made);
  world_.cluster = {hosts_, &hosts_->cluster()};
  world_.daemon = {hosts_, &hosts_->daemon()};
  auto root = db(0).root();
  ASSERT_TRUE(root) << root.error().text;
  const auto table = root->execute(World::table);
  ASSERT_TRUE(table) << table.error().text;
}

void HostsTest::start(Hosts::Options options) {
  ASSERT_NO_FATAL_FAILURE(prepare(std::move(options)));
  const auto started = hosts_->start();
  ASSERT_TRUE(started) << started.error();
  const auto ready = hosts_->wait_ready(soon);
  ASSERT_TRUE(ready) << ready.error();
  at_first_ = wait_for("a status without warnings", [](const json& s) { return s["warnings"].empty(); });
  ASSERT_TRUE(at_first_.is_object());
  ASSERT_EQ(at_first_["primary"], "db1");
}

std::unique_ptr<Writer> HostsTest::write_through() {
  auto writer = std::make_unique<Writer>(
      [this] { return hosts_->connect(hosts_->cluster().accounts().application, "app"); });
  expect_writes(*writer);
  return writer;
}

std::unique_ptr<Writer> HostsTest::write_round(std::size_t db) {
  auto writer = std::make_unique<Writer>(
      [this, db, again = false]() mutable {
        // A server that refuses writes is not to be busy with nothing else.
        if (std::exchange(again, true)) std::this_thread::sleep_for(5ms);
        return hosts_->connect_round(db, hosts_->cluster().accounts().application, "app");
      },
      1'000'000);
  expect_writes(*writer);
  return writer;
}

void HostsTest::expect_writes(const Writer& writer, std::size_t more) {
  EXPECT_TRUE(writer.wait_for(more, soon)) << "no writes: " << writer.last_error();
}

void HostsTest::expect_kept(std::size_t db, const Writer& writer) {
  const auto missing = world_.missing(this->db(db), writer.acknowledged());
  EXPECT_TRUE(missing.empty()) << missing.size() << " acknowledged rows are not on " << hosts_->name(db)
                               << ", the first one is " << missing.front();
}

json HostsTest::wait_for(const std::string& what, const std::function<bool(const json&)>& wanted) {
  const auto seen = daemon().wait_status(wanted, soon);
  EXPECT_TRUE(seen) << "waited for: " << what << "; " << (seen ? "" : seen.error());
  return seen ? *seen : json();
}

json HostsTest::status() {
  const auto now = daemon().status();
  EXPECT_TRUE(now) << now.error();
  return now ? *now : json();
}

void HostsTest::wait_link(std::size_t db, const std::string& link, const std::string& state) {
  wait_for(link + " of " + hosts_->name(db) + " is " + state,
           [&](const json& s) { return s["backends"][db]["links"][link]["state"] == state; });
}

std::string HostsTest::wait_warning(const std::vector<std::string>& words) {
  std::string found;
  std::string wanted;
  for (const std::string& word : words) wanted += " " + word;
  wait_for("a warning with" + wanted, [&](const json& s) {
    for (const json& warning : s["warnings"]) {
      if (has_words(warning.dump(), words)) found = warning.dump();
    }
    return !found.empty();
  });
  return found;
}

void HostsTest::wait_no_warning() {
  wait_for("no warning any more", [&](const json& s) { return s["warnings"].empty(); });
}

void HostsTest::finish(Writer& writer) {
  daemon().kill();
  writer.stop();
}

void HostsTest::expect_failover(const std::string& verdict) {
  wait_for("a failover to db2",
           [](const json& s) { return s["primary"] == "db2" && s["state"] == "steady"; });
  json event = world_.last_event("failover");
  std::printf("%s\n", event.dump().c_str());
  ASSERT_TRUE(event.is_object()) << "no event of kind failover";
  // When both ways are cut at once, the slower one may deliver its last word a moment after the other.
  const bool nearly = verdict == "dead" && event["verdict"] == "cut_off";
  EXPECT_TRUE(event["verdict"] == verdict || nearly) << event["verdict"] << ", not " << verdict;
  EXPECT_EQ(event["from"], "db1");
  EXPECT_EQ(event["to"], "db2");
}

void HostsTest::expect_no_failover() {
  json now = wait_for("db1 in order", [](const json& s) {
    return s["primary"] == "db1" && s["state"] == "steady" && s["backends"][0]["verdict"] == "up";
  });
  EXPECT_EQ(now["epoch"], at_first_["epoch"]);
  EXPECT_TRUE(world_.last_event("failover").is_null());
  EXPECT_FALSE(writable(db(1)));
}

void HostsTest::expect_back_as_replica(bool clean) {
  if (clean) return world_.expect_in_order("db2");
  json back = wait_for("db1 is a replica or in quarantine", [](const json& s) {
    const json& role = s["backends"][0]["role"];
    return role == "replica" || role == "quarantined";
  });
  EXPECT_FALSE(writable(db(0)));
  if (back.is_object() && back["backends"][0]["role"] == "quarantined") {
    EXPECT_FALSE(back["backends"][0]["errant"].empty());
  }
}

}  // namespace pointsman::live
