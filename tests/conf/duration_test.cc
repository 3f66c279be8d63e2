#include "conf/duration.h"

#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace pointsman::conf {
namespace {

std::string duration_error(std::string_view text) {
  const auto duration = parse_duration(text);
  return duration ? "no error: " + format_duration(*duration) : duration.error();
}

// What operators write.
TEST(Duration, Parse) {
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("1s"), 1s);
  EXPECT_EQ(parse_duration("2m"), 2min);
  EXPECT_EQ(parse_duration("1.5s"), 1500ms);
  EXPECT_EQ(parse_duration("0.25ms"), 250us);
  EXPECT_EQ(parse_duration("500us"), 500us);
  EXPECT_EQ(parse_duration("1h"), 1h);
  EXPECT_EQ(parse_duration("7ns"), 7ns);
  EXPECT_EQ(parse_duration("0s"), 0s);
  EXPECT_EQ(parse_duration("00012s"), 12s);
  EXPECT_EQ(parse_duration("1.50000000000000000000000s"), 1500ms);
  EXPECT_EQ(parse_duration("9223372036854775807ns"), Duration::max());
  EXPECT_EQ(parse_duration("2562047h"), 2562047h);
}

// What they write by mistake, or to harm.
TEST(Duration, Errors) {
  EXPECT_EQ(duration_error(""), "it is empty");
  EXPECT_EQ(duration_error("5"), "the unit is missing: ns, us, ms, s, m or h");
  EXPECT_EQ(duration_error("5 s"), "the unit must be ns, us, ms, s, m or h");
  EXPECT_EQ(duration_error("5sec"), "the unit must be ns, us, ms, s, m or h");
  EXPECT_EQ(duration_error("5S"), "the unit must be ns, us, ms, s, m or h");
  EXPECT_EQ(duration_error("1m30s"), "the unit must be ns, us, ms, s, m or h");
  EXPECT_EQ(duration_error("-1s"), "must not be negative");
  EXPECT_EQ(duration_error("+1s"), "does not start with a number");
  EXPECT_EQ(duration_error("ms"), "does not start with a number");
  EXPECT_EQ(duration_error(".5s"), "does not start with a number");
  EXPECT_EQ(duration_error(" 5s"), "does not start with a number");
  EXPECT_EQ(duration_error("5.s"), "no digit after the point");
  EXPECT_EQ(duration_error("0.5ns"), "not a whole number of nanoseconds");
  EXPECT_EQ(duration_error("1.0000000001s"), "not a whole number of nanoseconds");
  EXPECT_EQ(duration_error("0.0000000000000000001h"), "not a whole number of nanoseconds");
  EXPECT_EQ(duration_error("9223372036854775808ns"), "too large");
  EXPECT_EQ(duration_error("9223372036.854775808s"), "too large");
  EXPECT_EQ(duration_error("2562048h"), "too large");
  EXPECT_EQ(duration_error("99999999999999999999999999s"), "too large");
  EXPECT_EQ(duration_error(std::string(100000, '9')), "the unit is missing: ns, us, ms, s, m or h");
}

TEST(Duration, Format) {
  EXPECT_EQ(format_duration(0s), "0s");
  EXPECT_EQ(format_duration(250ms), "250ms");
  EXPECT_EQ(format_duration(1500ms), "1.5s");
  EXPECT_EQ(format_duration(1001ms), "1.001s");
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(120s), "2m");
  EXPECT_EQ(format_duration(90min), "90m");
  EXPECT_EQ(format_duration(2h), "2h");
  EXPECT_EQ(format_duration(1500us), "1.5ms");
  EXPECT_EQ(format_duration(1ns), "1ns");
  EXPECT_EQ(format_duration(-5ms), "-5ms");
}

// Random durations and sizes come back from their text unchanged.
TEST(Duration, RoundTrip) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t bits = random() >> (1 + random() % 63);
    const Duration duration(static_cast<std::int64_t>(bits));
    ASSERT_EQ(parse_duration(format_duration(duration)), duration) << format_duration(duration);
    ASSERT_EQ(parse_size(format_size(bits)), bits) << format_size(bits);
  }
  EXPECT_EQ(parse_duration(format_duration(Duration::max())), Duration::max());
}

TEST(Size, ParseAndFormat) {
  EXPECT_EQ(parse_size("64KiB"), 65536U);
  EXPECT_EQ(parse_size("0.5KiB"), 512U);
  EXPECT_EQ(parse_size("0.25KiB"), 256U);
  EXPECT_EQ(parse_size("1.5MiB"), 1572864U);
  EXPECT_EQ(parse_size("2GiB"), std::uint64_t{2} << 30U);
  EXPECT_EQ(parse_size("12B"), 12U);
  EXPECT_EQ(parse_size("64").error(), "the unit is missing: B, KiB, MiB or GiB");
  EXPECT_EQ(parse_size("64KB").error(), "the unit must be B, KiB, MiB or GiB");
  EXPECT_EQ(parse_size("0.3KiB").error(), "not a whole number of bytes");
  EXPECT_EQ(parse_size("9000000000GiB").error(), "too large");
  EXPECT_EQ(format_size(65536), "64KiB");
  EXPECT_EQ(format_size(1000), "1000B");
  EXPECT_EQ(format_size(0), "0B");
}

}  // namespace
}  // namespace pointsman::conf
