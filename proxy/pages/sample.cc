#include "proxy/pages/sample.h"

#include <algorithm>
#include <utility>

namespace pointsman::proxy::pages {
namespace {

// "proxy" of "[proxy]" and "backend" of "[[backend]]"; "" when the line begins no section.
std::string section_name(std::string_view line) {
  if (!line.starts_with('[')) return {};
  const std::size_t begin = line.find_first_not_of('[');
  const std::size_t end = line.find(']');
  return end == std::string_view::npos || begin > end ? std::string()
                                                      : std::string(line.substr(begin, end - begin));
}

// "listen" of "listen = ...".
std::string key_name(std::string_view line) {
  const std::size_t end = line.find(" = ");
  return end == std::string_view::npos ? std::string() : std::string(line.substr(0, end));
}

}  // namespace

std::vector<SampleSection> read_sample(std::string_view text) {
  std::vector<SampleSection> sections;
  std::string comment;
  bool known = false;  // the section was read before
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('#')) {
      comment.append(line.substr(line.starts_with("# ") ? 2 : 1)).append("\n");
    } else if (line.empty()) {
      comment.clear();
    } else if (const std::string section = section_name(line); !section.empty()) {
      known = std::ranges::find(sections, section, &SampleSection::name) != sections.end();
      if (!known) sections.push_back({section, std::exchange(comment, {}), {}});
    } else if (const std::string key = key_name(line); !key.empty() && !known && !sections.empty()) {
      SampleSection& in = sections.back();
      in.keys.push_back({in.name + "." + key, std::exchange(comment, {})});
    }
  }
  return sections;
}

}  // namespace pointsman::proxy::pages
