#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "conf/schema.h"

// What tables of keys are made of: schema.cc has the daemon's, schema_agent.cc the agent's.
namespace pointsman::conf {

template <class Root, auto... Members>
constexpr auto access() {
  using T = std::remove_reference_t<decltype((std::declval<Root&>().*....*Members))>;
  return Access<Root, T>{[](Root& root) -> T& { return (root.*....*Members); },
                         [](const Root& root) -> const T& { return (root.*....*Members); }};
}
template <class Root, auto... Members>
constexpr WordField<Root> word_of(std::span<const std::string_view> words) {
  using Enum = std::remove_reference_t<decltype((std::declval<Root&>().*....*Members))>;
  return {words, [](Root& root, std::size_t index) { (root.*....*Members) = static_cast<Enum>(index); },
          [](const Root& root) { return static_cast<std::size_t>((root.*....*Members)); }};
}

// In the order of the enums in config.h.
inline constexpr std::array<std::string_view, 5> level_words{"trace", "debug", "info", "warn", "error"};
inline constexpr std::array<std::string_view, 2> format_words{"text", "json"};

inline constexpr std::array<unsigned, 11> baud_rates{1200,  2400,   4800,   9600,   19200, 38400,
                                                     57600, 115200, 230400, 460800, 921600};

// Checks of texts.
std::optional<std::string> check_path(std::string_view text);
std::optional<std::string> check_socket(std::string_view text);
std::optional<std::string> check_optional_path(std::string_view text);
std::optional<std::string> check_optional_address(std::string_view text);
std::optional<std::string> check_name(std::string_view text);
std::optional<std::string> check_user(std::string_view text);
std::optional<std::string> check_argument(std::string_view text);
std::optional<std::string> check_event_kind(std::string_view text);

inline constexpr std::string_view a_path = "an absolute path";
inline constexpr std::string_view a_name =
    "a name of 1 to 64 characters out of A-Z, a-z, 0-9, '.', '_' and '-'";
inline constexpr std::string_view a_program = "texts: a program's absolute path and its arguments";
inline constexpr std::string_view a_user = "a user name of 1 to 128 bytes";

}  // namespace pointsman::conf
