#include "proxy/cli/fields.h"

#include <string_view>

#include "proxy/cli/text.h"

namespace pointsman::proxy::cli {

using nlohmann::json;

const json& child(const json& object, const char* key) {
  static const json nothing;
  if (!object.is_object()) return nothing;
  const auto found = object.find(key);
  return found == object.end() ? nothing : *found;
}

std::string text_of(const json& value) {
  if (const auto* text = value.get_ptr<const json::string_t*>()) return printable(*text);
  return value.is_number() || value.is_boolean() ? value.dump() : "";
}

std::string text_of(const json& object, const char* key) {
  return text_of(child(object, key));
}

std::optional<double> number_of(const json& object, const char* key) {
  const json& value = child(object, key);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

std::optional<bool> flag_of(const json& object, const char* key) {
  const json& value = child(object, key);
  if (value.is_boolean()) return value.get<bool>();
  const std::string text = text_of(value);
  if (text == "yes" || text == "on" || text == "true") return true;
  if (text == "no" || text == "off" || text == "false") return false;
  return std::nullopt;
}

std::vector<std::string> texts_of(const json& object, const char* key) {
  const json& value = child(object, key);
  std::vector<std::string> texts;
  if (value.is_array()) {
    for (const json& item : value) {
      if (std::string text = text_of(item); !text.empty()) texts.push_back(std::move(text));
    }
  } else if (std::string text = text_of(value); !text.empty()) {
    texts.push_back(std::move(text));
  }
  return texts;
}

std::vector<json> objects_of(const json& object, const char* key) {
  std::vector<json> objects;
  const json& value = child(object, key);
  if (!value.is_array()) return objects;
  for (const json& item : value) {
    if (item.is_object()) objects.push_back(item);
  }
  return objects;
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

}  // namespace pointsman::proxy::cli
