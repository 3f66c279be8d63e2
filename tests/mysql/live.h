#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/mysql/watch.h"
#include "tests/testbed/cluster.h"

namespace pointsman::mysql {

using testbed::Product;

// Real servers of either product, reached with nothing but the privileges that the README asks for.
class LiveTest : public testing::TestWithParam<Product> {
 protected:
  void start(unsigned servers, std::vector<std::string> settings = {});

  bool mariadb() const { return GetParam() == Product::mariadb; }
  testbed::Server& server(std::size_t i) { return cluster_->server(i); }
  conf::Account monitor() const;
  Commander::Options options(std::size_t i);
  std::unique_ptr<Commands> commands(std::size_t i) { return std::make_unique<Commands>(options(i)); }

  // As root on server i; a failure fails the test.
  void execute(std::size_t i, const std::string& sql);
  std::string scalar(std::size_t i, const std::string& sql);
  // As the application.
  testbed::Sql application(std::size_t i);
  // Until the query gives `wanted` on server i, or patience ends.
  bool eventually(std::size_t i, const std::string& sql, const std::string& wanted);
  // The row count of app.t, which start() makes.
  std::string count(std::size_t i) { return scalar(i, "SELECT COUNT(*) FROM app.t"); }

  const char* set_read_only_off() const { return "SET GLOBAL read_only = OFF"; }

  std::unique_ptr<testbed::Cluster> cluster_;
};

std::string product_name(const testing::TestParamInfo<Product>& info);

#define PM_EXPECT_OK(result) EXPECT_TRUE(result) << show((result).error())
#define PM_ASSERT_OK(result) ASSERT_TRUE(result) << show((result).error())

}  // namespace pointsman::mysql
