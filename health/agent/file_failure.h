#pragma once

#include <cerrno>
#include <expected>
#include <filesystem>
#include <string>
#include <string_view>

#include "health/io/system_text.h"
#include "health/mysql/concat.h"

namespace pointsman::agent {

// "cannot open /var/lib/mysql: Permission denied", of errno. Any thread.
inline std::unexpected<std::string> file_failure(std::string_view what, const std::filesystem::path& path) {
  const int error = errno;
  return std::unexpected(mysql::concat(what, " ", path.native(), ": ", io::system_text(error)));
}

}  // namespace pointsman::agent
