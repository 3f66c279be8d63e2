#include "proxy/pages/completion.h"

#include <algorithm>
#include <string_view>

namespace pointsman::proxy::pages {
namespace {

// What the shell does, once it knows command, option and place. @P is a prefix of our own, @C the
// configuration.
constexpr std::string_view machinery = R"sh(
@P_servers() {
  sed -n 's/^[[:space:]]*name[[:space:]]*=[[:space:]]*"\([^"]*\)".*/\1/p' "$1" 2>/dev/null
}

@P() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= config=@C place=0 i kind
  local -a kinds
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; ++i)); do
    if [[ -z $command ]]; then
      [[ ${COMP_WORDS[i]} == -* ]] || command=${COMP_WORDS[i]}
    elif [[ ${COMP_WORDS[i]} == -?* ]]; then
      kind=$(@P_value "$command ${COMP_WORDS[i]}")
      [[ -n $kind ]] || continue
      case ${COMP_WORDS[i]} in -c | --config) config=${COMP_WORDS[i+1]} ;; esac
      ((++i))
    else
      ((++place))
    fi
  done
  if [[ -z $command ]]; then
    COMPREPLY=($(compgen -W "$(@P_words)" -- "$current"))
    return
  fi
  kind=$(@P_value "$command $previous")
  if [[ -z $kind && $current == -* ]]; then
    COMPREPLY=($(compgen -W "$(@P_options "$command")" -- "$current"))
    return
  fi
  if [[ -z $kind ]]; then
    kinds=($(@P_places "$command"))
    kind=${kinds[place]}
  fi
  case $kind in
    FILE | PATH) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")) ;;
    DIR) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$current")) ;;
    NAME) COMPREPLY=($(compgen -W "$(@P_servers "$config")" -- "$current")) ;;
    *,*) COMPREPLY=($(compgen -W "${kind//,/ }" -- "$current")) ;;
  esac
}

complete -F @P @N
)sh";

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
}

// What stands in its place: "FILE", "NAME", or "on,off".
std::string kind_of(const Option& option) {
  if (option.choices.empty()) return option.by_place() ? option.names.front() : option.value;
  std::string kind;
  for (const std::string& choice : option.choices) kind += (kind.empty() ? "" : ",") + choice;
  return kind;
}

void add_word(std::string& list, const std::string& word) {
  list.append(list.empty() ? "" : " ").append(word);
}

// Three tables in the form of functions that print.
struct Tables {
  std::string options, places, values;

  void add(const CommandText& command) {
    std::string names, kinds;
    for (const Option& option : command.options) {
      if (option.by_place()) {
        add_word(kinds, kind_of(option));
        continue;
      }
      for (const std::string& name : option.names) add_word(names, name);
      if (option.value.empty()) continue;
      values += "    ";
      for (const std::string& name : option.names)
        values.append(&name == &option.names.front() ? "" : " | ")
            .append("'" + command.name + " " + name + "'");
      values += ") echo '" + kind_of(option) + "' ;;\n";
    }
    options.append("    ").append(command.name).append(") echo '").append(names).append("' ;;\n");
    if (!kinds.empty())
      places.append("    ").append(command.name).append(") echo '").append(kinds).append("' ;;\n");
  }
};

std::string table(std::string_view name, const std::string& rows) {
  return "@P_" + std::string(name) + "() {\n  case $1 in\n" + rows + "    *) ;;\n  esac\n}\n\n";
}

}  // namespace

std::string bash_completion(const Program& program, const std::string& default_config) {
  std::string words;
  Tables tables;
  for (const CommandText& command : program.commands) {
    add_word(words, command.name);
    tables.add(command);
  }
  for (const Option& option : program.options)
    for (const std::string& name : option.names) add_word(words, name);
  std::string text =
      "# bash completion for " + program.name + "                          -*- shell-script -*-\n\n";
  text += "@P_words() { echo '" + words + "'; }\n\n";
  text += "# The options of a command, the kinds of its arguments, and the kind of an option's value.\n";
  text += table("options", tables.options) + table("places", tables.places) + table("value", tables.values);
  text += machinery.substr(1);
  std::string prefix = "_" + program.name;
  std::ranges::replace(prefix, '-', '_');
  replace_all(text, "@P", prefix);
  replace_all(text, "@C", default_config);
  replace_all(text, "@N", program.name);
  return text;
}

}  // namespace pointsman::proxy::pages
