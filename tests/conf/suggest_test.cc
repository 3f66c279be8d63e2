#include "conf/suggest.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

namespace pointsman::conf {
namespace {

// Typing errors find the key that was meant; other words find none.
TEST(Suggest, Nearest) {
  constexpr std::array<std::string_view, 5> keys{"listen", "threads", "max_connections", "max_held", "udp"};
  EXPECT_EQ(nearest("listn", keys), "listen");
  EXPECT_EQ(nearest("lisetn", keys), "listen");
  EXPECT_EQ(nearest("Threads", keys), "threads");
  EXPECT_EQ(nearest("max_conections", keys), "max_connections");
  EXPECT_EQ(nearest("maxconnection", keys), "max_connections");
  EXPECT_EQ(nearest("upd", keys), "udp");
  EXPECT_EQ(nearest("ip", keys), "");
  EXPECT_EQ(nearest("password", keys), "");
  EXPECT_EQ(nearest("", keys), "");
  EXPECT_EQ(nearest(std::string(100000, 'l'), keys), "");
}

}  // namespace
}  // namespace pointsman::conf
