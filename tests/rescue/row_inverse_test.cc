#include "health/rescue/row_inverse.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/rescue/event_bytes.h"

namespace pointsman::rescue {
namespace {

// One column: what a table map says of it, and values of it.
struct Kind {
  const char* name;
  unsigned type;
  std::string metadata;
  std::vector<std::string> values;
};

// Every type that MySQL writes to its binary log.
const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all{
      {"TINYINT", 1, "", {"a"}},
      {"SMALLINT", 2, "", {"ab"}},
      {"MEDIUMINT", 9, "", {"abc"}},
      {"INT", 3, "", {"abcd"}},
      {"BIGINT", 8, "", {"abcdefgh"}},
      {"FLOAT", 4, "\x04", {"abcd"}},
      {"DOUBLE", 5, "\x08", {"abcdefgh"}},
      {"DECIMAL(20,6)", 246, "\x14\x06", {"abcdefghij"}},  // 14 digits: 4 + 3; 6: 3
      {"DECIMAL(9,9)", 246, "\x09\x09", {"abcd"}},
      {"DECIMAL(65,30)", 246, "\x41\x1e", {std::string(30, 'd')}},  // 35: 12 + 4; 30: 12 + 2
      {"VARCHAR(100)", 15, little(100, 2), {little(3, 1) + "abc", little(0, 1)}},
      {"VARCHAR(300)", 15, little(300, 2), {little(3, 2) + "abc", little(300, 2) + std::string(300, 'v')}},
      {"CHAR(20)", 254, "\xfe\x14", {little(2, 1) + "ab"}},
      {"CHAR(255) of 4 bytes", 254, "\xce\xfc", {little(2, 2) + "ab"}},  // 1020: 0xfe ^ 0x30, 0xfc
      {"ENUM", 254, "\xf7\x01", {"a"}},
      {"ENUM of 300", 254, "\xf7\x02", {"ab"}},
      {"SET of 64", 254, "\xf8\x08", {"abcdefgh"}},
      {"TINYBLOB", 252, "\x01", {little(2, 1) + "ab"}},
      {"BLOB", 252, "\x02", {little(2, 2) + "ab"}},
      {"MEDIUMBLOB", 252, "\x03", {little(70000, 3) + std::string(70000, 'm')}},
      {"LONGBLOB", 252, "\x04", {little(2, 4) + "ab"}},
      {"JSON", 245, "\x04", {little(2, 4) + "ab"}},
      {"GEOMETRY", 255, "\x04", {little(2, 4) + "ab"}},
      {"VECTOR", 242, "\x04", {little(8, 4) + "abcdefgh"}},
      {"BIT(10)", 16, "\x02\x01", {"ab"}},
      {"BIT(64)", 16, std::string("\x00\x08", 2), {"abcdefgh"}},
      {"DATE", 10, "", {"abc"}},
      {"YEAR", 13, "", {"a"}},
      {"TIME", 19, std::string(1, '\0'), {"abc"}},
      {"TIME(3)", 19, "\x03", {"abcde"}},
      {"DATETIME", 18, std::string(1, '\0'), {"abcde"}},
      {"DATETIME(6)", 18, "\x06", {"abcdefgh"}},
      {"TIMESTAMP(1)", 17, "\x01", {"abcde"}},
      {"TIMESTAMP of 5.5", 7, "", {"abcd"}},
      {"DATETIME of 5.5", 12, "", {"abcdefgh"}},
      {"TIME of 5.5", 11, "", {"abc"}}};
  return all;
}

std::string map_of(std::uint64_t id, const std::vector<Kind>& columns, bool checksum = true) {
  std::string types;
  std::string metadata;
  for (const auto& column : columns) {
    types += static_cast<char>(column.type);
    metadata += column.metadata;
  }
  return event(19,
               little(id, 6) + little(1, 2) + "\x02" + "db" + '\0' + "\x01" + "t" + '\0' +
                   little(columns.size(), 1) + types + little(metadata.size(), 1) + metadata +
                   std::string((columns.size() + 7) / 8, '\xff') + "optional metadata",
               1, checksum);
}

std::string full(std::size_t columns) {
  std::string bits((columns + 7) / 8, '\xff');
  if (columns % 8 != 0) bits.back() = static_cast<char>((1U << columns % 8) - 1);
  return bits;
}

// An image with the first value of each column; `null`: its number has none.
std::string image(const std::vector<Kind>& columns, std::size_t value = 0, std::size_t null = 1000) {
  std::string bits((columns.size() + 7) / 8, '\0');
  std::string values;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i == null) {
      bits[i / 8] = static_cast<char>(1U << i % 8);
    } else {
      values += columns[i].values.at(value % columns[i].values.size());
    }
  }
  return bits + values;
}

std::string rows_event(unsigned type, std::uint64_t id, unsigned flags, std::size_t columns,
                       const std::string& rows, const std::string& extra = "", bool checksum = true) {
  std::string body = little(id, 6) + little(flags, 2);
  if (type >= 30) body += little(2 + extra.size(), 2) + extra;
  body += little(columns, 1) + full(columns);
  if (type == 24 || type == 31) body += full(columns);
  return event(type, body + rows, 1, checksum);
}

std::string gtid() {
  return event(33, std::string(42, '\0'));
}

struct Inverted {
  std::vector<std::string> changes;
  std::string format;
  std::string error;
};

Inverted invert(const std::string& events, const std::string& begin = magic + format()) {
  Inverted out;
  BinlogReader reader;
  RowInverse inverse;
  const auto fed = reader.feed(begin + events, [&](const Event& one) { return inverse.add(one); });
  if (!fed) out.error = fed.error();
  out.changes = inverse.changes();
  out.format = inverse.format();
  return out;
}

