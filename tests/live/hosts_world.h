#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"
#include "tests/testbed/hosts.h"

namespace pointsman::live {

using nlohmann::json;
using testbed::Hosts;

// A test on three hosts, each a network namespace: db1, which is the primary at first, db2 and the proxy's.
// For root.
class HostsTest : public testing::Test {
 protected:
  // Generous: the machines are noisy, and figures come from the benchmark.
  static constexpr testbed::Millis soon{30000};

  void SetUp() override;
  void TearDown() override;  // after a failure, all logs

  // Servers that replicate, and app.rows; agents and daemon have their files but do not run.
  void prepare(Hosts::Options options);
  // prepare(), and all of it runs, steady, every link alive, and nothing is warned of.
  void start(Hosts::Options options);

  testbed::Server& db(std::size_t i) { return hosts_->server(i); }
  testbed::Agent& agent(std::size_t i) { return hosts_->agent(i); }
  testbed::Daemon& daemon() { return hosts_->daemon(); }

  // An application on the proxy's host, through the daemon. It has written when this returns.
  std::unique_ptr<Writer> write_through();
  // One on the server's own host that goes round the daemon. Its rows have numbers of their own.
  std::unique_ptr<Writer> write_round(std::size_t db);
  // Until it has `more` rows acknowledged.
  void expect_writes(const Writer& writer, std::size_t more = 30);
  // At the end of a test whose commits may wait without end for a replica: ends the daemon and the writer.
  void finish(Writer& writer);
  // None of what was acknowledged is missing on the server.
  void expect_kept(std::size_t db, const Writer& writer);

  // The status for which `wanted` holds; null and a failure when it does not come.
  json wait_for(const std::string& what, const std::function<bool(const json&)>& wanted);
  json status();
  // Until the link of that server is in this state.
  void wait_link(std::size_t db, const std::string& link, const std::string& state);
  // Until a warning has all of these words, in whatever case.
  std::string wait_warning(const std::vector<std::string>& words);
  void wait_no_warning();

  // Until db2 is primary, steady. There was one failover, for this reason.
  void expect_failover(const std::string& verdict);
  // db1 is primary, steady, under the epoch of the beginning; nothing was fenced or promoted.
  void expect_no_failover();
  // Until db1 is db2's replica. Where it may have written what nobody acknowledged, it may also be
  // quarantined with that. In no case it accepts a write.
  void expect_back_as_replica(bool clean = true);

  std::shared_ptr<Hosts> hosts_;
  World world_;  // the cluster and the daemon of hosts_
  json at_first_;
};

// One that runs once for each product.
class EachProduct : public HostsTest, public testing::WithParamInterface<Product> {};

bool has(const json& value, const std::string& text);
// In whatever case.
bool has_words(const std::string& text, const std::vector<std::string>& words);

}  // namespace pointsman::live
