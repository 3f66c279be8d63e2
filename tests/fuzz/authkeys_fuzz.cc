#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "conf/authkeys.h"

// Any bytes as an authkeys file: keys that obey its rules, to which one more can be added, or printable
// problems.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pointsman::conf;
  const auto require = [](bool law) {
    if (!law) std::abort();
  };
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto keys = parse_authkeys(text, "authkeys");
  if (!keys) {
    require(!keys.error().empty() && keys.error().size() <= 100);
    for (const Problem& problem : keys.error()) {
      require(std::ranges::all_of(to_string(problem), [](char c) { return c >= ' ' && c <= '~'; }));
    }
    return 0;
  }
  require(!keys->keys.empty() && keys->keys.size() <= max_key_number && keys->find(keys->sending) != nullptr);
  for (const AuthKeys::Key& key : keys->keys) {
    require(key.number >= 1 && key.number <= max_key_number && key.secret.size() <= max_key_secret);
    require(key.secret.empty() == (key.method == AuthKeys::Method::crc));
    require(key.secret.find_first_of(" \t\r\n#") == std::string_view::npos);
  }
  const auto number = next_key_number(*keys);
  if (!number) return 0;
  for (const bool send : {false, true}) {
    const auto more = parse_authkeys(with_new_key(text, *number, "0123456789abcdef", send), "authkeys");
    require(more && more->keys.size() == keys->keys.size() + 1);
    require(more->sending == (send ? *number : keys->sending));
    require(std::ranges::equal(keys->keys, std::span(more->keys).first(keys->keys.size())));
  }
  return 0;
}
