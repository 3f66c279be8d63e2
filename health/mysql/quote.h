#pragma once

#include <string>
#include <string_view>

namespace pointsman::mysql {

// 'text' as a string literal for a session with the empty sql_mode that Session::open() sets (backslash
// escapes).
std::string quote(std::string_view text);

// `name` as an identifier.
std::string quote_name(std::string_view name);

}  // namespace pointsman::mysql
