#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "health/core/gtid_set.h"

// A letter for the flavour, then two sets with '|' between them: what they parse to obeys the laws of sets,
// and reads back.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pointsman::core;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  const Flavour flavour = text.front() == 'm' ? Flavour::mariadb : Flavour::mysql;
  const std::size_t bar = text.find('|');
  const auto a = GtidSet::parse(flavour, text.substr(1, bar == std::string_view::npos ? bar : bar - 1));
  const auto b =
      GtidSet::parse(flavour, bar == std::string_view::npos ? std::string_view{} : text.substr(bar + 1));
  if (!a || !b) return 0;

  const auto require = [](bool law) {
    if (!law) std::abort();
  };
  require(GtidSet::parse(flavour, a->to_string()) == *a);
  require(GtidSet::parse(flavour, a->position()).has_value());
  const GtidSet both = a->united(*b);
  const GtidSet rest = a->minus(*b);
  require(both == b->united(*a));
  require(both.contains(*a) && both.contains(*b));
  require(rest.united(*b) == both);
  require(rest.empty() == b->contains(*a));
  require(rest.minus(*b) == rest);
  require(a->minus(rest).minus(*b).empty());
  require(a->count() >= rest.count() && both.count() >= a->count());
  return 0;
}
