#pragma once

#include <optional>
#include <string>

namespace pointsman::proxy::cli {

// Asks for a password on the terminal of this process, without showing what is typed. nullopt: there is no
// terminal, or the person gave up (Ctrl-C, Ctrl-D). At most 1024 bytes. Blocks.
std::optional<std::string> ask_password(const std::string& question);

}  // namespace pointsman::proxy::cli
