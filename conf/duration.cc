#include "conf/duration.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <span>

#include "conf/characters.h"

namespace pointsman::conf {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor = 1;  // of the smallest unit
};

constexpr std::array time_units{
    Unit{"ns", 1},
    Unit{"us", 1'000},
    Unit{"ms", 1'000'000},
    Unit{"s", 1'000'000'000},
    Unit{"m", 60'000'000'000},
    Unit{"h", 3'600'000'000'000},
};
constexpr std::array size_units{
    Unit{"B", 1},
    Unit{"KiB", std::uint64_t{1} << 10U},
    Unit{"MiB", std::uint64_t{1} << 20U},
    Unit{"GiB", std::uint64_t{1} << 30U},
};
constexpr std::uint64_t max_value = std::numeric_limits<std::int64_t>::max();

std::string_view take_digits(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, is_digit);
  const std::string_view digits = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(digits.size());
  return digits;
}

std::string names(std::span<const Unit> units) {
  std::string list;
  for (const Unit& unit : units) {
    if (!list.empty()) list += &unit == &units.back() ? " or " : ", ";
    list += unit.name;
  }
  return list;
}

// whole * factor + 0.fraction * factor, all in integers.
std::expected<std::uint64_t, std::string> scale(std::string_view whole, std::string_view fraction,
                                                const Unit& unit, std::string_view smallest) {
  std::uint64_t value = 0;
  for (const char c : whole) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (max_value - digit) / 10) return std::unexpected("too large");
    value = value * 10 + digit;
  }
  if (value > max_value / unit.factor) return std::unexpected("too large");
  value *= unit.factor;

  while (fraction.ends_with('0')) fraction.remove_suffix(1);
  constexpr std::size_t max_fraction = 18;  // digits that fit the integers below; more are never exact
  const std::string inexact = "not a whole number of " + std::string(smallest);
  if (fraction.size() > max_fraction) return std::unexpected(inexact);
  std::uint64_t numerator = 0;
  std::uint64_t denominator = 1;
  for (const char c : fraction) {
    numerator = numerator * 10 + static_cast<std::uint64_t>(c - '0');
    denominator *= 10;
  }
  // Reduced first, so that the product below stays under the unit's factor.
  const std::uint64_t common = std::gcd(unit.factor, denominator);
  if (numerator % (denominator / common) != 0) return std::unexpected(inexact);
  const std::uint64_t part = numerator / (denominator / common) * (unit.factor / common);
  if (value > max_value - part) return std::unexpected("too large");
  value += part;
  return value;
}

std::expected<std::uint64_t, std::string> parse(std::string_view text, std::span<const Unit> units,
                                                std::string_view smallest) {
  if (text.empty()) return std::unexpected("it is empty");
  if (text.starts_with('-')) return std::unexpected("must not be negative");
  const std::string_view whole = take_digits(text);
  if (whole.empty()) return std::unexpected("does not start with a number");
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(text);
    if (fraction.empty()) return std::unexpected("no digit after the point");
  }
  if (text.empty()) return std::unexpected("the unit is missing: " + names(units));
  const auto unit = std::ranges::find(units, text, &Unit::name);
  if (unit == units.end()) return std::unexpected("the unit must be " + names(units));
  return scale(whole, fraction, *unit, smallest);
}

}  // namespace

std::expected<Duration, std::string> parse_duration(std::string_view text) {
  const auto value = parse(text, time_units, "nanoseconds");
  if (!value) return std::unexpected(value.error());
  return Duration(static_cast<std::int64_t>(*value));
}

std::string format_duration(Duration duration) {
  const std::int64_t ns = duration.count();
  if (ns < 0)
    return "-" + format_duration(Duration(ns == std::numeric_limits<std::int64_t>::min()
                                              ? std::numeric_limits<std::int64_t>::max()
                                              : -ns));
  if (ns == 0) return "0s";
  const auto value = static_cast<std::uint64_t>(ns);
  // Hours and minutes only when they come out even: "90s" reads better than "1.5m".
  for (const Unit& unit : {time_units[5], time_units[4]}) {
    if (value % unit.factor == 0) return std::to_string(value / unit.factor) + std::string(unit.name);
  }
  const Unit* unit = time_units.data();
  for (const Unit& candidate : std::span(time_units).first(4)) {
    if (value >= candidate.factor) unit = &candidate;
  }
  std::string text = std::to_string(value / unit->factor);
  if (std::uint64_t rest = value % unit->factor; rest != 0) {
    text += '.';
    for (std::uint64_t digit = unit->factor / 10; rest != 0; digit /= 10) {
      text += static_cast<char>('0' + rest / digit);
      rest %= digit;
    }
  }
  return text + std::string(unit->name);
}

std::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
  return parse(text, size_units, "bytes");
}

std::string format_size(std::uint64_t bytes) {
  const Unit* unit = size_units.data();
  for (const Unit& candidate : size_units) {
    if (bytes != 0 && bytes % candidate.factor == 0) unit = &candidate;
  }
  return std::to_string(bytes / unit->factor) + std::string(unit->name);
}

}  // namespace pointsman::conf
