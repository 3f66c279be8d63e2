#include "tests/mysql/live.h"

#include <stdexcept>
#include <thread>

namespace pointsman::mysql {

std::string product_name(const testing::TestParamInfo<Product>& info) {
  return testbed::to_string(info.param);
}

void LiveTest::start(unsigned servers, std::vector<std::string> settings) {
  auto made =
      testbed::Cluster::create({.product = GetParam(), .servers = servers, .settings = std::move(settings)});
  ASSERT_TRUE(made) << made.error();
  cluster_ = std::move(*made);
  execute(0, "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100))");
  for (std::size_t i = 1; i < servers; ++i) {
    const auto caught_up = cluster_->wait_caught_up(server(i), server(0), patience);
    ASSERT_TRUE(caught_up) << caught_up.error();
  }
}

conf::Account LiveTest::monitor() const {
  const auto& login = cluster_->accounts().monitor;
  return {login.user, "", login.password};
}

Commander::Options LiveTest::options(std::size_t i) {
  const auto& replication = cluster_->accounts().replication;
  return {.address = server(i).address(),
          .monitor = monitor(),
          .replication = {replication.user, "", replication.password},
          .connect_timeout = 5s,
          .replication_heartbeat = 100ms};
}

void LiveTest::execute(std::size_t i, const std::string& sql) {
  auto root = server(i).root();
  ASSERT_TRUE(root) << root.error().text;
  const auto done = root->execute(sql);
  EXPECT_TRUE(done) << done.error().text;
}

std::string LiveTest::scalar(std::size_t i, const std::string& sql) {
  auto root = server(i).root();
  if (!root) return root.error().text;
  const auto value = root->scalar(sql);
  return value ? *value : value.error().text;
}

testbed::Sql LiveTest::application(std::size_t i) {
  auto sql = server(i).connect(cluster_->accounts().application, "app");
  if (!sql) throw std::runtime_error(sql.error().text);
  return std::move(*sql);
}

bool LiveTest::eventually(std::size_t i, const std::string& sql, const std::string& wanted) {
  const auto end = std::chrono::steady_clock::now() + patience;
  std::string last;
  while (std::chrono::steady_clock::now() < end) {
    last = scalar(i, sql);
    if (last == wanted) return true;
    std::this_thread::sleep_for(5ms);  // the server has no event for it
  }
  ADD_FAILURE() << sql << " gives " << last << ", not " << wanted;
  return false;
}

}  // namespace pointsman::mysql
