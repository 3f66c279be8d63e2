#include "health/mysql/resolver.h"

#include <gtest/gtest.h>

#include "health/mysql/boot_clock.h"
#include "tests/mysql/fake_server.h"
#include "tests/mysql/watch.h"

namespace pointsman::mysql {
namespace {

TEST(Resolver, NumericAddressesNeedNoLookup) {
  const Waker interrupt;
  for (const char* host : {"192.0.2.1", "2001:db8::1"}) {
    const auto found = Resolver(host).resolve(boot_now(), interrupt);
    ASSERT_TRUE(found);
    EXPECT_EQ(*found, std::vector<std::string>{host});
  }
}

TEST(Resolver, FindsLocalhost) {
  const Waker interrupt;
  const auto found = Resolver("localhost").resolve(boot_now() + patience, interrupt);
  ASSERT_TRUE(found) << found.error().text;
  EXPECT_FALSE(found->empty());
}

// A name that nobody knows is unreachable, whether the lookup fails or does not end in time; it can be ended
// any time.
TEST(Resolver, UnknownNameIsUnreachable) {
  Waker interrupt;
  Resolver resolver("no-such-host.invalid");
  for (int i = 0; i < 2; ++i) {
    const auto found = resolver.resolve(boot_now() + 300ms, interrupt);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind, core::FailureKind::unreachable);
    EXPECT_NE(found.error().text.find("no-such-host.invalid"), std::string::npos) << found.error().text;
    interrupt.ring();
  }
}

// "localhost" may be ::1 first: a server that listens on 127.0.0.1 alone is found all the same.
TEST(Resolver, EachAddressOfANameIsTried) {
  FakeServer server([&](int fd) { server.hold(fd); });
  ProbeWatch watch({"localhost", server.address().port}, {"u", "", "p"}, 50ms, 300ms);
  const auto failure = watch.next_failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, core::FailureKind::timeout) << show(*failure);
  EXPECT_GT(server.connections(), 0);
}

}  // namespace
}  // namespace pointsman::mysql
