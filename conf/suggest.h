#pragma once

#include <span>
#include <string_view>

namespace pointsman::conf {

// The candidate that a misspelt word most likely means: at most a third of its letters wrong, missing, added
// or swapped with a neighbour. "" when none is near. Pure.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace pointsman::conf
