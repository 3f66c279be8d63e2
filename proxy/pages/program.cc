#include "proxy/pages/program.h"

#include <algorithm>
#include <string_view>

#include <CLI/CLI.hpp>

#include "health/agent/command_line.h"
#include "proxy/cli/command_line.h"
#include "proxy/cli/manual.h"

namespace pointsman::proxy::pages {
namespace {

// Texts of options are broken for --help; here they are set anew.
std::string one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

// CLI11 writes what an argument may be behind its type: "TEXT:{on,off}".
std::vector<std::string> choices_of(std::string_view type) {
  std::vector<std::string> choices;
  const std::size_t open = type.find(":{");
  const std::size_t close = type.find('}');
  if (open == std::string_view::npos || close == std::string_view::npos) return choices;
  std::string_view list = type.substr(open + 2, close - open - 2);
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    choices.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return choices;
}

std::vector<Option> options_of(const CLI::App& app) {
  std::vector<Option> options;
  for (const CLI::Option* given : app.get_options()) {
    Option option;
    for (const std::string& name : given->get_snames()) option.names.push_back("-" + name);
    for (const std::string& name : given->get_lnames()) option.names.push_back("--" + name);
    if (given->get_positional()) option.names = {given->get_name(true)};
    const std::string type = given->get_type_name();
    if (given->get_type_size() != 0 && !given->get_positional())
      option.value = type.substr(0, type.find(':'));
    option.choices = choices_of(type);
    option.text = one_line(given->get_description());
    options.push_back(std::move(option));
  }
  return options;
}

}  // namespace

Program read_program(const CLI::App& app) {
  Program program{.name = app.get_name(),
                  .text = one_line(app.get_description()),
                  .options = options_of(app),
                  .commands = {}};
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    CommandText& text = program.commands.emplace_back();
    text.name = command->get_name();
    text.summary = command->get_description();
    text.options = options_of(*command);
  }
  return program;
}

Program pointsman_program() {
  Program program;
  cli::describe_command_line([&](const CLI::App& app) { program = read_program(app); });
  program.text = "pointsman keeps one MySQL address pointing at the current primary.";
  for (CommandText& command : program.commands) {
    const cli::Manual* manual = cli::find_manual(command.name);
    if (manual == nullptr) continue;
    command.group = manual->group;
    command.usage = one_line(std::string(manual->usage));
    command.text = manual->text;
    command.example = manual->example;
  }
  return program;
}

Program agent_program() {
  Program program;
  agent::describe_command_line([&](const CLI::App& app) { program = read_program(app); });
  for (CommandText& command : program.commands) {
    command.group = "Commands";
    command.usage = "[-c FILE]";
  }
  return program;
}

}  // namespace pointsman::proxy::pages
