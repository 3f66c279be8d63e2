#pragma once

// Kinds of characters as files and protocols mean them, in any locale. Any thread.
namespace pointsman::conf {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace pointsman::conf
