#pragma once

#include <string>
#include <vector>

#include <spawn.h>
#include <sys/types.h>

namespace pointsman::io {

// As exec() and its kin take arguments and an environment: pointers into `texts`, and a null.
std::vector<char*> pointers(std::vector<std::string>& texts);

// Starts a program, looked up in PATH, in a process group of its own: what it starts can be ended with it,
// and a Ctrl-C comes to us alone. Signals are as a shell would give them, none blocked. `environment`: null
// for our own. The answer is posix_spawn()'s: 0, or an errno.
int spawn_in_group(pid_t* pid, char* const* argv, const posix_spawn_file_actions_t& files,
                   char* const* environment = nullptr);

}  // namespace pointsman::io
