#pragma once

#include <chrono>
#include <map>
#include <string>

// The text of configuration files for the programs under test.
namespace pointsman::testbed {

// Section -> key -> TOML literal. A literal "" takes out what would have been written otherwise.
using Keys = std::map<std::string, std::map<std::string, std::string>>;

std::string toml_string(const std::string& text);
std::string toml_time(std::chrono::milliseconds time);  // "20ms"
// What `over` has wins.
Keys merged(Keys keys, const Keys& over);
std::string to_toml(const Keys& keys);

}  // namespace pointsman::testbed
