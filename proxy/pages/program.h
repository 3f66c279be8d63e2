#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

// A program's command line as plain data, for its manual page and its completion. It is read off the parser
// itself, so that nothing that can be typed is forgotten in either.
namespace pointsman::proxy::pages {

struct Option {
  std::vector<std::string> names;    // "-c", "--config"; for an argument by its place one name without dashes
  std::string value;                 // "FILE"; "" for a flag
  std::vector<std::string> choices;  // all that the value may be; empty: anything
  std::string text;

  bool by_place() const { return !names.front().starts_with('-'); }
};

struct CommandText {
  std::string name;
  std::string summary;
  std::vector<Option> options;
  // Only where the program has more to say.
  std::string group;
  std::string usage;
  std::string text;
  std::string example;
};

struct Program {
  std::string name;
  std::string text;
  std::vector<Option> options;  // of no command
  std::vector<CommandText> commands;
};

// Without what the program says beyond its parser.
Program read_program(const CLI::App& app);
// With it.
Program pointsman_program();
Program agent_program();

}  // namespace pointsman::proxy::pages
