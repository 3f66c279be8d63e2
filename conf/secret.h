#pragma once

#include <cstddef>
#include <expected>
#include <string>

// Secrets are kept in files of their own, so that a configuration can be shown to people.
namespace pointsman::conf {

inline constexpr std::size_t max_secret_file = 4096;  // bytes

// The first line of `path`, without its line end. Refused, with the reason and how to mend it: a file that is
// missing, not a regular file, of another owner than the reading user or root, readable by group or others,
// empty, over 4 KiB, or that holds a NUL byte. Never blocks, whatever `path` names. Any thread.
std::expected<std::string, std::string> read_secret(const std::string& path);

// The whole content, at most `limit` bytes, of a file that must be as private as that; the reason without the
// path.
std::expected<std::string, std::string> read_private_file(const std::string& path, std::size_t limit);

}  // namespace pointsman::conf