constexpr unsigned ends = RowsEvent::statement_end | RowsEvent::no_foreign_key_checks;

// An insert of several rows of a table with a column of every type becomes their deletion, the last row
// first; what the event had beside its rows is gone, its checksum too. And the other way round.
TEST(RowInverse, TurnsInsertsAndDeletes) {
  const auto n = kinds().size();
  const auto a = image(kinds());
  const auto b = image(kinds(), 1, 3);
  const auto c = image(kinds(), 0, n - 1);
  const auto log = gtid() + map_of(7, kinds()) + rows_event(30, 7, 4, n, a + b, "\x01partition") +
                   rows_event(32, 7, 1 | 16, n, c) + event(16, little(1, 8));
  const auto out = invert(log);
  EXPECT_EQ(out.error, "");
  ASSERT_EQ(out.changes.size(), 2u);
  const auto map = map_of(7, kinds(), false);
  EXPECT_EQ(out.changes[0], map + rows_event(32, 7, ends, n, b + a, "", false));
  EXPECT_EQ(out.changes[1], map + rows_event(30, 7, ends | 16, n, c, "", false));
}

// Of an update each row's images change places; events of the first version have no extra data.
TEST(RowInverse, TurnsUpdates) {
  const auto n = kinds().size();
  const auto a = image(kinds());
  const auto b = image(kinds(), 1, 0);
  const auto c = image(kinds(), 1);
  for (const unsigned type : {24U, 31U}) {
    const auto out = invert(gtid() + map_of(7, kinds()) + rows_event(type, 7, 1, n, a + b + b + c));
    EXPECT_EQ(out.error, "");
    ASSERT_EQ(out.changes.size(), 1u);
    EXPECT_EQ(out.changes[0],
              map_of(7, kinds(), false) + rows_event(type, 7, ends, n, c + b + b + a, "", false));
  }
  EXPECT_EQ(invert(gtid() + map_of(7, kinds()) + rows_event(23, 7, 1, n, a)).changes.at(0),
            map_of(7, kinds(), false) + rows_event(25, 7, ends, n, a, "", false));
}

// Each type alone, at the end of an event: one byte less and the value does not fit, one more and there is a
// row that is none.
TEST(RowInverse, KnowsWhereEachValueEnds) {
  for (const auto& kind : kinds()) {
    for (const auto& value : kind.values) {
      const std::vector<Kind> table{kind};
      const auto inverted = [&](const std::string& rows) {
        return invert(gtid() + map_of(7, table) + rows_event(30, 7, 1, 1, rows));
      };
      const auto row = std::string(1, '\0') + value;
      EXPECT_EQ(inverted(row).error, "") << kind.name;
      EXPECT_NE(inverted(row.substr(0, row.size() - 1)).error, "") << kind.name;
      EXPECT_NE(inverted(row + '\0').error, "") << kind.name;
      EXPECT_EQ(inverted(row + '\x01').error, "") << kind.name;  // a row of a NULL
    }
  }
}

// The description that the events are applied with says that they have no checksums, and not when the server
// was started; after a rotation it is the same one.
TEST(RowInverse, DescribesItsEvents) {
  auto started = format();
  started.replace(0, 4, "time");
  started.replace(19 + 52, 4, "born");
  const auto out = invert(started, magic + format());
  EXPECT_EQ(out.error, "");
  ASSERT_EQ(out.format.size(), format().size());
  EXPECT_EQ(out.format.substr(out.format.size() - 5), std::string(5, '\0'));
  EXPECT_EQ(out.format.substr(19 + 52, 4), std::string(4, '\0'));
  EXPECT_EQ(out.format.substr(0, out.format.size() - 5), format().substr(0, format().size() - 5));
  auto upgraded = format();
  upgraded.replace(19 + 2, 3, "9.8");
  EXPECT_EQ(invert(upgraded).error, "they were written by two versions of the server");
}

TEST(RowInverse, RefusesWhatItDoesNotUnderstand) {
  const std::vector<Kind> one{kinds()[3]};
  const auto row = image(one);
  EXPECT_EQ(invert(gtid() + rows_event(30, 7, 1, 1, row)).error,
            "a change of rows of a table that is not named");
  EXPECT_EQ(invert(map_of(7, one) + gtid() + rows_event(30, 7, 1, 1, row)).error,
            "a change of rows of a table that is not named");
  EXPECT_EQ(invert(map_of(7, {{"typed array", 20, "", {}}})).error,
            "a column of a type that is not known (20)");
  EXPECT_EQ(invert(map_of(7, {})).error, "a table map that cannot be read in the binary log");
  const auto misfit = "a change of rows that does not fit its table in the binary log";
  EXPECT_EQ(invert(map_of(7, one) + rows_event(30, 7, 1, 2, row)).error, misfit);
  EXPECT_EQ(invert(map_of(7, one) + rows_event(31, 7, 1, 1, row)).error, misfit);
  EXPECT_EQ(invert(map_of(7, one) + rows_event(30, 7, 1, 1, "")).error, misfit);
  EXPECT_EQ(invert(map_of(7, one) + rows_event(30, 7, 1, 0, "")).error, misfit);
  auto part = rows_event(30, 7, 1, 2, row);
  part[19 + 11] = '\x01';
  EXPECT_EQ(invert(map_of(7, one) + part).error, "a change of rows that has not all columns");
}

}  // namespace
}  // namespace pointsman::rescue
