#pragma once

#include <string>
#include <string_view>

namespace pointsman::mysql {

// Text of the server or of the client library, fit for a log line and for JSON: valid UTF-8, no control
// characters (each becomes a space, each byte that is not UTF-8 a '?'), at most max_clean_text bytes.
std::string clean_text(std::string_view text);

inline constexpr std::size_t max_clean_text = 1024;

}  // namespace pointsman::mysql
