// What a frame says of transactions, there and back.
#include "health/core/frame_gtids.h"

#include <string>

#include <gtest/gtest.h>

namespace pointsman::core {
namespace {

// MySQL's own transactions: those under the server's uuid.
TEST(FrameGtids, MySqlGtidsSurviveTheWay) {
  ServerReport report;
  report.flavour = Flavour::mysql;
  report.server_uuid = "0123abcd-89ab-cdef-0123-456789abcdef";
  report.executed = *GtidSet::parse(
      Flavour::mysql, "0123abcd-89ab-cdef-0123-456789abcdef:1-77,ffffffff-89ab-cdef-0123-456789abcdef:1-3");
  EXPECT_EQ(gtids_of(own_gtids(report)).to_string(), "0123abcd-89ab-cdef-0123-456789abcdef:1-77");
}

// What a replica has of its source's, applied or not; what has a gap cannot be told by one number.
TEST(FrameGtids, ReceivedTransactionsOfAReplica) {
  ServerReport report;
  report.flavour = Flavour::mysql;
  report.server_uuid = "ffffffff-89ab-cdef-0123-456789abcdef";
  const std::string source = "0123abcd-89ab-cdef-0123-456789abcdef";
  report.executed = *GtidSet::parse(Flavour::mysql, source + ":1-70," + report.server_uuid + ":1-3");
  EXPECT_TRUE(received_gtids(report).empty()) << "it is no replica";
  report.replica.emplace();
  report.replica->source_uuid = source;
  report.replica->received = *GtidSet::parse(Flavour::mysql, source + ":61-77");
  EXPECT_EQ(gtids_of(received_gtids(report)).to_string(), source + ":1-77");
  report.replica->received = *GtidSet::parse(Flavour::mysql, source + ":72-77");
  EXPECT_TRUE(received_gtids(report).empty());

  report.flavour = Flavour::mariadb;
  report.executed = *GtidSet::parse(Flavour::mariadb, "0-1-70,0-2-30");
  report.replica->received = *GtidSet::parse(Flavour::mariadb, "0-1-77");
  EXPECT_EQ(gtids_of(received_gtids(report)).to_string(), "0-1-77");
}

}  // namespace
}  // namespace pointsman::core
