#include <algorithm>

#include "conf/address.h"
#include "conf/event_kinds.h"
#include "conf/schema_parts.h"
#include "conf/suggest.h"

namespace pointsman::conf {
namespace {

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::optional<std::string> path_fault(std::string_view text, std::size_t max) {
  if (text.empty()) return "it is empty";
  if (!text.starts_with('/')) return "it does not start with /";
  if (text.size() > max) return "it is longer than " + std::to_string(max) + " bytes";
  if (std::ranges::any_of(text, is_control)) return "it contains a control character";
  return std::nullopt;
}

}  // namespace

std::optional<std::string> check_path(std::string_view text) {
  return path_fault(text, 4095);
}
// sockaddr_un has room for 108 bytes, the final NUL included.
std::optional<std::string> check_socket(std::string_view text) {
  return path_fault(text, 107);
}
std::optional<std::string> check_optional_path(std::string_view text) {
  return text.empty() ? std::nullopt : check_path(text);
}
std::optional<std::string> check_optional_address(std::string_view text) {
  if (text.empty()) return std::nullopt;
  auto address = parse_address(text);
  return address ? std::nullopt : std::optional(std::move(address.error()));
}
std::optional<std::string> check_name(std::string_view text) {
  const auto good = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
  };
  if (text.empty()) return "it is empty";
  if (text.size() > 64) return "it is longer than 64 characters";
  if (!std::ranges::all_of(text, good)) return "it contains another character";
  return std::nullopt;
}
// MySQL allows 32 characters, MariaDB 128 of at most 3 bytes.
std::optional<std::string> check_user(std::string_view text) {
  if (text.empty()) return "it is empty";
  if (text.size() > 128) return "it is longer than 128 bytes";
  if (std::ranges::any_of(text, is_control)) return "it contains a control character";
  return std::nullopt;
}
std::optional<std::string> check_argument(std::string_view text) {
  if (text.size() > 4096) return "it is longer than 4096 bytes";
  if (text.contains('\0')) return "it contains a NUL byte";
  return std::nullopt;
}
std::optional<std::string> check_event_kind(std::string_view text) {
  if (text == every_kind || std::ranges::find(event_kinds, text) != event_kinds.end()) return std::nullopt;
  std::string fault;
  if (const std::string_view near = nearest(text, event_kinds); !near.empty())
    fault = "did you mean \"" + std::string(near) + "\"? ";
  fault += "The kinds are";
  for (const std::string_view kind : event_kinds)
    fault += (kind == event_kinds.front() ? " " : ", ") + std::string(kind);
  return fault;
}

}  // namespace pointsman::conf
