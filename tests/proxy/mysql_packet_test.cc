#include "proxy/mysql_packet.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <mysql.h>

#include "tests/proxy/peers.h"
#include "tests/proxy/proxy_under_test.h"

namespace pointsman::proxy {
namespace {

// The layout of the manual's "ERR_Packet", without SQLSTATE, sequence number 0.
TEST(InitialError, Layout) {
  EXPECT_EQ(mysql_packet::initial_error(1040, "Too many"),
            std::string("\x0b\x00\x00\x00\xff\x10\x04Too many", 15));
}

// A reason of any length fits what clients can show.
TEST(InitialError, LongTextIsCut) {
  const auto packet = mysql_packet::initial_error(1053, std::string(100'000, 'x'));
  const auto parsed = parse_error(packet);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->number, 1053u);
  EXPECT_EQ(parsed->text.size(), mysql_packet::max_error_text);
}

// A client library connects to something that answers with the packet: it shows the number and the text, the
// whole text and nothing before it.
TEST(InitialError, ClientLibraryShowsNumberAndText) {
  const std::string text = "pointsman: no primary after 10s: dbserv1 crashed";
  const TestServer server([&](Peer& peer) {
    peer.send_all(mysql_packet::initial_error(mysql_packet::server_shutdown, text));
    peer.finish();
    peer.read_to_end();
  });
  const std::unique_ptr<MYSQL, decltype(&mysql_close)> client(mysql_init(nullptr), &mysql_close);
  EXPECT_EQ(mysql_real_connect(client.get(), "127.0.0.1", "nobody", "", nullptr, server.address().port(),
                               nullptr, 0),
            nullptr);
  EXPECT_EQ(mysql_errno(client.get()), 1053u);
  EXPECT_EQ(std::string(mysql_error(client.get())), text);
}

}  // namespace
}  // namespace pointsman::proxy
