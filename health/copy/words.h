#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>

// What the two ends of a channel say to each other: a verb and named texts, as lines:
//
//   recipient
//   datadir=/var/lib/mysql
//
// A text may hold any byte; line ends and backslashes in it are escaped. Pure.
namespace pointsman::copy {

struct Words {
  std::string verb;
  std::map<std::string, std::string> values{};

  std::string value(const std::string& name) const;     // "" when it is not there
  std::uint64_t number(const std::string& name) const;  // 0 when it is none
  bool operator==(const Words&) const = default;
};

inline constexpr std::size_t max_words = 65'536;  // bytes

std::string encode(const Words& words);
// Error: what is wrong with it.
std::expected<Words, std::string> decode(std::string_view text);

}  // namespace pointsman::copy
