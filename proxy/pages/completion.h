#pragma once

#include <string>

#include "proxy/pages/program.h"

namespace pointsman::proxy::pages {

// Completion for bash: commands, each one's options and their values: files, folders, the words that an
// argument may be, and the servers' names, read from the configuration that the line names. For a program
// without arguments of its own before the command.
std::string bash_completion(const Program& program, const std::string& default_config);

}  // namespace pointsman::proxy::pages
