#include "proxy/admin_protocol.h"

namespace pointsman::proxy {
namespace {

// A bound on nesting before parsing, because copying and destroying deep values recurses.
bool too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > admin_max_depth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

std::expected<nlohmann::json, std::string> parse_admin_request(std::string_view line) {
  if (too_deep(line)) return std::unexpected("the request is nested too deeply");
  nlohmann::json request = nlohmann::json::parse(line, nullptr, false);
  if (!request.is_object()) {
    return std::unexpected(R"(the request is not a JSON object on one line, such as {"command":"status"})");
  }
  const auto command = request.find("command");
  if (command == request.end() || !command->is_string()) {
    return std::unexpected(R"(the request has no "command" that is a string)");
  }
  return request;
}

std::string admin_line(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

}  // namespace pointsman::proxy
