#include "health/io/spawn.h"

#include <csignal>

extern char** environ;

namespace pointsman::io {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (auto& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

int spawn_in_group(pid_t* pid, char* const* argv, const posix_spawn_file_actions_t& files,
                   char* const* environment) {
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                           POSIX_SPAWN_SETSIGDEF));
  const int status =
      ::posix_spawnp(pid, *argv, &files, &attributes, argv, environment == nullptr ? environ : environment);
  posix_spawnattr_destroy(&attributes);
  return status;
}

}  // namespace pointsman::io
