#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace pointsman::mysql {

// Texts and whole numbers in a row; GCC 12 has no std::format.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::string out;
  const auto add = [&out]<class T>(const T& part) {
    if constexpr (std::integral<T>) {
      out += std::to_string(part);
    } else {
      out += std::string_view(part);
    }
  };
  (add(parts), ...);
  return out;
}

}  // namespace pointsman::mysql
