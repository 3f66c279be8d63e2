#include "health/io/address.h"

#include <gtest/gtest.h>

namespace pointsman::io {
namespace {

// What an operator writes as a number comes back the same; a name is not taken for a number.
TEST(Address, NumericRoundTrip) {
  const auto v4 = Address::numeric({"192.0.2.7", 3306});
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->to_string(), "192.0.2.7:3306");
  EXPECT_EQ(v4->host_port(), (conf::HostPort{"192.0.2.7", 3306}));
  auto v6 = Address::numeric({"2001:db8::1", 0});
  ASSERT_TRUE(v6);
  v6->set_port(694);
  EXPECT_EQ(v6->to_string(), "[2001:db8::1]:694");
  EXPECT_EQ(v6->port(), 694);
  EXPECT_FALSE(Address::numeric({"localhost", 1}));
  EXPECT_FALSE(Address::numeric({"", 1}));
  EXPECT_FALSE(Address::numeric({"192.0.2.256", 1}));
}

TEST(Address, ScopeSurvives) {
  const auto scoped = Address::numeric({"fe80::1%lo", 9});
  ASSERT_TRUE(scoped);
  EXPECT_EQ(scoped->to_string(), "[fe80::1%lo]:9");
}

}  // namespace
}  // namespace pointsman::io
