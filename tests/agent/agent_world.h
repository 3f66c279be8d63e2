#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "tests/agent/played_proxy.h"
#include "tests/io/loop_until.h"
#include "tests/testbed/cluster.h"
#include "tests/testbed/serial_line.h"

namespace pointsman::agent {

using testbed::Product;

// One real server, the real agent on it as a process of its own, and a proxy that the test plays over a real
// UDP socket and a serial line at 19200 baud.
class AgentTest : public testing::TestWithParam<Product> {
 protected:
  static constexpr const char* secret = "one-secret-of-32-characters-long";

  void SetUp() override;
  void TearDown() override;

  // A writable server with the accounts and a table app.t.
  void start_server();
  // Further lines for agent.toml's sections heartbeat and fence. Returns at once.
  void start_agent(const std::string& heartbeat_lines = "", const std::string& fence_lines = "");
  // The proxy that signs with this secret. Not both: one port.
  PlayedProxy& play(const std::string& name = "proxy1", const std::string& key = secret);
  // Everything, until the agent tells the proxy that the server answers.
  void start_all();

  // Runs the proxy meanwhile; false and a failure when it does not happen.
  bool until(const std::function<bool()>& done) { return io::run_until(loop_, done); }
  // Until a frame at or after `since` says so; null and a failure: none came.
  const PlayedProxy::Heard* hears(core::Instant since,
                                  const std::function<bool(const core::AgentWord&)>& wanted);
  // Keeps the loop going so long.
  void run_for(core::Duration duration);
  // Until the agent's log says so.
  bool logs(const std::string& text);
  std::string log() const;

  testbed::Server& server() { return cluster_->server(0); }
  std::string ask(const std::string& sql);  // as root, by the socket
  bool read_only() { return ask("SELECT @@global.read_only") != "0"; }
  testbed::Sql application();  // a client that goes round the proxy
  std::string own_gtids();     // of the server, as it tells itself
  void write_authkeys(const std::string& key);
  std::filesystem::path file(const std::string& name) const { return directory_.path() / name; }

  testbed::TempDirectory directory_;
  testbed::PortLease port_;
  std::unique_ptr<testbed::Cluster> cluster_;
  std::unique_ptr<testbed::SerialLine> line_;
  testbed::Process agent_;
  io::Loop loop_;
  std::unique_ptr<io::Keys> keys_;
  std::unique_ptr<PlayedProxy> proxy_;
};

std::unique_ptr<io::Keys> keys_of(const std::string& secret);
std::string product_name(const testing::TestParamInfo<Product>& info);

}  // namespace pointsman::agent
