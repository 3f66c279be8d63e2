#include "health/mysql/errors.h"

#include <gtest/gtest.h>

namespace pointsman::mysql {
namespace {

using core::FailureKind;

struct Case {
  unsigned code;
  const char* text;
  FailureKind kind;
};

// Each number, and each wording of the two libraries, proves what the table says.
TEST(Errors, KindByNumberAndText) {
  const Case cases[] = {
      {1040, "Too many connections", FailureKind::too_many},
      {1203, "User app already has more than 'max_user_connections' active connections",
       FailureKind::too_many},
      {1226, "User has exceeded the 'max_user_connections' resource", FailureKind::too_many},
      {1044, "Access denied for user to database", FailureKind::denied},
      {1045, "Access denied for user", FailureKind::denied},
      {1129, "Host is blocked because of many connection errors", FailureKind::denied},
      {1130, "Host is not allowed to connect", FailureKind::denied},
      {1227, "Access denied; you need the SUPER privilege", FailureKind::denied},
      {1698, "Access denied", FailureKind::denied},
      {1820, "You must reset your password", FailureKind::denied},
      {1862, "Your password has expired", FailureKind::denied},
      {1251, "Client does not support authentication protocol", FailureKind::denied},
      {3118, "Account is locked", FailureKind::denied},
      {1053, "Server shutdown in progress", FailureKind::shutting_down},
      {1079, "Shutdown complete", FailureKind::shutting_down},
      {1205, "Lock wait timeout exceeded", FailureKind::server_error},
      {3100, "anything of MySQL 8", FailureKind::server_error},
      {2002, "Can't connect to server on '127.0.0.1' (111)", FailureKind::refused},
      {2003, "Can't connect to MySQL server on '127.0.0.1:3306' (111)", FailureKind::refused},
      {2003, "Can't connect to MySQL server on '10.0.0.1:3306' (113)", FailureKind::unreachable},
      {2002, "Can't connect to server on '10.0.0.1' (101)", FailureKind::unreachable},
      {2002, "Can't connect to server on '10.0.0.1' (110)", FailureKind::timeout},
      {2002, "Can't connect to server on '10.0.0.1' (104)", FailureKind::lost},
      {2005, "Unknown MySQL server host 'db' (-2)", FailureKind::unreachable},
      {2006, "Server has gone away", FailureKind::lost},
      {2013, "Lost connection to server at 'reading initial communication packet', system error: 104",
       FailureKind::lost},
      {2013, "Lost connection to server at 'waiting for initial communication packet', system error: 110",
       FailureKind::timeout},
      {2055, "Lost connection to MySQL server at 'reading authorization packet', system error: 0",
       FailureKind::lost},
      {2007, "Protocol mismatch; server version = 9, client version = 10", FailureKind::not_mysql},
      {2012, "Error in server handshake", FailureKind::not_mysql},
      {2027, "Malformed packet", FailureKind::not_mysql},
      {2000, "Unknown MySQL error", FailureKind::not_mysql},
      {2059, "Authentication plugin cannot be loaded", FailureKind::not_mysql},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(classify(c.code, c.text, Phase::connecting, false), c.kind) << c.code << " " << c.text;
  }
  EXPECT_EQ(classify(2059, "Authentication plugin cannot be loaded", Phase::connecting, true),
            FailureKind::denied);
  EXPECT_EQ(classify(2000, "Unknown", Phase::connected, true), FailureKind::lost);
}

TEST(Errors, SystemErrno) {
  EXPECT_EQ(system_errno("Can't connect to server on '127.0.0.1' (111)"), 111);
  EXPECT_EQ(system_errno("Lost connection at 'x', system error: 104"), 104);
  EXPECT_EQ(system_errno("Lost connection (really)"), std::nullopt);
  EXPECT_EQ(system_errno("Server has gone away"), std::nullopt);
}

TEST(Errors, SessionsThatTheServerEnded) {
  for (const unsigned code : {1053U, 1927U, 4031U}) EXPECT_TRUE(ends_session(code)) << code;
  for (const unsigned code : {1205U, 1045U, 1193U}) EXPECT_FALSE(ends_session(code)) << code;
}

}  // namespace
}  // namespace pointsman::mysql
