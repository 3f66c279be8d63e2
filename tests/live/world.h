#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testbed/cluster.h"
#include "tests/testbed/daemon.h"

// Real servers that replicate, and the daemon in front of them, for one test.
namespace pointsman::live {

using testbed::Product;
using Keys = std::map<std::string, std::map<std::string, std::string>>;

// For what happens at once. Generous: the machines are noisy, and figures come from the benchmark.
inline constexpr std::chrono::seconds soon(30);

inline bool has(const std::string& text, const std::string& part) {
  return text.contains(part);
}

struct World {
  // Shared, as they may be part of something larger.
  std::shared_ptr<testbed::Cluster> cluster;
  std::shared_ptr<testbed::Daemon> daemon;

  testbed::Server& db(std::size_t i) { return cluster->server(i); }

  static constexpr const char* table =
      "CREATE TABLE app.`rows` (id INT PRIMARY KEY, writer INT) ENGINE=InnoDB";

  // A cluster and a daemon that is steady, or a fatal test failure (check HasFatalFailure).
  // `of_backends`: further keys of each [[backend]], in their order.
  static World make(testbed::Cluster::Options options, Keys keys = {},
                    const std::vector<std::map<std::string, std::string>>& of_backends = {});

  // Waits until the daemon is steady with `primary`, and every other server replicates from it, read-only,
  // both threads running, as the servers themselves say; exactly one server accepts writes.
  void expect_in_order(const std::string& primary, testbed::Millis timeout = testbed::Millis(60000));
  // Until commits wait for a replica and every server has answered since the primary is known.
  void expect_settled(testbed::Millis timeout = testbed::Millis(60000));
  // Until semi-sync is on and nothing but the primary's health stands against a failover: every replica was
  // seen to have caught up since it was started.
  void expect_nothing_in_the_way(testbed::Millis timeout = testbed::Millis(60000));
  // The newest event of this kind; null when there is none.
  nlohmann::json last_event(const std::string& kind) const;
  // The first replica has what the primary has; false after 20 s.
  bool replica_catches_up();
  // Everything that helps to understand a failure.
  std::string story() const;

  // As root, on the server itself.
  std::string ask(testbed::Server& server, const std::string& sql);
  // A session of root that holds row 1 of app.held against the applier of a replica. MySQL allows no such
  // lock to anybody under super_read_only, which is off for a moment.
  testbed::Sql hold_row(testbed::Server& replica);
  // Ids that were acknowledged and are not in app.rows of `server`.
  std::vector<int> missing(testbed::Server& server, const std::vector<int>& acknowledged);
};

bool writable(testbed::Server& server);
// "" when `replica` follows `source` with both threads running; else what is wrong.
std::string why_not_following(testbed::Server& replica, const testbed::Server& source);

// A test that runs once for each product.
class LiveTest : public testing::TestWithParam<Product> {};
std::string product_name(const testing::TestParamInfo<Product>& info);

}  // namespace pointsman::live
