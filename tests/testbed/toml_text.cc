#include "tests/testbed/toml_text.h"

namespace pointsman::testbed {

std::string toml_string(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string toml_time(std::chrono::milliseconds time) {
  return toml_string(std::to_string(time.count()) + "ms");
}

Keys merged(Keys keys, const Keys& over) {
  for (const auto& [section, values] : over) {
    for (const auto& [key, value] : values) keys[section][key] = value;
  }
  return keys;
}

std::string to_toml(const Keys& keys) {
  std::string text;
  for (const auto& [section, values] : keys) {
    text += "[" + section + "]\n";
    for (const auto& [key, value] : values) {
      if (!value.empty()) text.append(key).append(" = ").append(value).append("\n");
    }
    text += "\n";
  }
  return text;
}

}  // namespace pointsman::testbed
