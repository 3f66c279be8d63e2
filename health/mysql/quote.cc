#include "health/mysql/quote.h"

namespace pointsman::mysql {

std::string quote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    switch (c) {
      case '\0':
        out += "\\0";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\'':
        out += "''";
        break;
      default:
        out += c;
    }
  }
  return out + '\'';
}

std::string quote_name(std::string_view name) {
  std::string out = "`";
  for (const char c : name) {
    if (c == '`') out += '`';
    out += c;
  }
  return out + '`';
}

}  // namespace pointsman::mysql
