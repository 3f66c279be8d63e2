#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

// Reading what the daemon said without trusting its shape: a command may be newer or older than the daemon,
// and members that are missing, null or of another type must never end it. Text comes out printable().
namespace pointsman::proxy::cli {

const nlohmann::json& child(const nlohmann::json& object, const char* key);  // null when absent
// Strings as they are, numbers and booleans as text, everything else "".
std::string text_of(const nlohmann::json& value);
std::string text_of(const nlohmann::json& object, const char* key);
std::optional<double> number_of(const nlohmann::json& object, const char* key);
// true/false, and the words that servers use for them: yes/no, on/off.
std::optional<bool> flag_of(const nlohmann::json& object, const char* key);
// The texts of an array; of a single text, that one.
std::vector<std::string> texts_of(const nlohmann::json& object, const char* key);
// The objects of an array.
std::vector<nlohmann::json> objects_of(const nlohmann::json& object, const char* key);
std::string joined(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace pointsman::proxy::cli
