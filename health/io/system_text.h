#pragma once

#include <string>
#include <system_error>

namespace pointsman::io {

// What the system says of an errno; unlike strerror(), for any thread.
inline std::string system_text(int error) {
  return std::error_code(error, std::generic_category()).message();
}

}  // namespace pointsman::io
