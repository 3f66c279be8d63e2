#include "proxy/cli/text.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace pointsman::proxy::cli {
namespace {

constexpr Style plain{.width = 30, .color = false, .unicode = true};

// A server's error message may hold anything; on the operator's terminal it must only be text.
TEST(TextTest, TakesTheTeethOutOfForeignText) {
  EXPECT_EQ(printable("a\x1b[2Jb\a\x7f"
                      "c\nd\te"),
            "a?[2Jb??c d e");
  EXPECT_EQ(printable("C1 \xc2\x9b"
                      "31m"),
            "C1 ?31m")
      << "the one-character form of ESC [";
  EXPECT_EQ(printable("f\u00fcr \u2192 \u65e5"), "f\u00fcr \u2192 \u65e5");
  EXPECT_EQ(printable("\xc2"), "\xc2");
  EXPECT_EQ(columns("f\u00fcr \u2192"), 5U);
}

TEST(TextTest, ColoursOnlyWhenAsked) {
  EXPECT_EQ(toned("x", Tone::bad, plain), "x");
  EXPECT_EQ(toned("x", Tone::bad, {.color = true}), "\x1b[31mx\x1b[0m");
  EXPECT_EQ(toned("", Tone::bad, {.color = true}), "");
  EXPECT_EQ(toned("x", Tone::plain, {.color = true}), "x");
}

TEST(TextTest, WrapsAtSpaces) {
  EXPECT_EQ(Text("the quick brown fox jumps over the lazy dog").wrap(plain, 0, 2),
            "the quick brown fox jumps over\n  the lazy dog");
  EXPECT_EQ(Text("0123456789").wrap({.width = 5}, 0, 0), "0123456789") << "a long word stays whole";
  EXPECT_EQ(Text("a 0123456789 b").wrap({.width = 5}, 0, 1), "a\n 0123456789\n b");
  EXPECT_EQ(Text("").wrap(plain, 0, 2), "");
  Text mixed("one ");
  mixed.add("two", Tone::bad).add("three four", Tone::plain);
  EXPECT_EQ(mixed.wrap({.width = 9}, 0, 0), "one\ntwothree\nfour")
      << "pieces without a space between are one word";
}

// The headline's parts stay whole.
TEST(TextTest, ChainsBreakBetweenTheirParts) {
  Chain chain(plain);
  chain.add("primary dbserv1").add(Text()).add("automatic failover on");
  EXPECT_EQ(chain.text().wrap(plain, 0, 2), "primary dbserv1 \u00b7\n  automatic failover on");
  Chain ascii({.unicode = false});
  ascii.add("a").add("b");
  EXPECT_EQ(ascii.text().render(plain), "a | b");
}

TEST(TextTest, AlignsTables) {
  Table table({{"NAME"},
               {"MS", Column::Align::right},
               {"", Column::Align::left, 1},
               {"NOTE", Column::Align::left, 2}});
  table.add({"a", "1", "", "x"}, {Text("a note that is too long for a single line")});
  table.add({Text("b\u00fc", Tone::bad), "1000"});
  table.drop_empty_columns();
  EXPECT_EQ(table.render(plain),
            "NAME    MS  NOTE\n"
            "a        1  x\n"
            "    a note that is too long\n"
            "      for a single line\n"
            "b\u00fc    1000\n");
  table.fit(12);
  EXPECT_EQ(table.width(), 10U) << "the spare column went";
}

TEST(TextTest, SpeaksOfTimesLikePeople) {
  EXPECT_EQ(human_ms(0), "0 ms");
  EXPECT_EQ(human_ms(0.412), "0.4 ms");
  EXPECT_EQ(human_ms(37.4), "37 ms");
  EXPECT_EQ(human_ms(1000), "1 s");
  EXPECT_EQ(human_ms(12'490), "12.4 s");
  EXPECT_EQ(human_ms(59'999), "59.9 s");
  EXPECT_EQ(human_ms(192'000), "3 min 12 s");
  EXPECT_EQ(human_ms(7'200'000), "2 h");
  EXPECT_EQ(human_ms(356'400'000), "4 d 3 h");
  EXPECT_EQ(exact_ms(37.42), "37.4 ms");
  for (const double odd : {-1.0, 1e300, std::numeric_limits<double>::infinity(), std::nan("")})
    EXPECT_EQ(human_ms(odd), "?");
  EXPECT_EQ(human_bytes(340), "340 B");
  EXPECT_EQ(human_bytes(1.5 * 1024 * 1024), "1.5 MiB");
}

TEST(TextTest, DrawsBars) {
  EXPECT_EQ(bar(10, 10, 4, plain), "\u2588\u2588\u2588\u2588");
  EXPECT_EQ(bar(5, 16, 4, plain), "\u2588\u258e");
  EXPECT_EQ(bar(0.001, 10, 4, plain), "\u258f") << "something is never nothing";
  EXPECT_EQ(bar(0, 10, 4, plain), "");
  EXPECT_EQ(bar(5, 0, 4, plain), "");
  EXPECT_EQ(bar(20, 10, 4, {.unicode = false}), "####");
}

}  // namespace
}  // namespace pointsman::proxy::cli
