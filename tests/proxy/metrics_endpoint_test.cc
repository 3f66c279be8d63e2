#include "proxy/metrics_endpoint.h"

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <prometheus/metric_family.h>

#include "conf/address.h"
#include "tests/proxy/metrics_scrape.h"
#include "tests/proxy/peers.h"

// The HTTP side of the metrics alone, with real sockets.
namespace pointsman::proxy {
namespace {

// One gauge, and a great many bytes of help when wanted.
class Something final : public prometheus::Collectable {
 public:
  explicit Something(std::size_t size = 10) : size_(size) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    ++asked;
    prometheus::MetricFamily family{
        "something", std::string(size_, 'x'), prometheus::MetricType::Gauge, {{}}};
    family.metric.front().gauge.value = 42;
    return {family};
  }
  mutable std::atomic<unsigned> asked = 0;

 private:
  const std::size_t size_;
};

std::uint16_t port_of(const MetricsEndpoint& endpoint) {
  const std::string url = endpoint.url();  // http://127.0.0.1:PORT/metrics
  return conf::parse_address(url.substr(7, url.rfind('/') - 7))->port;
}

// The threads of this process.
std::set<std::filesystem::path> tasks() {
  std::set<std::filesystem::path> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) found.insert(task.path());
  return found;
}

// A line of its status, without the key.
std::string status_of(const std::filesystem::path& task, std::string_view key) {
  std::ifstream file(task / "status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return "0";
}

// A scrape gets what the collectable says; another path gets 404.
TEST(MetricsEndpoint, Answers) {
  const auto what = std::make_shared<Something>();
  const auto endpoint = MetricsEndpoint::open("127.0.0.1:0", what);
  ASSERT_TRUE(endpoint) << endpoint.error();
  const Scrape got = scrape(port_of(**endpoint));
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.value("something"), 42);
  EXPECT_EQ(scrape(port_of(**endpoint), "/").status, 404);
  EXPECT_EQ(scrape(port_of(**endpoint), "/../../etc/passwd").status, 404);
}

// A taken port, a name that does not exist, nonsense: a sentence each.
TEST(MetricsEndpoint, CannotListen) {
  const auto what = std::make_shared<Something>();
  ReservedPort taken;
  taken.listen();
  const std::string address = taken.address().to_string();
  const auto on_taken = MetricsEndpoint::open(address, what);
  ASSERT_FALSE(on_taken);
  EXPECT_EQ(on_taken.error(), "cannot listen on " + address + ": Address already in use");
  const auto foreign = MetricsEndpoint::open("192.0.2.1:9366", what);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error(), "cannot listen on 192.0.2.1:9366: Cannot assign requested address");
  EXPECT_FALSE(MetricsEndpoint::open("no-such-host.invalid:9366", what));
  EXPECT_FALSE(MetricsEndpoint::open("9366", what));
}

// The collectable ends while the endpoint lives, as at the end of the daemon: scrapes find nothing, nobody
// crashes.
TEST(MetricsEndpoint, CollectableEnds) {
  auto what = std::make_shared<Something>();
  const auto endpoint = MetricsEndpoint::open("127.0.0.1:0", what);
  ASSERT_TRUE(endpoint) << endpoint.error();
  what.reset();
  const Scrape got = scrape(port_of(**endpoint));
  EXPECT_EQ(got.status, 200);
  EXPECT_FALSE(got.value("something"));
}

