#include "health/core/gtid_set.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace pointsman::core {
namespace {

constexpr const char* uuid_a = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
constexpr const char* uuid_b = "4f22fa47-71ca-11e1-9e33-c80aa9429562";

GtidSet must_parse(Flavour flavour, std::string_view text) {
  auto set = GtidSet::parse(flavour, text);
  EXPECT_TRUE(set.has_value()) << text << ": " << set.error();
  return set.value_or(GtidSet{});
}
GtidSet mysql(std::string_view text) {
  return must_parse(Flavour::mysql, text);
}
GtidSet mariadb(std::string_view text) {
  return must_parse(Flavour::mariadb, text);
}

std::string error_of(Flavour flavour, std::string_view text) {
  const auto set = GtidSet::parse(flavour, text);
  return set ? "no error, read " + set->to_string() : set.error();
}

struct Case {
  std::string text;
  std::string expected;  // to_string(), or the error
};

// What MySQL servers print, and what people paste, reads into the server's own normal form.
TEST(GtidSetParse, MySql) {
  const std::string a = uuid_a;
  const std::string b = uuid_b;
  const Case cases[] = {
      {"", ""},
      {" \n\t\r", ""},
      {a + ":1", a + ":1"},
      {a + ":1-5:7", a + ":1-5:7"},
      {"3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5", a + ":1-5"},
      {a + ":1-3,\n" + b + ":4-6\n", a + ":1-3," + b + ":4-6"},
      {b + ":1," + a + ":1", a + ":1," + b + ":1"},
      {"  " + a + " : 1 - 3 : 5 , " + b + ":9", a + ":1-3:5," + b + ":9"},
      {a + ":7:1-3", a + ":1-3:7"},
      {a + ":1-3:4-6", a + ":1-6"},
      {a + ":1-9:2-3:5-12", a + ":1-12"},
      {a + ":3-3", a + ":3"},
      {a + ":1-2," + a + ":3", a + ":1-3"},
      {a + ":9223372036854775807", a + ":9223372036854775807"},
      // Tags (MySQL 8.3 and later): a tag holds for the intervals up to the next tag.
      {a + ":tag:1-3", a + ":tag:1-3"},
      {a + ":1-3:tag:1-2:5", a + ":1-3:tag:1-2:5"},
      {a + ":zeta:1:alpha:2", a + ":alpha:2:zeta:1"},
      {a + ":TAG_1:1-3," + a + ":tag_1:4", a + ":tag_1:1-4"},
      {a + ":_:1", a + ":_:1"},
      {a + ":t:1,\n" + a + ":1," + b + ":t:1", a + ":1:t:1," + b + ":t:1"},
      {a + ":" + std::string(32, 'x') + ":1", a + ":" + std::string(32, 'x') + ":1"},
  };
  for (const Case& c : cases) EXPECT_EQ(mysql(c.text).to_string(), c.expected) << c.text;
}

// MariaDB positions (D-S-N means everything up to N) and our own ranges.
TEST(GtidSetParse, MariaDb) {
  const Case cases[] = {
      {"", ""},
      {"\n", ""},
      {"0-1-100", "0-1-100"},
      {"0-1-100,1-2-7", "0-1-100,1-2-7"},
      {" 1-2-7 ,\n0-1-100\n", "0-1-100,1-2-7"},
      {"10-1-5,2-1-5", "2-1-5,10-1-5"},
      {"0-10-5,0-2-5", "0-2-5,0-10-5"},
      {"0-1-100,0-2-90", "0-1-100,0-2-90"},
      {"0-1-101..105", "0-1-101..105"},
      {"0-1-101..101", "0-1-101..101"},
      {"0-1-1..5", "0-1-5"},
      {"0-1-3,0-1-7..9", "0-1-3,0-1-7..9"},
      {"0-1-3,0-1-4..9", "0-1-9"},
      {"0-1-1", "0-1-1"},
      {"0-1-0", ""},
      {"00-01-05", "0-1-5"},
      {"4294967295-4294967295-18446744073709551615", "4294967295-4294967295-18446744073709551615"},
      {"0-1-18446744073709551615..18446744073709551615", "0-1-18446744073709551615..18446744073709551615"},
      {"0-1-18446744073709551615,0-1-5..18446744073709551615", "0-1-18446744073709551615"},
  };
  for (const Case& c : cases) EXPECT_EQ(mariadb(c.text).to_string(), c.expected) << c.text;
}

// A server that sends nonsense gets an error that says what stood where, fit for one log line.
TEST(GtidSetParse, RefusesBadMySqlText) {
  const std::string a = uuid_a;
  const Case cases[] = {
      {"x", "MySQL GTID set, byte 1: expected a server UUID, found \"x\""},
      {"0-1-100", "MySQL GTID set, byte 1: expected a server UUID, found \"0-1-100\""},
      {"3e11fa47-71ca-11e1-9e33-c80aa942956:1",
       "MySQL GTID set, byte 1: expected a server UUID, found \"3e11fa47-71ca-11e1-9\"..."},
      {"3e11fa47-71ca-11e1-9e33-c80aa942956g:1",
       "MySQL GTID set, byte 1: expected a server UUID, found \"3e11fa47-71ca-11e1-9\"..."},
      {a, "MySQL GTID set, byte 37: expected ':', found the end"},
      {a + "1:1", "MySQL GTID set, byte 37: expected ':', found \"1:1\""},
      {a + ":", "MySQL GTID set, byte 38: expected a sequence number, found the end"},
      {a + ":-5", "MySQL GTID set, byte 38: expected a sequence number, found \"-5\""},
      {a + ":5-", "MySQL GTID set, byte 40: expected a sequence number, found the end"},
      {a + ":5--7", "MySQL GTID set, byte 40: expected a sequence number, found \"-7\""},
      {a + ":0", "MySQL GTID set, byte 38: sequence numbers start at 1, found 0"},
      {a + ":0-4", "MySQL GTID set, byte 38: sequence numbers start at 1, found 0"},
      {a + ":1:9-7", "MySQL GTID set, byte 40: an interval ends before it starts: 9 to 7"},
      {a + ":9223372036854775808",
       "MySQL GTID set, byte 38: a sequence number above 9223372036854775807: \"9223372036854775808\""},
      {a + ":1-99999999999999999999999",
       "MySQL GTID set, byte 40: a sequence number above 9223372036854775807: \"99999999999999999999\"..."},
      {a + ":1,", "MySQL GTID set, byte 40: expected a server UUID, found the end"},
      {a + ":1,,", "MySQL GTID set, byte 40: expected a server UUID, found \",\""},
      {"," + a + ":1", "MySQL GTID set, byte 1: expected a server UUID, found \",3e11fa47-71ca-11e1-\"..."},
      {a + ":1;", "MySQL GTID set, byte 39: expected ',' or the end, found \";\""},
      {a + ":1..5", "MySQL GTID set, byte 39: expected ',' or the end, found \"..5\""},
      {a + ":1\x01\xff\"\\",
       "MySQL GTID set, byte 39: expected ',' or the end, found \"\\x01\\xff\\x22\\x5c\""},
      {a + ":1" + std::string(1, '\0'), "MySQL GTID set, byte 39: expected ',' or the end, found \"\\x00\""},
      {a + ":tag",
       "MySQL GTID set, byte 41: expected ':' and a sequence number after the tag, found the end"},
      {a + ":tag,", "MySQL GTID set, byte 41: expected ':' and a sequence number after the tag, found \",\""},
      {a + ":tag:", "MySQL GTID set, byte 42: expected a sequence number, found the end"},
      {a + ":tag:tag:1", "MySQL GTID set, byte 42: expected a sequence number, found \"tag:1\""},
      {a + ":ta-g:1",
       "MySQL GTID set, byte 40: expected ':' and a sequence number after the tag, found \"-g:1\""},
      {a + ":" + std::string(33, 'x') + ":1",
       "MySQL GTID set, byte 38: a tag of 33 characters, at most 32 are allowed"},
  };
  for (const Case& c : cases) EXPECT_EQ(error_of(Flavour::mysql, c.text), c.expected) << c.text;
}

TEST(GtidSetParse, RefusesBadMariaDbText) {
  const Case cases[] = {
      {"x", "MariaDB GTID set, byte 1: expected a domain, found \"x\""},
      {"0", "MariaDB GTID set, byte 2: expected '-', found the end"},
      {"0-1", "MariaDB GTID set, byte 4: expected '-', found the end"},
      {"0-1-", "MariaDB GTID set, byte 5: expected a sequence number, found the end"},
      {"0-x-1", "MariaDB GTID set, byte 3: expected a server id, found \"x-1\""},
      {"-1-1-1", "MariaDB GTID set, byte 1: expected a domain, found \"-1-1-1\""},
      {"0--1-1", "MariaDB GTID set, byte 3: expected a server id, found \"-1-1\""},
      {"4294967296-1-1", "MariaDB GTID set, byte 1: a domain above 4294967295: \"4294967296-1-1\""},
      {"0-4294967296-1", "MariaDB GTID set, byte 3: a server id above 4294967295: \"4294967296-1\""},
      {"0-1-18446744073709551616",
       "MariaDB GTID set, byte 5: a sequence number above 18446744073709551615: \"18446744073709551616\""},
      {"0-1-5..3", "MariaDB GTID set, byte 5: an interval ends before it starts: 5 to 3"},
      {"0-1-0..3", "MariaDB GTID set, byte 5: sequence numbers start at 1, found 0"},
      {"0-1-1.5", "MariaDB GTID set, byte 7: expected '.', found \"5\""},
      {"0-1-1..", "MariaDB GTID set, byte 8: expected a sequence number, found the end"},
      {"0-1-1,", "MariaDB GTID set, byte 7: expected a domain, found the end"},
      {"0-1-1 0-1-2", "MariaDB GTID set, byte 7: expected ',' or the end, found \"0-1-2\""},
      {"0-1-1-2", "MariaDB GTID set, byte 6: expected ',' or the end, found \"-2\""},
      {std::string(uuid_a) + ":1",
       "MariaDB GTID set, byte 2: expected '-', found \"e11fa47-71ca-11e1-9e\"..."},
  };
  for (const Case& c : cases) EXPECT_EQ(error_of(Flavour::mariadb, c.text), c.expected) << c.text;
}

// A hostile server sends megabytes: the limit is 1 MiB, and what just fits is read in reasonable time.
TEST(GtidSetParse, LimitsItsInput) {
  EXPECT_EQ(mysql(std::string(1U << 20U, ' ')).to_string(), "");
  EXPECT_EQ(error_of(Flavour::mysql, std::string((1U << 20U) + 1, ' ')),
            "MySQL GTID set of 1048577 bytes: at most 1048576 are read");
  EXPECT_EQ(error_of(Flavour::mariadb, std::string(3U << 20U, '1')),
            "MariaDB GTID set of 3145728 bytes: at most 1048576 are read");

  std::string text = uuid_a;  // many intervals, newest first: the worst order to insert in
  std::uint64_t intervals = 0;
  for (std::uint64_t n = 200000; n >= 2; n -= 2) {
    const std::string next = ":" + std::to_string(n);
    if (text.size() + next.size() > 1U << 20U) break;
    text += next;
    ++intervals;
  }
  EXPECT_EQ(mysql(text).count(), intervals);
}

// Random bytes and mutated real text: an error or a set that reads back as itself, never more.
TEST(GtidSetParse, SurvivesRandomText) {
  std::mt19937_64 random(20240611);
  const std::vector<std::string> seeds = {
      std::string(uuid_a) + ":1-5:7:tag:1-3,\n" + uuid_b + ":1-18",
      "0-1-100,0-2-103,1-1-7..9",
  };
  const std::string alphabet = "0123456789abcdefABC-:,._ \n\tzZ\x7f\xff";
  for (int i = 0; i < 50000; ++i) {
    std::string text = seeds[random() % seeds.size()];
    for (auto edits = random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % (text.size() + 1);
      const char c = alphabet[random() % alphabet.size()];
      switch (random() % 3) {
        case 0:
          text.insert(at, 1, c);
          break;
        case 1:
          text.erase(at, 1 + random() % 4);
          break;
        default:
          if (at < text.size()) text[at] = c;
      }
    }
    for (const Flavour flavour : {Flavour::mysql, Flavour::mariadb}) {
      const auto set = GtidSet::parse(flavour, text);
      if (!set) {
        EXPECT_FALSE(set.error().empty());
        continue;
      }
      const auto again = GtidSet::parse(flavour, set->to_string());
      ASSERT_TRUE(again.has_value()) << text << ": " << again.error();
      ASSERT_EQ(*again, *set) << text;
    }
  }
}

// The slow, obvious form of a set: each transaction by itself.
using Model = std::set<std::pair<std::string, std::uint64_t>>;

struct Both {
  GtidSet set;
  Model model;
};

// A random set of few origins and small numbers, so that overlaps, neighbours and gaps are frequent.
Both random_set(std::mt19937_64& random, Flavour flavour) {
  const std::vector<std::string> origins =
      flavour == Flavour::mysql ? std::vector<std::string>{uuid_a, uuid_b, std::string(uuid_a) + ":tag",
                                                           std::string(uuid_a) + ":zag"}
                                : std::vector<std::string>{"0-1", "0-2", "1-1", "10-1"};
  Both both;
  std::string text;
  for (auto pieces = random() % 7; pieces > 0; --pieces) {
    const std::string& origin = origins[random() % origins.size()];
    const std::uint64_t first = 1 + random() % 24;
    const std::uint64_t last = first + random() % 6;
    if (!text.empty()) text += ',';
    if (flavour == Flavour::mysql) {
      text += origin + ":" + std::to_string(first) + "-" + std::to_string(last);
    } else {
      text += origin + "-" + std::to_string(first) + ".." + std::to_string(last);
    }
    for (std::uint64_t n = first; n <= last; ++n) both.model.emplace(origin, n);
  }
  both.set = must_parse(flavour, text);
  return both;
}

// Writes a model back as text, one transaction at a time.
GtidSet from_model(Flavour flavour, const Model& model) {
  std::string text;
  for (const auto& [origin, n] : model) {
    if (!text.empty()) text += ',';
    const std::string number = std::to_string(n);
    text += origin;
    text += flavour == Flavour::mysql ? ":" : "-" + number + "..";
    text += number;
  }
  return must_parse(flavour, text);
}

class GtidSetAlgebra : public ::testing::TestWithParam<Flavour> {};

// Thousands of seeded random pairs: every operation agrees with std::set, member by member.
TEST_P(GtidSetAlgebra, AgreesWithPlainSets) {
  const Flavour flavour = GetParam();
  std::mt19937_64 random(flavour == Flavour::mysql ? 1 : 2);
  int contained = 0;
  for (int i = 0; i < 10000; ++i) {
    const Both a = random_set(random, flavour);
    Both b = random_set(random, flavour);
    if (i % 4 == 0) {  // random pairs are seldom subsets
      b.model.clear();
      for (const auto& member : a.model) {
        if (random() % 8 != 0) b.model.insert(member);
      }
      b.set = from_model(flavour, b.model);
    }
    SCOPED_TRACE(a.set.to_string() + " and " + b.set.to_string());

    Model both = a.model;
    both.insert(b.model.begin(), b.model.end());
    Model only_a;
    std::ranges::set_difference(a.model, b.model, std::inserter(only_a, only_a.end()));
    const bool contains = std::ranges::includes(a.model, b.model);
    contained += contains ? 1 : 0;

    ASSERT_EQ(a.set.contains(b.set), contains);
    ASSERT_EQ(a.set.united(b.set), from_model(flavour, both)) << a.set.united(b.set).to_string();
    ASSERT_EQ(a.set.minus(b.set), from_model(flavour, only_a)) << a.set.minus(b.set).to_string();
    ASSERT_EQ(a.set.count(), a.model.size());
    ASSERT_EQ(a.set.empty(), a.model.empty());
    ASSERT_EQ(a.set == b.set, a.model == b.model);

    const auto again = GtidSet::parse(flavour, a.set.to_string());
    ASSERT_TRUE(again.has_value()) << again.error();
    ASSERT_EQ(*again, a.set);

    // Laws that need no model.
    ASSERT_EQ(a.set.united(b.set), b.set.united(a.set));
    ASSERT_TRUE(a.set.united(b.set).contains(a.set));
    ASSERT_EQ(a.set.minus(b.set).united(b.set), a.set.united(b.set));
    ASSERT_TRUE(a.set.minus(a.set).empty());
    ASSERT_EQ(a.set.minus(b.set).empty(), b.set.contains(a.set));
  }
  EXPECT_GT(contained, 1000);
}

INSTANTIATE_TEST_SUITE_P(Flavours, GtidSetAlgebra, ::testing::Values(Flavour::mysql, Flavour::mariadb),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

// The ends of the number range, where last + 1 would wrap.
TEST(GtidSet, NumbersAtTheTopOfTheRange) {
  const GtidSet all = mariadb("0-1-18446744073709551615");
  const GtidSet top = mariadb("0-1-18446744073709551615..18446744073709551615");
  EXPECT_EQ(all.count(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(all.united(mariadb("0-2-5")).count(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_TRUE(all.contains(top));
  EXPECT_EQ(all.minus(top).to_string(), "0-1-18446744073709551614");
  EXPECT_EQ(all.minus(top).united(top), all);
  EXPECT_EQ(all.minus(mariadb("0-1-5")).to_string(), "0-1-6..18446744073709551615");
  EXPECT_TRUE(all.minus(all).empty());
}

// The empty set is neutral, and a default-constructed one takes the flavour of what it meets.
TEST(GtidSet, EmptySet) {
  const GtidSet nothing;
  const GtidSet some = mariadb("0-1-5");
  EXPECT_TRUE(nothing.empty());
  EXPECT_TRUE(some.contains(nothing));
  EXPECT_TRUE(nothing.contains(nothing));
  EXPECT_FALSE(nothing.contains(some));
  EXPECT_EQ(nothing.united(some), some);
  EXPECT_EQ(some.united(nothing), some);
  EXPECT_EQ(some.minus(nothing), some);
  EXPECT_TRUE(nothing.minus(some).empty());
  EXPECT_EQ(nothing.to_string(), "");
  EXPECT_EQ(nothing.position(), "");
  EXPECT_EQ(nothing.count(), 0U);
}

// Somebody configures one MariaDB and one MySQL server: their histories have nothing in common, and nothing
// breaks.
TEST(GtidSet, MixedFlavoursShareNothing) {
  const GtidSet a = mariadb("0-1-5");
  const GtidSet b = mysql(std::string(uuid_a) + ":1-5");
  EXPECT_FALSE(a.contains(b));
  EXPECT_FALSE(b.contains(a));
  EXPECT_EQ(a.minus(b), a);
  EXPECT_TRUE(a.united(b).contains(b));
  EXPECT_EQ(a.united(b).count(), 10U);
  EXPECT_FALSE(a.united(b).to_string().empty());
  EXPECT_FALSE(b.united(a).to_string().empty());
  EXPECT_FALSE(a.united(b).position().empty());
}

// What gtid_slave_pos takes: in each domain the newest transaction, whoever wrote it.
TEST(GtidSet, OfOneOrigin) {
  const std::string one = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
  const std::string other = "3e11fa47-71ca-11e1-9e33-c80aa9429563";
  const auto set = GtidSet::parse(Flavour::mysql, one + ":1-5:tag:1-3," + other + ":7");
  ASSERT_TRUE(set);
  EXPECT_EQ(set->of(one), *GtidSet::parse(Flavour::mysql, one + ":1-5:tag:1-3"));
  EXPECT_EQ(set->of(other), *GtidSet::parse(Flavour::mysql, other + ":7"));
  EXPECT_TRUE(set->of("3e11fa47").empty());
  EXPECT_EQ(GtidSet::parse(Flavour::mariadb, "0-1-5,0-11-6")->of("0-1").to_string(), "0-1-5");
}

TEST(GtidSet, Position) {
  EXPECT_EQ(mariadb("0-1-100").position(), "0-1-100");
  EXPECT_EQ(mariadb("0-1-100,0-2-103,1-1-7").position(), "0-2-103,1-1-7");
  EXPECT_EQ(mariadb("0-2-103,0-1-100").position(), "0-2-103");
  EXPECT_EQ(mariadb("0-1-104,0-2-103").position(), "0-1-104");
  EXPECT_EQ(mariadb("10-1-5,2-1-5").position(), "2-1-5,10-1-5");
  EXPECT_EQ(mariadb("0-1-101..105").position(), "0-1-105");
  EXPECT_EQ(mariadb("0-1-3,0-1-7..9,0-2-8").position(), "0-1-9");
  EXPECT_EQ(mysql(std::string(uuid_a) + ":1-5:7").position(), std::string(uuid_a) + ":1-5:7");
}

// The old primary of a failover comes back. Both servers wrote in domain 0, so the sequence numbers
// interleave: its binlog state says 0-1-105, the new primary's says 0-1-103 and 0-2-110. Only 104 and 105 of
// server 1 are its own.
TEST(GtidSet, MariaDbReturningPrimary) {
  const GtidSet returned = mariadb("0-1-105");
  const GtidSet primary = mariadb("0-1-103,0-2-110");
  EXPECT_FALSE(primary.contains(returned));
  EXPECT_EQ(returned.minus(primary).to_string(), "0-1-104..105");
  EXPECT_EQ(returned.minus(primary).count(), 2U);
  EXPECT_EQ(primary.minus(returned).to_string(), "0-2-110");
  EXPECT_TRUE(primary.contains(mariadb("0-1-103")));

  // Received by a replica of two primaries in turn.
  EXPECT_TRUE(mariadb("0-1-100,0-2-103").contains(mariadb("0-1-100,0-2-102")));
  EXPECT_EQ(mariadb("0-1-100,0-2-103").minus(mariadb("0-1-100,0-2-101")).to_string(), "0-2-102..103");
}

}  // namespace
}  // namespace pointsman::core
