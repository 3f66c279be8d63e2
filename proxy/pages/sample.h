#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pointsman::proxy::pages {

// What the comments of a sample configuration say. They are the operator's documentation of each key, and are
// taken from there so that there is one text only.
struct SampleKey {
  std::string name;     // "proxy.listen"
  std::string comment;  // without "# "; "" when it stands directly below a key that has one for both
};
struct SampleSection {
  std::string name;  // "proxy"
  std::string comment;
  std::vector<SampleKey> keys;
};
// A section that comes again, as the second [[backend]], is read once.
std::vector<SampleSection> read_sample(std::string_view text);

}  // namespace pointsman::proxy::pages
