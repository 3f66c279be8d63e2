#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "proxy/cli/command_line.h"

namespace pointsman::proxy::cli {

// What --help says of a command, for a person who may be in a hurry: what it does, what clients see of it,
// how it is typed.
struct Manual {
  Command command;
  std::string_view name;
  std::string_view group;    // heading in the list of commands
  std::string_view usage;    // what follows the name
  std::string_view summary;  // one line
  std::string_view text;     // paragraphs, wrapped by hand at 78 columns
  std::string_view example;
};

std::span<const Manual> manuals();
const Manual* find_manual(std::string_view name);
// A known command that was probably meant.
std::optional<std::string_view> similar_command(std::string_view name);

}  // namespace pointsman::proxy::cli