// What is no scrape at all gets an answer or a closed connection, and the next scrape its figures.
TEST(MetricsEndpoint, BadRequests) {
  const auto what = std::make_shared<Something>();
  const auto endpoint = MetricsEndpoint::open("127.0.0.1:0", what);
  ASSERT_TRUE(endpoint) << endpoint.error();
  const auto address = *io::Address::numeric({"127.0.0.1", port_of(**endpoint)});
  for (const std::string& request :
       {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), std::string("GET\r\n\r\n"),
        std::string(100'000, 'a') + "\r\n\r\n",
        std::string("POST /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string("GET /metrics HTTP/1.1\r\n") + std::string(50'000, 'b') + ": c\r\n\r\n",
        std::string(4096, '\0')}) {
    auto peer = Peer::connect(address);
    ASSERT_TRUE(peer);
    (void)peer->send_all(request);
    peer->finish();
    (void)peer->read_to_end();
  }
  EXPECT_EQ(scrape(port_of(**endpoint)).value("something"), 42);
}

// More clients than there are threads say nothing, or read nothing of a long answer. They keep a bounded
// number of threads busy, for a bounded time, and then scrapes are answered again.
TEST(MetricsEndpoint, SlowClients) {
  const auto what = std::make_shared<Something>(std::size_t{4} << 20);
  const auto endpoint = MetricsEndpoint::open("127.0.0.1:0", what);
  ASSERT_TRUE(endpoint) << endpoint.error();
  const auto address = *io::Address::numeric({"127.0.0.1", port_of(**endpoint)});
  const std::size_t threads_before = tasks().size();
  std::vector<Peer> peers;
  for (int i = 0; i < 2 * MetricsEndpoint::threads; ++i) {
    auto peer = Peer::connect(address);
    ASSERT_TRUE(peer);
    peer->read_little_at_a_time();
    if (i % 2 == 0) {
      ASSERT_TRUE(peer->send_all("GET /metrics HTTP/1.0\r\n\r\n"));
    }
    peers.push_back(std::move(*peer));
  }
  EXPECT_TRUE(eventually([&] { return scrape(port_of(**endpoint)).value("something") == 42; }));
  EXPECT_EQ(tasks().size(), threads_before);
}

// Closing does not wait for a client that says nothing, longer than some seconds.
TEST(MetricsEndpoint, ClosesUnderSlowClients) {
  const auto what = std::make_shared<Something>();
  auto endpoint = MetricsEndpoint::open("127.0.0.1:0", what);
  ASSERT_TRUE(endpoint) << endpoint.error();
  const std::uint16_t port = port_of(**endpoint);
  auto silent = Peer::connect(*io::Address::numeric({"127.0.0.1", port}));
  ASSERT_TRUE(silent);
  EXPECT_EQ(scrape(port).value("something"), 42);
  const auto begun = std::chrono::steady_clock::now();
  endpoint->reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, patience);
  EXPECT_EQ(scrape(port).status, 0);
}

// Many at a time and at once, for as long as there is work: all get an answer, and the library's threads are
// as many as before.
TEST(MetricsEndpoint, GreedyClients) {
  const auto what = std::make_shared<Something>(10'000);
  const auto endpoint = MetricsEndpoint::open("127.0.0.1:0", what);
  ASSERT_TRUE(endpoint) << endpoint.error();
  const std::uint16_t port = port_of(**endpoint);
  constexpr unsigned each = 50;
  std::atomic<unsigned> good = 0;
  std::vector<std::thread> greedy;
  for (int i = 0; i < 8; ++i) {
    greedy.emplace_back([&] {
      for (unsigned n = 0; n < each; ++n) good += scrape(port).value("something") == 42 ? 1 : 0;
    });
  }
  for (auto& thread : greedy) thread.join();
  EXPECT_EQ(good, 8 * each);
  EXPECT_EQ(what->asked, 8 * each);
}

// Signals are the control loop's business: no thread of the endpoint takes one.
TEST(MetricsEndpoint, ThreadsTakeNoSignals) {
  const auto before = tasks();
  const auto what = std::make_shared<Something>();
  const auto endpoint = MetricsEndpoint::open("127.0.0.1:0", what);
  ASSERT_TRUE(endpoint) << endpoint.error();
  unsigned count = 0;
  for (const auto& task : tasks()) {
    if (before.contains(task)) continue;
    ++count;
    const std::uint64_t blocked = std::stoull(status_of(task, "SigBlk:"), nullptr, 16);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD})
      EXPECT_NE(blocked & (std::uint64_t{1} << (signal - 1)), 0U) << signal;
  }
  EXPECT_GE(count, 1U + MetricsEndpoint::threads);
}

}  // namespace
}  // namespace pointsman::proxy
