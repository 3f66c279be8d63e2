#include "proxy/proxy_header.h"

#include <string>

#include <gtest/gtest.h>
#include <sys/un.h>

namespace pointsman::proxy::proxy_header {
namespace {

io::Address address(const char* host, std::uint16_t port) {
  return *io::Address::numeric({host, port});
}

io::Address unix_address() {
  io::Address unnamed;
  unnamed.storage.ss_family = AF_UNIX;
  unnamed.length = sizeof(sa_family_t);
  return unnamed;
}

std::string text_of(const Header& header) {
  return {header.bytes().begin(), header.bytes().end()};
}

// Signature, version and command, family and transport, length, and what follows.
std::string header(char command, char family, const std::string& rest) {
  std::string bytes(signature);
  bytes += {command, family, static_cast<char>(rest.size() >> 8), static_cast<char>(rest.size() & 0xff)};
  return bytes + rest;
}

const std::string ipv4_block{"\x0a\x00\x00\x07\xc0\xa8\x0a\x09\xc8\x22\x0c\xea", 12};

std::string client_of(const std::string& bytes) {
  const auto parsed = parse(bytes);
  if (!parsed) return to_string(parsed.error());
  if (parsed->missing > 0) return "missing " + std::to_string(parsed->missing);
  return parsed->client ? parsed->client->to_string() : "the peer";
}

// Byte for byte, as the specification has it.
TEST(ProxyHeader, BuildsIpv4) {
  EXPECT_EQ(text_of(build(address("10.0.0.7", 51234), address("192.168.10.9", 3306))),
            header(0x21, 0x11, ipv4_block));
}

TEST(ProxyHeader, BuildsIpv6) {
  std::string block(36, '\0');
  block[0] = '\xfd';
  block[15] = '\x07';
  block[16] = '\xfd';
  block[31] = '\x09';
  block.replace(32, 4, "\xc8\x22\x0c\xea");
  EXPECT_EQ(text_of(build(address("fd00::7", 51234), address("fd00::9", 3306))), header(0x21, 0x21, block));
}

// A client of whom a balancer told us came to an address of the other family: ours is left out.
TEST(ProxyHeader, BuildsMixedFamilies) {
  const std::string ipv4 = text_of(build(address("10.0.0.7", 51234), address("fd00::9", 3306)));
  EXPECT_EQ(ipv4, header(0x21, 0x11, std::string("\x0a\x00\x00\x07\0\0\0\0\xc8\x22\0\0", 12)));
  const std::string ipv6 = text_of(build(address("fd00::7", 51234), address("192.168.10.9", 3306)));
  EXPECT_EQ(ipv6.size(), 52u);
  EXPECT_EQ(client_of(ipv6), "[fd00::7]:51234");
}

TEST(ProxyHeader, ClientOnAUnixSocketIsLocal) {
  EXPECT_EQ(text_of(build(unix_address(), unix_address())), header(0x20, 0x00, ""));
}

TEST(ProxyHeader, SaysWhoIsThere) {
  EXPECT_EQ(client_of(header(0x21, 0x11, ipv4_block)), "10.0.0.7:51234");
  EXPECT_EQ(client_of(text_of(build(address("::1", 1), address("::1", 2)))), "[::1]:1");
  // Of itself: a check of its own, somebody without an address, somebody on its Unix socket.
  EXPECT_EQ(client_of(header(0x20, 0x11, ipv4_block)), "the peer");
  EXPECT_EQ(client_of(header(0x20, 0x00, "")), "the peer");
  EXPECT_EQ(client_of(header(0x20, 0x7f, "whatever")), "the peer");
  EXPECT_EQ(client_of(header(0x21, 0x00, "whatever")), "the peer");
  EXPECT_EQ(client_of(header(0x21, 0x31, std::string(216, 'u'))), "the peer");
  // Triples behind the addresses are skipped, up to the bound.
  EXPECT_EQ(client_of(header(0x21, 0x11, ipv4_block + std::string("\x04\x00\x03\x01\x02\x03", 6))),
            "10.0.0.7:51234");
  EXPECT_EQ(client_of(header(0x21, 0x11, ipv4_block + std::string(max_rest - 12, 'x'))), "10.0.0.7:51234");
}

// Whatever was read so far, what is missing never reaches beyond the header.
TEST(ProxyHeader, MissingBytes) {
  const std::string whole = header(0x21, 0x11, ipv4_block + "tail");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto parsed = parse(std::string_view(whole).substr(0, n));
    ASSERT_TRUE(parsed) << n;
    EXPECT_EQ(parsed->missing, n < prefix_size ? prefix_size - n : whole.size() - n) << n;
  }
  EXPECT_EQ(parse(whole)->missing, 0u);
}

TEST(ProxyHeader, Faults) {
  using enum Fault;
  const auto fault = [](const std::string& bytes) {
    const auto parsed = parse(bytes);
    return parsed ? "none" : std::string(to_string(parsed.error()));
  };
  // As soon as it shows, so that nobody waits for the rest.
  EXPECT_EQ(fault("G"), to_string(absent));
  EXPECT_EQ(fault("GET / HTTP/1.1\r\n\r\n"), to_string(absent));
  EXPECT_EQ(fault("\x16\x03\x01"), to_string(absent));
  EXPECT_EQ(fault("\r\nX"), to_string(absent));
  EXPECT_EQ(fault("PROX "), to_string(absent));
  EXPECT_EQ(fault("PROXY"), to_string(version_1));
  EXPECT_EQ(fault("PROXY TCP4 10.0.0.7 192.168.10.9 51234 3306\r\n"), to_string(version_1));
  EXPECT_EQ(fault(std::string(signature) + "\x11"), to_string(broken));
  EXPECT_EQ(fault(header(0x22, 0x11, ipv4_block)), to_string(broken));
  EXPECT_EQ(fault(header(0x31, 0x11, ipv4_block)), to_string(broken));
  EXPECT_EQ(fault(header(0x21, 0x12, ipv4_block)), to_string(broken)) << "UDP";
  EXPECT_EQ(fault(header(0x21, 0x41, ipv4_block)), to_string(broken));
  EXPECT_EQ(fault(header(0x21, 0x11, ipv4_block.substr(1))), to_string(broken));
  EXPECT_EQ(fault(header(0x21, 0x21, ipv4_block)), to_string(broken));
  EXPECT_EQ(fault(header(0x21, 0x31, std::string(215, 'u'))), to_string(broken));
  EXPECT_EQ(fault(header(0x21, 0x11, std::string(max_rest + 1, 'x')).substr(0, prefix_size)),
            to_string(too_long));
  EXPECT_EQ(fault(header(0x20, 0x00, std::string(65535, 'x'))), to_string(too_long));
}

// The first packet of a MySQL client is not taken for a header, whatever its length.
TEST(ProxyHeader, TellingBytes) {
  const auto tells = [](std::string_view bytes) {
    return tells_header(std::span(bytes).first<telling_bytes>());
  };
  EXPECT_TRUE(tells(signature));
  EXPECT_TRUE(tells("PROXY TCP4"));
  EXPECT_FALSE(tells(std::string_view("\r\n\r\x01", 4)));
  EXPECT_FALSE(tells(std::string_view("PRO\x01", 4)));
  EXPECT_FALSE(tells(std::string_view("\x55\x00\x00\x01", 4)));
}

}  // namespace
}  // namespace pointsman::proxy::proxy_header
