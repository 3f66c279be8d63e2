#include "bench/demo.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

// Steps are told in their order, with the whole behind them; what comes after the route opened is no part of
// it, and what took no time is not worth a word.
TEST(Demo, DescribesSteps) {
  const auto change = nlohmann::json::parse(
      R"({"steps":[{"name":"fence","ms":0.31},{"name":"catch_up","ms":1.2}],"total_ms":7.44})");
  EXPECT_EQ(describe_steps(change), "fence 0.3, catch up 1.2 = 7.4 ms");
  const auto planned = nlohmann::json::parse(
      R"({"steps":[{"name":"fence","ms":0.01},{"name":"promote","ms":6},{"name":"route","ms":0},{"name":"repoint","ms":40}],
          "total_ms":6.1})");
  EXPECT_EQ(describe_steps(planned), "promote 6.0 = 6.1 ms, afterwards repoint 40.0");
  EXPECT_EQ(describe_steps(nlohmann::json::object()), "");
  EXPECT_EQ(describe_steps(nlohmann::json::parse(R"({"steps":null,"total_ms":null})")), "");
}

// A backend is described by what matters in its role; what is absent or null is left out.
TEST(Demo, DescribesBackends) {
  const auto describe = [](const char* text) { return describe_backend(nlohmann::json::parse(text)); };
  EXPECT_EQ(describe(R"({"role":"primary","probe":{"ok":true,"latency_us":420,"error":null},"sessions":4})"),
            "probe 0.4 ms, 4 sessions");
  EXPECT_EQ(describe(R"({"role":"replica","probe":{"ok":true},"replication":{"source":"db1","lag_ms":3}})"),
            "follows db1, lag 3 ms");
  EXPECT_EQ(describe(R"({"role":"replica","replication":{"source":"db1","lag_ms":3400}})"),
            "follows db1, lag 3.4 s");
  EXPECT_EQ(describe(R"({"role":"replica","replication":{"source":null,"lag_ms":null}})"), "");
  EXPECT_EQ(describe(R"({"role":"replica","replication":null})"), "");
  EXPECT_EQ(describe(R"({"role":"fenced","probe":{"ok":false,"error":"connection refused"}})"),
            "connection refused");
  EXPECT_EQ(describe("{}"), "");
}

// Links are named with their state; one that is off is no link, and an old daemon has none.
TEST(Demo, DescribesLinks) {
  const auto describe = [](const char* text) {
    return describe_links(links_of(nlohmann::json::parse(text)));
  };
  EXPECT_EQ(describe(R"({"links":{"serial":{"state":"dead"},"udp":{"state":"alive"}}})"),
            "udp alive, serial dead");
  EXPECT_EQ(describe(R"({"links":{"serial":{"state":"off"},"udp":{"state":"late"}}})"), "udp late");
  EXPECT_EQ(describe(R"({"links":null})"), "");
  EXPECT_EQ(describe("{}"), "");
}

}  // namespace
}  // namespace pointsman::bench
