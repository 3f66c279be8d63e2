#include "health/io/resolve.h"

#include <memory>
#include <optional>

#include <gtest/gtest.h>

namespace pointsman::io {
namespace {

// A number needs no resolver: the answer is there before start() returns.
TEST(Resolver, NumericAtOnce) {
  Loop loop;
  std::optional<Resolver::Result> result;
  Resolver resolver(loop, [&](Resolver::Result r) { result = std::move(r); });
  resolver.start({"::1", 3306});
  ASSERT_TRUE(result && *result);
  EXPECT_EQ((*result)->front().to_string(), "[::1]:3306");
}

// A name in the hosts file: a loopback address with the port that was asked for.
TEST(Resolver, Name) {
  Loop loop;
  std::optional<Resolver::Result> result;
  Resolver resolver(loop, [&](Resolver::Result r) { result = std::move(r); });
  resolver.start({"localhost", 3306});
  EXPECT_FALSE(result);
  loop.run();
  ASSERT_TRUE(result && *result);
  EXPECT_EQ((*result)->front().port(), 3306);
}

// A name that no resolver accepts: an error that names it.
TEST(Resolver, UnknownName) {
  Loop loop;
  std::optional<Resolver::Result> result;
  Resolver resolver(loop, [&](Resolver::Result r) { result = std::move(r); });
  resolver.start({"no such name", 3306});
  loop.run();
  ASSERT_TRUE(result);
  ASSERT_FALSE(*result);
  EXPECT_NE(result->error().find("no such name"), std::string::npos) << result->error();
}

// The owner goes before the answer comes.
TEST(Resolver, OwnerMayGo) {
  Loop loop;
  auto resolver = std::make_unique<Resolver>(loop, [](const Resolver::Result&) { FAIL(); });
  resolver->start({"localhost", 1});
  resolver->start({"localhost", 2});
  resolver.reset();
  loop.run();
}

}  // namespace
}  // namespace pointsman::io
