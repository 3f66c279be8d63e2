#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "health/core/agent_guard.h"

namespace pointsman::agent {

// What the guard remembers over a restart of the agent, as a file. It is worth nothing after a reboot: then
// the server starts anew as well, and is made read-only. So the file names the boot that it is of, and is
// replaced by rename(), but not synced. Any thread, one save() at a time; it may take as long as the file
// system does, which should be a tmpfs.
class RoleFile {
 public:
  // `directory` is made when it is missing.
  explicit RoleFile(std::string directory);

  // An empty memory when there is no file, or none of this boot; the reason when it is damaged or cannot be
  // read.
  std::expected<core::GuardMemory, std::string> load() const;
  std::expected<void, std::string> save(const core::GuardMemory& memory) const;

  const std::string& path() const { return path_; }

 private:
  std::string directory_;
  std::string path_;
  std::string boot_;
};

// The file's text and back. Error: what is wrong with it.
std::string role_text(const core::GuardMemory& memory, std::string_view boot);
std::expected<core::GuardMemory, std::string> parse_role(std::string_view text, std::string_view boot);

}  // namespace pointsman::agent
