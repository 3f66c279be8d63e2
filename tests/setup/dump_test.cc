#include <gtest/gtest.h>

#include "health/setup/copy_dump.h"
#include "health/setup/dump_scanner.h"
#include "health/setup/option_file.h"

namespace pointsman::setup {
namespace {

constexpr const char* dump =
    "-- MariaDB dump 10.19\n"
    "-- SET GLOBAL gtid_slave_pos='0-1-100,1-2-7';\n"
    "\n"
    "-- Current Database: `app`\n"
    "-- Table structure for table `t`\n"
    "-- Dumping data for table `t`\n"
    "INSERT INTO `t` VALUES (1),(2);\n"
    "-- Dump completed on 2026-11-23  8:00:00\n";

// However the text is cut into pieces, the same is read from it.
TEST(DumpScanner, ReadsTheCommentsOfADump) {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{10'000}}) {
    DumpScanner scanner;
    const std::string text = dump;
    for (std::size_t at = 0; at < text.size(); at += piece)
      scanner.feed(std::string_view(text).substr(at, piece));
    EXPECT_EQ(scanner.position(), "0-1-100,1-2-7");
    EXPECT_EQ(scanner.table(), "app.t");
    EXPECT_TRUE(scanner.complete());
    EXPECT_EQ(scanner.bytes(), text.size());
  }
}

// A dump that breaks off is not complete, and neither is one whose data only say so.
TEST(DumpScanner, KnowsAWholeDumpByItsLastLine) {
  DumpScanner cut;
  cut.feed(std::string_view(dump).substr(0, std::string_view(dump).find("-- Dump completed")));
  EXPECT_FALSE(cut.complete());
  DumpScanner posing;
  posing.feed(
      "-- SET GLOBAL gtid_slave_pos='';\n-- Current Database: `a`\nCREATE PROCEDURE p() BEGIN\n"
      "-- Dump completed on\n-- SET GLOBAL gtid_slave_pos='9-9-9';\nEND ;;\n");
  EXPECT_FALSE(posing.complete());
  EXPECT_EQ(posing.position(), "");
}

// Newer releases say the position near the end, after whatever stands in code.
TEST(DumpScanner, FindsThePositionAtTheEnd) {
  DumpScanner scanner;
  scanner.feed(
      "-- Current Database: `a`\nCREATE PROCEDURE p() BEGIN\n-- SET GLOBAL gtid_slave_pos='9-9-9';\nEND ;;\n"
      "-- SET GLOBAL gtid_slave_pos='0-1-5';\n-- Dump completed on\n");
  EXPECT_EQ(scanner.position(), "0-1-5");
  EXPECT_TRUE(scanner.complete());
}

// Lines of any length and bytes that are no text do no harm.
TEST(DumpScanner, TakesAnyBytes) {
  DumpScanner scanner;
  scanner.feed(std::string(1 << 20, 'x'));
  constexpr char noise[] = "\0\n\xff\n-- SET GLOBAL gtid_slave_pos='\n'";  // a NUL is a byte like any other
  scanner.feed(std::string_view(noise, sizeof(noise) - 1));
  EXPECT_FALSE(scanner.position());
  EXPECT_FALSE(scanner.complete());
}

// Former primaries stay known, the position is the newest of its domain, and what the donor wrote after the
// snapshot is not in it.
TEST(BinlogStateOfCopy, IsTheDonorsAtTheSnapshot) {
  EXPECT_EQ(binlog_state_of_copy("0-2-50,0-1-95", "0-1-100"), "0-2-50,0-1-100");
  EXPECT_EQ(binlog_state_of_copy("", ""), "");
  EXPECT_EQ(binlog_state_of_copy("", "0-1-3"), "0-1-3");
  EXPECT_EQ(binlog_state_of_copy("0-1-95,0-2-96", "0-2-96"), "0-1-95,0-2-96");
  EXPECT_FALSE(binlog_state_of_copy("nonsense", "0-1-3"));
}

TEST(OptionFile, QuotesSecrets) {
  EXPECT_EQ(option_value("plain"), "\"plain\"");
  EXPECT_EQ(option_value("a\\b#c\"d' "), "\"a\\\\b#c\\\"d' \"");
}

}  // namespace
}  // namespace pointsman::setup
