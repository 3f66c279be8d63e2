// A primary that hears no proxy stops writing, and goes on when it may.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "health/io/clock.h"
#include "tests/agent/agent_world.h"

namespace pointsman::agent {
namespace {

using namespace std::chrono_literals;
using core::AgentWord;
using core::GrantedRole;
using core::LinkKind;

class AgentLease : public AgentTest {
 protected:
  void be_primary(std::uint64_t epoch = 1) {
    proxy_->grant(GrantedRole::primary, epoch);
    ASSERT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.lease_held; }));
  }
};
INSTANTIATE_TEST_SUITE_P(, AgentLease, testing::Values(Product::mariadb, Product::mysql), product_name);

// Both cables are cut while a client writes that goes round the proxy: it is stopped, and its session ended,
// within the lease and a moment. When the same role is granted again, writes are allowed again.
TEST_P(AgentLease, EndsWritesWhenNobodyIsHeard) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  be_primary();
  auto direct = application();
  ASSERT_TRUE(direct.execute("INSERT INTO t (v) VALUES (1)"));
  std::atomic<core::Instant> last_commit{io::now()};
  std::atomic<bool> ended = false;
  std::thread writer([&] {
    while (true) {
      const auto done = direct.execute("INSERT INTO t (v) VALUES (2)");
      if (done) {
        last_commit = io::now();
      } else if (done.error().code == 2006 || done.error().code == 2013 || done.error().code == 1053 ||
                 done.error().code == 1927 || done.error().code == 3168) {
        break;  // the session has ended
      }
    }
    ended = true;
  });
  run_for(200ms);
  const core::Instant silent = io::now();
  proxy_->silence();
  until([&] { return ended.load(); });
  writer.join();
  EXPECT_TRUE(until([&] { return read_only(); })) << "clients go first";
  std::printf("%s: lease 600 ms; last commit of a direct client %.0f ms after the last frame\n",
              testbed::to_string(GetParam()), core::to_ms_exact(last_commit.load() - silent));
  EXPECT_TRUE(hears(silent, [](const AgentWord& word) { return word.lease_lost && word.read_only == true; }));
  EXPECT_TRUE(logs("lease_lost"));

  proxy_->speak(LinkKind::serial, true);  // one cable is mended
  EXPECT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.lease_held && word.lease_lost; }))
      << "the lease is back, and the proxy is told that it may allow writes";
  ask("SET GLOBAL read_only = OFF");  // as the proxy does
  EXPECT_TRUE(hears(io::now(), [](const AgentWord& word) {
    return word.lease_held && !word.lease_lost && word.read_only == false;
  }));
  EXPECT_TRUE(application().execute("INSERT INTO t (v) VALUES (3)"));
}

// The agent is restarted on a primary, and no proxy is heard any more: it remembers that there was a lease.
TEST_P(AgentLease, IsEnforcedByARestartedAgent) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  be_primary();
  proxy_->silence();
  agent_.kill();
  EXPECT_FALSE(read_only()) << "nobody guards it";
  start_agent();
  EXPECT_TRUE(logs("kept from before the agent was restarted"));
  EXPECT_TRUE(until([&] { return read_only(); }));
  EXPECT_TRUE(logs("lease_lost"));
}

// fence.state_dir is on a file system that stands still for seconds (a pipe in the place of the new file does
// that): the agent goes on telling and hearing, so that its lease goes on, and only what a restart of it
// would forget it does not claim to have.
TEST_P(AgentLease, GoesOnWhileTheDiskStands) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  be_primary();
  const auto pipe = (file("state") / "role.new").string();
  // The agent may just be writing a new file.
  ASSERT_TRUE(until([&] { return ::mkfifo(pipe.c_str(), 0600) == 0; }));
  const core::Instant stands = io::now();
  run_for(3s);  // five times as long as the lease
  EXPECT_FALSE(read_only());
  EXPECT_EQ(log().find("lease_lost"), std::string::npos) << log();
  core::Duration longest{};
  core::Instant before = stands;
  for (const auto& heard : proxy_->heard()) {
    if (heard.at < stands || heard.link != LinkKind::udp) continue;  // the slow line tells of the past
    longest = std::max(longest, heard.at - std::exchange(before, heard.at));
    EXPECT_TRUE(heard.word.lease_held);
  }
  EXPECT_LT(longest, 600ms) << "and keepalive is 100 ms";

  proxy_->grant(GrantedRole::primary, 2);
  ASSERT_TRUE(until([&] { return proxy_->heard().back().epoch == core::Epoch{2}; }));
  EXPECT_FALSE(proxy_->heard().back().word.lease_held) << "of epoch 2 it would know nothing after a restart";
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // now the disk goes on
  ASSERT_GE(reader, 0);
  EXPECT_TRUE(hears(io::now(), [](const AgentWord& word) { return word.lease_held; }));
  ::close(reader);
}

// The agent is stopped: the server stays as it is, and the log says what that means.
TEST_P(AgentLease, StoppedAgentLeavesTheServer) {
  ASSERT_NO_FATAL_FAILURE(start_all());
  be_primary();
  ASSERT_TRUE(agent_.send(SIGTERM));
  const auto end = agent_.wait(10s);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 0);
  EXPECT_FALSE(read_only());
  EXPECT_NE(log().find("nobody guards it now"), std::string::npos);
}

// mysqld is started again, configured to be writable, on a host without a role, and a client is there that
// tries without a pause. How much it can write before the server is read-only is what we can do: it is
// measured.
TEST_P(AgentLease, ServerThatStartsWithoutARoleIsMadeReadOnly) {
  start_server();
  ASSERT_TRUE(server().set_settings(
      {GetParam() == Product::mariadb ? "read_only=0" : "super_read_only=0\nread_only=0"}));
  ASSERT_TRUE(server().stop());
  start_agent();
  play();
  std::atomic<bool> stop = false;
  std::atomic<int> commits = 0;
  std::atomic<core::Instant> first{core::Instant{}};
  std::atomic<core::Instant> last{core::Instant{}};
  std::thread writer([&] {
    while (!stop) {
      auto sql = server().connect(cluster_->accounts().application, "app");
      while (sql && !stop && sql->execute("INSERT INTO t (v) VALUES (4)")) {
        if (commits++ == 0) first = io::now();
        last = io::now();
      }
    }
  });
  const auto started = server().start();
  EXPECT_TRUE(started) << started.error();
  until([&] { return read_only(); });
  stop = true;
  writer.join();
  std::printf(
      "%s started without a role, a client in a tight loop: %d commits within %.1f ms, then read-only\n",
      testbed::to_string(GetParam()), commits.load(), core::to_ms_exact(last.load() - first.load()));
  EXPECT_TRUE(read_only());
  EXPECT_TRUE(logs("make_read_only done=true")) << "it was our doing, not its configuration's";
  EXPECT_FALSE(application().execute("INSERT INTO t (v) VALUES (5)"));
}

}  // namespace
}  // namespace pointsman::agent
