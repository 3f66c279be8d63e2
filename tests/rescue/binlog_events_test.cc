#include "health/rescue/binlog_events.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "health/rescue/binlog_picker.h"
#include "tests/rescue/event_bytes.h"

namespace pointsman::rescue {
namespace {

std::string gtid(std::uint64_t sequence, unsigned flags = MariaDbGtid::transactional,
                 std::uint32_t server = 1) {
  return event(162, little(sequence, 8) + little(0, 4) + little(flags, 1) + std::string(6, '\0'), server);
}

std::string map_of(std::uint64_t id, const std::string& database, const std::string& table) {
  return event(19, little(id, 6) + little(1, 2) + little(database.size(), 1) + database + '\0' +
                       little(table.size(), 1) + table + '\0' + little(2, 1));
}

std::string rows(unsigned type, std::uint64_t id, unsigned char columns = 2, char bitmap = '\x03') {
  std::string body = little(id, 6) + little(1, 2) + little(columns, 1) + bitmap;
  if (type >= 30) body.insert(8, little(2, 2));
  if (type == 24 || type == 31) body += bitmap;
  return event(type, body + "data");
}

std::string xid() {
  return event(16, little(7, 8));
}

struct Picked {
  std::string file;
  std::string error;
  std::string why_not;
  std::uint64_t transactions = 0;
  std::vector<BinlogPicker::Table> tables;
};

Picked pick(const std::string& log, const std::string& wanted, std::size_t piece = 1 << 20,
            core::Flavour flavour = core::Flavour::mariadb) {
  Picked out;
  BinlogPicker picker(flavour, *core::GtidSet::parse(flavour, wanted), [&](std::string_view bytes) {
    out.file += bytes;
    return std::expected<void, std::string>();
  });
  for (std::size_t at = 0; at < log.size() && out.error.empty(); at += piece) {
    if (auto fed = picker.feed(std::string_view(log).substr(at, piece)); !fed) out.error = fed.error();
  }
  if (out.error.empty()) {
    if (auto ended = picker.end_file(); !ended) out.error = ended.error();
  }
  out.why_not = picker.why_not();
  out.transactions = picker.transactions();
  out.tables = picker.tables();
  return out;
}

// Two transactions are there, the second is wanted: the file has the format and the second, byte for byte,
// however the bytes came.
TEST(BinlogPicker, TakesWhatIsWanted) {
  const auto first = gtid(5) + map_of(9, "db", "a") + rows(23, 9) + xid();
  const auto second = gtid(6) + map_of(9, "db", "b") + rows(24, 9) + rows(25, 9) + xid();
  const auto log =
      magic + format() + event(163, "list") + first + event(161, "checkpoint") + second + event(4, "next");
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
    const auto picked = pick(log, "0-1-6..6", piece);
    EXPECT_EQ(picked.error, "");
    EXPECT_EQ(picked.file, magic + format() + second);
    EXPECT_EQ(picked.transactions, 1u);
    EXPECT_EQ(picked.why_not, "");
    ASSERT_EQ(picked.tables.size(), 1u);
    EXPECT_EQ(picked.tables[0].name, "b");
    EXPECT_FALSE(picked.tables[0].only_inserts);
  }
}

TEST(BinlogPicker, SaysWhatFlashbackCannotDo) {
  const auto begin = magic + format();
  const auto why = [&](const std::string& group) { return pick(begin + group, "0-1-5..5").why_not; };
  const std::string query_head = little(0, 8) + little(2, 1) + little(0, 2) + little(0, 2) + "db" + '\0';
  const auto ok = gtid(5) + map_of(9, "db", "a") + rows(23, 9) + xid();
  EXPECT_EQ(why(ok), "");
  EXPECT_EQ(why(gtid(5, 0) + map_of(9, "db", "a") + rows(23, 9) + event(2, query_head + "COMMIT")),
            "0-1-5 changed a table that has no transactions");
  EXPECT_EQ(why(gtid(5, 1) + event(2, query_head + "DROP TABLE a")),
            "0-1-5 is a statement, not a change of rows: DROP TABLE a");
  EXPECT_EQ(why(gtid(5) + map_of(9, "db", "a") + rows(24, 9, 2, '\x01') + xid()),
            "0-1-5 has not all columns of the rows that it changed in db.a (binlog_row_image was not FULL)");
  EXPECT_EQ(why(gtid(5, 64) + event(2, query_head + "XA START")), "0-1-5 is part of an XA transaction");
  EXPECT_EQ(why(gtid(5) + rows(23, 9) + xid()), "0-1-5 changes rows of a table that it does not name");
  EXPECT_EQ(why(gtid(5) + event(5, "intvar") + xid()),
            "0-1-5 has something else than changes of rows (event type 5)");
  EXPECT_EQ(why(ok + gtid(6, 4, 2) + xid()), "0-2-6, which the primary has, was written after them");
}

// MySQL: what cannot be inverted is named, and cascades count only when they are not in the log themselves.
TEST(BinlogPicker, SaysWhatCannotBeUndoneOnMySql) {
  const std::string uuid(16, '\x11');
  const auto gtid_of = [&](std::uint64_t number) {
    return event(33, little(1, 1) + uuid + little(number, 8) + std::string(18, '\0'));
  };
  const std::string name = "11111111-1111-1111-1111-111111111111";
  const auto begin =
      event(2, little(0, 8) + little(2, 1) + little(0, 2) + little(0, 2) + "db" + '\0' + "BEGIN");
  const auto picked = [&](const std::string& events, const std::string& wanted) {
    return pick(magic + format() + gtid_of(5) + begin + events, wanted, 1 << 20, core::Flavour::mysql);
  };
  const auto why = [&](const std::string& events) { return picked(events, name + ":5").why_not; };
  const auto inserted = event(29, "\x05query") + map_of(9, "db", "a") + rows(30, 9) + xid();
  EXPECT_EQ(why(inserted), "");
  EXPECT_EQ(why(inserted + gtid_of(6) + begin + xid()),
            name + ":6, which the primary has, was written after them");
  EXPECT_EQ(why(event(38, "xa")), name + ":5 is part of an XA transaction");
  EXPECT_EQ(why(event(39, "json")),
            name + ":5 has only a part of the JSON documents that it changed (binlog_row_value_options)");
  EXPECT_EQ(why(event(40, "zstd")), name + ":5 is compressed (binlog_transaction_compression)");
  EXPECT_EQ(why(inserted + event(42, "tagged") + begin + xid()),
            "a transaction with a tag, which the primary has, was written after them");
  EXPECT_EQ(picked(event(42, "tagged") + inserted, name + ":5," + name + ":tag:1").why_not,
            "their GTIDs have tags");
  const auto deleted = [](unsigned flags) {
    return map_of(9, "db", "a") +
           event(32, little(9, 6) + little(flags, 2) + little(2, 2) + "\x02\x03" + "data") + xid();
  };
  EXPECT_FALSE(picked(deleted(1), name + ":5").tables.at(0).only_inserts);
  EXPECT_TRUE(picked(deleted(1 | 16), name + ":5").tables.at(0).only_inserts);
}

// Bytes that no server would send are errors or are not understood, and nothing is read beyond their end.
TEST(BinlogPicker, BadBytes) {
  EXPECT_NE(pick("not a binary log", "0-1-5").error, "");
  EXPECT_NE(pick("", "0-1-5").error, "");
  EXPECT_NE(pick(magic + format().substr(0, 30), "0-1-5").error, "");
  EXPECT_NE(pick(magic + format(7), "0-1-5").error, "");
  EXPECT_NE(
      pick(magic + little(0, 4) + little(15, 1) + little(1, 4) + little(5, 4) + little(0, 6), "0-1-5").error,
      "");
  EXPECT_NE(pick(magic + little(0, 4) + little(15, 1) + little(1, 4) + little(0xffffffff, 4) + little(0, 6),
                 "0-1-5")
                .error,
            "");
  EXPECT_NE(pick(magic + format() + event(162, "short"), "0-1-5").error, "");
  EXPECT_NE(pick(magic + gtid(5) + xid(), "0-1-5..5").error, "");
  const auto good = magic + format() + gtid(5) + map_of(9, "db", "a") + rows(24, 9) + xid();
  for (std::size_t length = 0; length < good.size(); ++length) (void)pick(good.substr(0, length), "0-1-5..5");
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const char value : {'\0', '\x7f', '\xff'}) {
      auto bad = good;
      bad[at] = value;
      (void)pick(bad, "0-1-5..5");
    }
  }
}

}  // namespace
}  // namespace pointsman::rescue
