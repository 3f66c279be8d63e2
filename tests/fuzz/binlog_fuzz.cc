#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "health/rescue/row_inverse.h"

namespace {

using namespace pointsman::rescue;

void require(bool law) {
  if (!law) std::abort();
}

}  // namespace

// A binary log of MySQL: what can be inverted is as long as it was, and inverted once more it is what it was
// in the first place, but for what is not kept (checksums, extra data, some flags).
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view log(reinterpret_cast<const char*>(data), size);
  const auto inverted = [](const std::string& bytes, RowInverse& inverse) {
    BinlogReader reader;
    return reader.feed(bytes, [&](const Event& event) { return inverse.add(event); }).has_value();
  };
  RowInverse once;
  if (!inverted(std::string(log), once) || once.format().empty()) return 0;
  RowInverse twice;
  RowInverse thrice;
  const auto joined = [](const RowInverse& inverse) {
    std::string bytes = std::string(binlog_magic) + inverse.format();
    for (const auto& change : inverse.changes()) bytes += change;
    return bytes;
  };
  require(inverted(joined(once), twice) && inverted(joined(twice), thrice));
  require(once.changes().size() == twice.changes().size());
  require(thrice.changes() == once.changes() && thrice.format() == once.format());
  return 0;
}
