#pragma once

#include <expected>
#include <string>

namespace pointsman::proxy::cli {

enum class KeygenMode {
  create,  // a new file with one key; one that exists is never touched
  add,     // one more key in a file that exists, which is accepted, and not signed with yet
  rotate,  // one more key, which is signed with
};

// Makes keys for heartbeats: 32 random bytes in hex, method sha256. `file` "-" with create: the text goes
// nowhere but into the answer. Files get mode 0600; one that exists is replaced as a whole or stays as it is,
// and keeps its owner. Returns what to print, or why nothing was done. Blocks on the disk.
std::expected<std::string, std::string> keygen(const std::string& file, KeygenMode mode);

}  // namespace pointsman::proxy::cli
