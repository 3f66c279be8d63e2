#include "conf/address.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace pointsman::conf {
namespace {

std::string read(std::string_view text) {
  const auto address = parse_address(text);
  return address ? to_string(*address) : "error: " + address.error();
}

TEST(Address, Parse) {
  EXPECT_EQ(parse_address("127.0.0.1:3306"), (HostPort{"127.0.0.1", 3306}));
  EXPECT_EQ(parse_address("[::1]:3306"), (HostPort{"::1", 3306}));
  for (const char* good : {"0.0.0.0:0", "db-1.example.com:3306", "db_1:65535", "[::]:3306",
                           "[fe80::1%eth0]:694", "[::ffff:10.0.0.1]:1"}) {
    EXPECT_EQ(read(good), good);
  }
}

TEST(Address, Errors) {
  EXPECT_EQ(read(""), "error: it is empty");
  EXPECT_EQ(read("10.0.0.1"), "error: the port is missing");
  EXPECT_EQ(read("[::1]"), "error: the port is missing");
  EXPECT_EQ(read(":3306"), "error: the host is missing");
  EXPECT_EQ(read("h:"), "error: the port must be a number from 0 to 65535");
  EXPECT_EQ(read("h:65536"), "error: the port must be a number from 0 to 65535");
  EXPECT_EQ(read("h:-1"), "error: the port must be a number from 0 to 65535");
  EXPECT_EQ(read("h:+1"), "error: the port must be a number from 0 to 65535");
  EXPECT_EQ(read("h:1x"), "error: the port must be a number from 0 to 65535");
  EXPECT_EQ(read("h: 1"), "error: the port must be a number from 0 to 65535");
  EXPECT_EQ(read("h:99999999999999999999"), "error: the port must be a number from 0 to 65535");
  EXPECT_EQ(read("[::1]3306"), "error: the port must be a number from 0 to 65535");
  EXPECT_EQ(read("::1:3306"), "error: an IPv6 address must be in brackets, as in \"[::1]:3306\"");
  EXPECT_EQ(read("[::1:3306"), "error: the closing ] is missing");
  EXPECT_EQ(read("[]:1"), "error: between the brackets is no valid IPv6 address");
  EXPECT_EQ(read("[10.0.0.1]:1"), "error: between the brackets is no valid IPv6 address");
  EXPECT_EQ(read("[fe80::1%]:1"), "error: between the brackets is no valid IPv6 address");
  EXPECT_EQ(read("[fe80::1%a/b]:1"), "error: between the brackets is no valid IPv6 address");
  EXPECT_EQ(read("300.0.0.1:1"), "error: the host is not a valid IPv4 address");
  EXPECT_EQ(read("1.2.3:1"), "error: the host is not a valid IPv4 address");
  EXPECT_EQ(read("a b:1"), "error: the host is not a valid name or address");
  EXPECT_EQ(read("-a:1"), "error: the host is not a valid name or address");
  EXPECT_EQ(read(std::string("a\0b:1", 5)), "error: the host is not a valid name or address");
  EXPECT_EQ(read(std::string(254, 'a') + ":1"), "error: the host is longer than 253 characters");
}

TEST(Address, Networks) {
  for (const char* good :
       {"10.0.0.0/8", "0.0.0.0/0", "192.168.10.9/32", "::/0", "fd00::/8", "::1/128", "10.128.0.0/9"}) {
    EXPECT_EQ(network_fault(good), std::nullopt) << good;
  }
  EXPECT_EQ(network_fault("10.0.0.0"), "the prefix length is missing, as in \"10.0.0.0/8\"");
  EXPECT_EQ(network_fault(""), "the prefix length is missing, as in \"10.0.0.0/8\"");
  EXPECT_EQ(network_fault("10.0.0/8"), "not an IPv4 or IPv6 address before the /");
  EXPECT_EQ(network_fault("host/8"), "not an IPv4 or IPv6 address before the /");
  EXPECT_EQ(network_fault("10.0.0.0/33"), "the prefix length must be a number from 0 to 32");
  EXPECT_EQ(network_fault("10.0.0.0/"), "the prefix length must be a number from 0 to 32");
  EXPECT_EQ(network_fault("::/129"), "the prefix length must be a number from 0 to 128");
  EXPECT_EQ(network_fault("::/x"), "the prefix length must be a number from 0 to 128");
  EXPECT_EQ(network_fault("10.0.0.1/8"), "the address has bits behind the prefix");
  EXPECT_EQ(network_fault("10.128.0.0/8"), "the address has bits behind the prefix");
  EXPECT_EQ(network_fault("fd00::1/64"), "the address has bits behind the prefix");
}

// Which addresses a network has, at prefixes on and off the byte, against a check bit by bit.
TEST(Address, NetworksContain) {
  using Bytes = std::vector<unsigned char>;
  const auto has = [](const char* text, const Bytes& ip) {
    const auto network = parse_network(text);
    return network && network->contains(ip);
  };
  EXPECT_TRUE(has("10.0.0.0/8", {10, 255, 0, 1}));
  EXPECT_FALSE(has("10.0.0.0/8", {11, 0, 0, 1}));
  EXPECT_TRUE(has("0.0.0.0/0", {255, 1, 2, 3}));
  EXPECT_TRUE(has("192.168.10.9/32", {192, 168, 10, 9}));
  EXPECT_FALSE(has("192.168.10.9/32", {192, 168, 10, 8}));
  const Bytes mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  EXPECT_FALSE(has("10.0.0.0/8", mapped));
  EXPECT_TRUE(has("::/0", mapped));
  EXPECT_FALSE(has("::/0", {10, 0, 0, 1}));
  EXPECT_FALSE(has("10.0.0.0/8", {}));

  Network network{.ipv6 = false, .address = {}, .prefix = 0};
  for (network.prefix = 0; network.prefix <= 32; ++network.prefix) {
    for (unsigned bit = 0; bit < 32; ++bit) {  // an address that differs in this bit alone
      Bytes ip(4, 0);
      ip[bit / 8] = static_cast<unsigned char>(0x80U >> bit % 8);
      EXPECT_EQ(network.contains(ip), bit >= network.prefix) << network.prefix << " " << bit;
    }
  }
}

TEST(Address, Kinds) {
  EXPECT_TRUE(is_wildcard({"0.0.0.0", 1}));
  EXPECT_TRUE(is_wildcard({"::", 1}));
  EXPECT_TRUE(is_wildcard({"0:0::0", 1}));
  EXPECT_FALSE(is_wildcard({"10.0.0.1", 1}));
  EXPECT_TRUE(is_loopback({"127.0.0.53", 1}));
  EXPECT_TRUE(is_loopback({"::1", 1}));
  EXPECT_TRUE(is_loopback({"LocalHost", 1}));
  EXPECT_FALSE(is_loopback({"10.0.0.1", 1}));
  EXPECT_TRUE(same_endpoint({"DB1", 1}, {"db1", 1}));
  EXPECT_TRUE(same_endpoint({"::1", 1}, {"0:0::1", 1}));
  EXPECT_FALSE(same_endpoint({"db1", 1}, {"db1", 2}));
  EXPECT_FALSE(same_endpoint({"db1", 1}, {"db2", 1}));
}

}  // namespace
}  // namespace pointsman::conf
