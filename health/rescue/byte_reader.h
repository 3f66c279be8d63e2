#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pointsman::rescue {

// Reads little-endian numbers and texts from the front. After the first that does not fit everything yields
// nothing, so that callers look once, at the end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view rest) : rest_(rest) {}

  std::uint64_t number(std::size_t bytes) {
    const auto part = take(bytes);
    std::uint64_t value = 0;
    for (std::size_t i = part.size(); i > 0; --i) {
      value = value << 8U | static_cast<unsigned char>(part[i - 1]);
    }
    return value;
  }
  // Length-encoded integer (protocol, "Integer Types"): 251 and 255 begin none.
  std::uint64_t packed() {
    const auto first = number(1);
    if (first < 251) return first;
    if (first == 252) return number(2);
    if (first == 253) return number(3);
    if (first == 254) return number(8);
    ok_ = false;
    return 0;
  }
  std::string_view take(std::uint64_t bytes) {
    if (!ok_ || bytes > rest_.size()) {
      ok_ = false;
      return {};
    }
    const auto part = rest_.substr(0, static_cast<std::size_t>(bytes));
    rest_.remove_prefix(static_cast<std::size_t>(bytes));
    return part;
  }
  std::string_view rest() const { return ok_ ? rest_ : std::string_view(); }
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace pointsman::rescue
