#include "health/copy/words.h"

#include <gtest/gtest.h>

namespace pointsman::copy {
namespace {

// What is said is heard, whatever bytes it has.
TEST(Words, SurviveTheWire) {
  const Words words{.verb = "failed", .values = {{"why", "two\nlines, a \\ and a =\x01\xff"}, {"empty", ""}}};
  EXPECT_EQ(decode(encode(words)), words);
  EXPECT_EQ(words.value("why"), "two\nlines, a \\ and a =\x01\xff");
  EXPECT_EQ(words.value("none"), "");
}

TEST(Words, NumbersAreWholeOrNothing) {
  const Words words{.verb = "x",
                    .values = {{"good", "18446744073709551615"}, {"bad", "12x"}, {"less", "-1"}}};
  EXPECT_EQ(words.number("good"), 18446744073709551615U);
  EXPECT_EQ(words.number("bad"), 0U);
  EXPECT_EQ(words.number("less"), 0U);
  EXPECT_EQ(words.number("none"), 0U);
}

TEST(Words, RefusesWhatIsNoWords) {
  for (const char* text : {"", "verb", "Verb\n", "\n", "v\nno equals\n", "v\n=x\n", "v\na=1\na=2\n",
                           "v\na=\\x\n", "v\na=\\\n", "v\na=cut"}) {
    EXPECT_FALSE(decode(text)) << text;
  }
  EXPECT_FALSE(decode("v\na=" + std::string(max_words, 'x') + "\n"));
}

}  // namespace
}  // namespace pointsman::copy
