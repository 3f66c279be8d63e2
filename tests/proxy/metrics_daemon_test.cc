#include <atomic>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "tests/proxy/metrics_scrape.h"
#include "tests/proxy/peers.h"
#include "tests/testbed/daemon.h"
#include "tests/testbed/done.h"

// admin.metrics of the daemon as a process, without servers: where it listens, what a reload does, and that
// who scrapes disturbs nobody.
namespace pointsman::proxy {
namespace {

using testbed::Daemon;
using testbed::Millis;
using testbed::PortLease;

constexpr Millis soon{20000};

// They keep what was freed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

std::string at(const PortLease& port) {
  return "\"127.0.0.1:" + std::to_string(port.number()) + "\"";
}

class MetricsDaemon : public testing::Test {
 protected:
  void SetUp() override {
    for (PortLease* port : {&metrics_, &other_, &db1_, &db2_}) {
      auto picked = PortLease::pick();
      ASSERT_TRUE(picked) << picked.error();
      *port = std::move(*picked);
    }
  }

  // With two backends that are not there.
  void prepare(const std::string& metrics) {
    Daemon::Options options;
    options.backends = {{"db1", {"127.0.0.1", db1_.number()}}, {"db2", {"127.0.0.1", db2_.number()}}};
    options.keys = {{"admin", {{"metrics", metrics}}}};
    auto made = Daemon::prepare(std::move(options));
    ASSERT_TRUE(made) << made.error();
    daemon_ = std::move(*made);
  }
  void start(const std::string& metrics) {
    ASSERT_NO_FATAL_FAILURE(prepare(metrics));
    ASSERT_TRUE(testbed::done(daemon_->start()));
    const auto up = daemon_->wait_status([](const auto&) { return true; }, soon);
    ASSERT_TRUE(up) << up.error();
  }
  void reload(const std::string& metrics) {
    ASSERT_TRUE(daemon_->set_keys({{"admin", {{"metrics", metrics}}}}));
    const auto done = daemon_->command({"reload"});
    ASSERT_TRUE(done);
    ASSERT_EQ(done->code, 0) << done->err;
  }
  bool answers(const PortLease& port) { return scrape(port.number()).value("pointsman_epoch").has_value(); }
  bool eventually_answers(const PortLease& port, bool wanted = true) {
    return eventually([&] { return answers(port) == wanted; });
  }
  std::size_t memory_kb() const {
    std::ifstream file("/proc/" + std::to_string(daemon_->pid()) + "/status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
    }
    return 0;
  }

