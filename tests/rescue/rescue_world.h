#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "health/rescue/rescue.h"
#include "tests/testbed/cluster.h"
#include "tests/testbed/files.h"

namespace pointsman::rescue {

using testbed::Product;

// Two real servers. The first was the primary and has a tail that the second never got; the second is the
// primary now and has gone on. Reached with the monitor account, given what the header asks for and no more.
class RescueTest : public testing::Test {
 protected:
  void start(Product product, std::vector<std::string> settings = {});
  // The second takes over from where replication stands; the first gets `tail` alone, statement by statement,
  // and is made read-only.
  void diverge(const std::vector<std::string>& tail);

  testbed::Server& old_primary() { return cluster_->server(0); }
  testbed::Server& primary() { return cluster_->server(1); }
  bool mariadb() const { return cluster_->product() == Product::mariadb; }

  // As root; a failure fails the test.
  void execute(testbed::Server& server, const std::string& sql);
  void execute_all(testbed::Server& server, const std::vector<std::string>& statements);  // in one session
  std::string scalar(testbed::Server& server, const std::string& sql);

  core::ServerReport report(testbed::Server& server);
  // With the errant set as the audit would see it now.
  Order order();
  // Saves and takes back: why a copy is needed, or "undone", or "failed: ..." and the like.
  static std::string why_copy(const Order& ordered);
  std::string why_copy() { return why_copy(order()); }
  // The old primary follows the primary by the daemon's own command, and catches up.
  void follow();
  void expect_equal_data();
  void expect_no_errant();
  // One line for each table of the application: its name and its checksum.
  std::string checksums(testbed::Server& server);

  std::filesystem::path state_dir() const { return state_->path(); }
  std::vector<std::filesystem::path> saved_directories() const;

  std::unique_ptr<testbed::Cluster> cluster_;
  std::unique_ptr<testbed::TempDirectory> state_;
  std::filesystem::path mysqlbinlog_;  // a script that runs the cached MySQL's program
};

std::string read_text(const std::filesystem::path& path);

#define PM_EXPECT_OK(result) EXPECT_TRUE(result) << (result).error().text
#define PM_ASSERT_OK(result) ASSERT_TRUE(result) << (result).error().text

}  // namespace pointsman::rescue
