#include <string>

#include <gtest/gtest.h>

#include "health/mysql/clean_text.h"
#include "health/mysql/quote.h"
#include "health/mysql/report_parts.h"
#include "health/mysql/result_table.h"

namespace pointsman::mysql {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

TEST(Quote, LeavesNoWayOut) {
  EXPECT_EQ(quote("plain"), "'plain'");
  EXPECT_EQ(quote("it's"), "'it''s'");
  EXPECT_EQ(quote("\\' OR 1=1 -- "), "'\\\\'' OR 1=1 -- '");
  EXPECT_EQ(quote("a\0b"s), "'a\\0b'");
  EXPECT_EQ(quote_name("odd`name"), "`odd``name`");
}

// What a server sends goes into JSON and onto terminals.
TEST(CleanText, IsUtf8WithoutControlCharacters) {
  EXPECT_EQ(clean_text("Zugriff verweigert für 'ä'"), "Zugriff verweigert für 'ä'");
  EXPECT_EQ(clean_text("a\nb\x1b[2J"), "a b [2J");
  EXPECT_EQ(clean_text("\xff\xc3"), "??");
  EXPECT_EQ(clean_text("\xc0\xaf\xed\xa0\x80"), "?????");  // overlong, surrogate
  EXPECT_EQ(clean_text("\xe2\x82\xac\xf0\x9f\x98\x80"), "€😀");
  EXPECT_EQ(clean_text(std::string(5000, 'x')).size(), max_clean_text);
}

TEST(SecondsText, IsDecimalSeconds) {
  EXPECT_EQ(seconds_text(250ms), "0.250");
  EXPECT_EQ(seconds_text(1s), "1.000");
  EXPECT_EQ(seconds_text(61005ms), "61.005");
  EXPECT_EQ(seconds_text(-5ms), "0.000");
}

TEST(ResultTable, FindsByNameAndToleratesWhatIsMissing) {
  ResultTable table;
  table.add_column("Master_Host");
  table.add_column("Lag");
  table.add_row({"db1", std::nullopt});
  EXPECT_EQ(table.text(0, {"Source_Host", "MASTER_HOST"}), "db1");
  EXPECT_EQ(table.get(0, "Lag"), std::nullopt);
  EXPECT_EQ(table.get(0, "Nothing"), std::nullopt);
  EXPECT_EQ(table.get(7, "Lag"), std::nullopt);
  EXPECT_EQ(table.number(0, {"Master_Host"}), 0U);
}

// The status of a replica under the old and the new column names; a lag of NULL is no lag of 0.
TEST(ReplicaStatus, ReadsBothVocabularies) {
  for (const bool old_names : {true, false}) {
    ResultTable table;
    const auto name = [&](const char* a, const char* b) { table.add_column(old_names ? a : b); };
    name("Master_Host", "Source_Host");
    name("Master_Port", "Source_Port");
    name("Slave_IO_Running", "Replica_IO_Running");
    name("Slave_SQL_Running", "Replica_SQL_Running");
    name("Seconds_Behind_Master", "Seconds_Behind_Source");
    name("Master_Log_File", "Source_Log_File");
    name("Read_Master_Log_Pos", "Read_Source_Log_Pos");
    name("Last_IO_Errno", "Last_IO_Errno");
    table.add_row({"10.0.0.1", "3307", "Connecting", "Yes", std::nullopt, "binlog.000002", "77", "2003"});
    const auto replica = parse_common_replica(table, 0);
    EXPECT_EQ(replica.source, (conf::HostPort{"10.0.0.1", 3307}));
    EXPECT_EQ(replica.io, core::ReplicaStatus::Io::connecting);
    EXPECT_TRUE(replica.sql);
    EXPECT_EQ(replica.lag, std::nullopt);
    EXPECT_EQ(replica.io_errno, 2003U);
    EXPECT_EQ(replica.events_received, (2ULL << 40) + 77);
  }
}

}  // namespace
}  // namespace pointsman::mysql