  PortLease metrics_, other_, db1_, db2_;
  std::unique_ptr<Daemon> daemon_;
};

// A daemon that has just started, with no server in reach, answers; its failed probes are counted.
TEST_F(MetricsDaemon, AnswersFromTheStart) {
  ASSERT_NO_FATAL_FAILURE(start(at(metrics_)));
  ASSERT_TRUE(eventually([&] {
    return scrape(metrics_.number()).sum("pointsman_backend_probe_failures_total{backend=\"db1\"") > 0;
  })) << daemon_->log_tail();
  const Scrape s = scrape(metrics_.number());
  EXPECT_EQ(s.value("pointsman_state{state=\"no_primary\"}"), 1);
  EXPECT_EQ(s.value("pointsman_route_open"), 0);
  EXPECT_EQ(s.value("pointsman_backend_probe_ok{backend=\"db1\"}"), 0);
  EXPECT_EQ(promtool("check metrics", s.body), "");
  EXPECT_TRUE(
      daemon_->log().contains("metrics=http://127.0.0.1:" + std::to_string(metrics_.number()) + "/metrics"))
      << daemon_->log_tail();
}

// admin.metrics = "": the daemon runs, and nobody listens.
TEST_F(MetricsDaemon, Off) {
  ASSERT_NO_FATAL_FAILURE(start("\"\""));
  EXPECT_EQ(scrape(metrics_.number()).status, 0);
  EXPECT_FALSE(daemon_->log().contains("metrics="));
}

// Somebody has the port: the daemon does not start, and says which key and which port.
TEST_F(MetricsDaemon, TakenAtStart) {
  ReservedPort taken;
  taken.listen();
  ASSERT_NO_FATAL_FAILURE(prepare("\"" + taken.address().to_string() + "\""));
  ASSERT_TRUE(testbed::done(daemon_->start()));
  const auto end = daemon_->process().wait(soon);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 1) << daemon_->log_tail();
  EXPECT_TRUE(daemon_->log().contains("pointsman: admin.metrics: cannot listen on " +
                                      taken.address().to_string() + ": Address already in use"))
      << daemon_->log_tail();
}

// A reload moves the endpoint, switches it off and on again.
TEST_F(MetricsDaemon, ReloadMoves) {
  ASSERT_NO_FATAL_FAILURE(start(at(metrics_)));
  ASSERT_TRUE(eventually_answers(metrics_));
  ASSERT_NO_FATAL_FAILURE(reload(at(other_)));
  EXPECT_TRUE(eventually_answers(other_));
  EXPECT_FALSE(answers(metrics_));
  ASSERT_NO_FATAL_FAILURE(reload("\"\""));
  EXPECT_TRUE(eventually_answers(other_, false));
  ASSERT_NO_FATAL_FAILURE(reload(at(metrics_)));
  EXPECT_TRUE(eventually_answers(metrics_)) << daemon_->log_tail();
  // The same port, another address.
  ASSERT_NO_FATAL_FAILURE(reload("\"0.0.0.0:" + std::to_string(metrics_.number()) + "\""));
  EXPECT_TRUE(eventually([&] { return daemon_->log().contains("metrics=http://0.0.0.0:"); }));
  EXPECT_TRUE(eventually_answers(metrics_)) << daemon_->log_tail();
}

// A reload to a port that somebody has: a warning, the old one goes on, and the next reload succeeds.
TEST_F(MetricsDaemon, ReloadToATakenPort) {
  ASSERT_NO_FATAL_FAILURE(start(at(metrics_)));
  {
    ReservedPort taken;
    taken.listen();
    ASSERT_NO_FATAL_FAILURE(reload("\"" + taken.address().to_string() + "\""));
    EXPECT_TRUE(eventually([&] { return daemon_->log().contains("metrics_not_moved"); }));
    EXPECT_TRUE(daemon_->log().contains("Address already in use")) << daemon_->log_tail();
    EXPECT_TRUE(eventually_answers(metrics_));
  }
  ASSERT_NO_FATAL_FAILURE(reload(at(other_)));
  EXPECT_TRUE(eventually_answers(other_)) << daemon_->log_tail();
}

// The values of a scrape are less than a second old, also when nothing happens and nobody scraped for a
// while.
TEST_F(MetricsDaemon, StaysFresh) {
  ASSERT_NO_FATAL_FAILURE(start(at(metrics_)));
  ASSERT_TRUE(eventually_answers(metrics_));
  const auto age = [&] {
    return scrape(metrics_.number()).value("pointsman_snapshot_age_seconds").value_or(-1);
  };
  // It grows, and begins anew.
  double last = 0;
  unsigned renewed = 0;
  EXPECT_TRUE(eventually([&] {
    const double present = age();
    renewed += present >= 0 && present < last ? 1U : 0U;
    last = present;
    return renewed == 3;
  }));
  EXPECT_TRUE(eventually([&] { return age() < 1; }));
}

// The control loop stands still and the threads of the endpoint do not: scrapes are answered with the values
// from before, and say that they grow old. When it goes on, so do they.
TEST_F(MetricsDaemon, LoopStandsStill) {
  ASSERT_NO_FATAL_FAILURE(start(at(metrics_)));
  ASSERT_TRUE(eventually_answers(metrics_));
  const auto age = [&] {
    return scrape(metrics_.number()).value("pointsman_snapshot_age_seconds").value_or(-1);
  };
  const pid_t loop = daemon_->pid();  // its first thread
  if (ptrace(PTRACE_SEIZE, loop, nullptr, nullptr) != 0) GTEST_SKIP() << "no permission to trace";
  ASSERT_EQ(ptrace(PTRACE_INTERRUPT, loop, nullptr, nullptr), 0);
  ASSERT_EQ(waitpid(loop, nullptr, __WALL), loop);
  EXPECT_TRUE(eventually([&] { return age() > 2; }));
  ASSERT_EQ(ptrace(PTRACE_DETACH, loop, nullptr, nullptr), 0);
  EXPECT_TRUE(eventually([&] {
    const double a = age();
    return a >= 0 && a < 1;
  }));
}

// Clients that scrape all the time, that say nothing and that do not read keep a hundred connections busy.
// The operator's commands are answered, the values stay fresh, and memory does not grow.
TEST_F(MetricsDaemon, DisturbsNobody) {
  ASSERT_NO_FATAL_FAILURE(start(at(metrics_)));
  const auto address = *io::Address::numeric({"127.0.0.1", metrics_.number()});
  std::atomic<bool> over = false;
  std::atomic<unsigned> answered = 0;
  const auto greedy = [&] {
    while (!over) answered += scrape(metrics_.number()).status == 200 ? 1 : 0;
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(greedy);
  ASSERT_TRUE(eventually([&] { return answered > 200; }));
  const std::size_t before = memory_kb();
  std::vector<Peer> silent;
  for (int i = 0; i < 100; ++i) {
    auto peer = Peer::connect(address);
    if (!peer) break;  // the queue in the kernel is full as well
    peer->read_little_at_a_time();
    if (i % 2 == 0) (void)peer->send_all("GET /metrics HTTP/1.0\r\n\r\n");
    silent.push_back(std::move(*peer));
  }
  const unsigned then = answered;
  for (int i = 0; i < 20; ++i) {
    const auto status = daemon_->status();
    EXPECT_TRUE(status) << status.error();
  }
  silent.clear();
  EXPECT_TRUE(eventually([&] { return answered > then + 500; }));
  over = true;
  for (auto& thread : threads) thread.join();
  if (!sanitized) {
    EXPECT_LT(memory_kb(), before + 8192) << "kB before: " << before;
  }
  EXPECT_TRUE(daemon_->running());
  const auto stopped = daemon_->stop();
  ASSERT_TRUE(stopped) << stopped.error();
  EXPECT_EQ(*stopped, 0) << daemon_->log_tail(200);
}

}  // namespace
}  // namespace pointsman::proxy
