#include "bench/table.h"

#include <gtest/gtest.h>

namespace pointsman::bench {
namespace {

// Names to the left, figures to the right, as wide as the widest.
TEST(Table, Aligns) {
  Table table({"", "min", "max"});
  table.add({"gap", "9.1", "1,204.0"});
  table.add({"a longer name", "12.0", "3.5"});
  EXPECT_EQ(table.text(),
            "                  min      max\n"
            "  gap             9.1  1,204.0\n"
            "  a longer name  12.0      3.5\n");
}

TEST(Table, GroupsDigits) {
  EXPECT_EQ(format_number(0), "0");
  EXPECT_EQ(format_number(999.94, 1), "999.9");
  EXPECT_EQ(format_number(1234567.25, 2), "1,234,567.25");
  EXPECT_EQ(format_number(-1234), "-1,234");
  EXPECT_EQ(format_number(-123), "-123");
}

// Columns, not bytes: colours take none, a character of three bytes takes one.
TEST(Table, CountsColumns) {
  EXPECT_EQ(width_of("\x1b[32m●\x1b[0m up"), 4U);
  EXPECT_EQ(pad("▁█", 4), "▁█  ");
  EXPECT_EQ(pad("long", 2), "long");
}

// A cut line keeps the escape sequence that ends its colour, or the rest of the screen would have it too.
TEST(Table, CutsBetweenCharacters) {
  EXPECT_EQ(cut("\x1b[1m▁▂▃\x1b[0m", 2), "\x1b[1m▁▂\x1b[0m");
  EXPECT_EQ(cut("abc", 5), "abc");
  EXPECT_EQ(cut("\x1b[", 5), "\x1b[");
}

// A sentence is broken at blanks; a picture that fits keeps its blanks; a word that does not fit stays whole.
TEST(Table, Wraps) {
  EXPECT_EQ(wrap("one two three", 7), (std::vector<std::string>{"one two", "three"}));
  EXPECT_EQ(wrap("| ▁  ▂ |", 8), (std::vector<std::string>{"| ▁  ▂ |"}));
  EXPECT_EQ(wrap("a longerword b", 4), (std::vector<std::string>{"a", "longerword", "b"}));
  EXPECT_EQ(wrap("", 4), (std::vector<std::string>{""}));
}

}  // namespace
}  // namespace pointsman::bench
