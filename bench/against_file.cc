#include "bench/against_file.h"

#include <array>

#include "conf/schema_parts.h"
#include "conf/schema_text.h"
#include "conf/secret.h"
#include "conf/table_reader.h"

namespace pointsman::bench {

namespace {

using conf::AddressField;
using conf::Key;
using conf::TextField;
using conf::TimeField;
using namespace std::chrono_literals;

constexpr std::size_t max_command = 16384;

std::optional<std::string> check_optional_command(std::string_view text) {
  if (text.size() > max_command) return "it is longer than " + std::to_string(max_command) + " bytes";
  if (text.contains('\0')) return "it contains a NUL byte";
  return std::nullopt;
}

std::optional<std::string> check_command(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return "it is empty";
  return check_optional_command(text);
}

template <auto Member>
constexpr auto endpoint() {
  return conf::access<AgainstFile, &AgainstFile::endpoint, Member>();
}
template <auto Member>
constexpr auto commands() {
  return conf::access<AgainstFile, &AgainstFile::commands, Member>();
}

constexpr std::string_view a_command = "a command for sh -c";
constexpr auto optional = conf::Need::optional;
constexpr auto mandatory = conf::Need::mandatory;
constexpr auto when = conf::Change::on_restart;

constexpr std::array against_keys{
    Key<AgainstFile>{"endpoint", "address", AddressField<AgainstFile>{endpoint<&AgainstEndpoint::address>()},
                     when, mandatory},
    Key<AgainstFile>{
        "endpoint", "user",
        TextField<AgainstFile>{endpoint<&AgainstEndpoint::user>(), conf::a_user, conf::check_user}, when,
        mandatory},
    Key<AgainstFile>{
        "endpoint", "password_file",
        TextField<AgainstFile>{endpoint<&AgainstEndpoint::password_file>(), conf::a_path, conf::check_path},
        when, mandatory},
    Key<AgainstFile>{
        "endpoint", "database",
        TextField<AgainstFile>{endpoint<&AgainstEndpoint::database>(), conf::a_name, conf::check_name}, when,
        mandatory},
    Key<AgainstFile>{"endpoint", "timeout",
                     TimeField<AgainstFile>{endpoint<&AgainstEndpoint::timeout>(), 1s, 10min}, when,
                     optional},
    Key<AgainstFile>{
        "commands", "start",
        TextField<AgainstFile>{commands<&AgainstCommands::start>(), a_command, check_optional_command}, when,
        optional},
    Key<AgainstFile>{"commands", "kill",
                     TextField<AgainstFile>{commands<&AgainstCommands::kill>(), a_command, check_command},
                     when, mandatory},
    Key<AgainstFile>{"commands", "restore",
                     TextField<AgainstFile>{commands<&AgainstCommands::restore>(), a_command, check_command},
                     when, mandatory},
    Key<AgainstFile>{
        "commands", "clean_up",
        TextField<AgainstFile>{commands<&AgainstCommands::clean_up>(), a_command, check_optional_command},
        when, optional},
    Key<AgainstFile>{"commands", "timeout",
                     TimeField<AgainstFile>{commands<&AgainstCommands::timeout>(), 1s, 1h}, when, optional},
    Key<AgainstFile>{"commands", "restore_after",
                     TimeField<AgainstFile>{commands<&AgainstCommands::restore_after>(), 1s, 1h}, when,
                     optional},
    Key<AgainstFile>{"commands", "ready_within",
                     TimeField<AgainstFile>{commands<&AgainstCommands::ready_within>(), 1s, 1h}, when,
                     optional},
};
constexpr std::array<std::string_view, 2> against_sections{"endpoint", "commands"};

std::vector<conf::KeyName> all_keys() {
  std::vector<conf::KeyName> names;
  for (const auto& key : against_keys) names.push_back({key.section, key.name});
  return names;
}

// A section that is not there lacks its mandatory keys like an empty one.
void read_sections(conf::TableReader& reader, const toml::table& root, AgainstFile& file) {
  for (const auto& [name, node] : root) {
    if (std::ranges::find(against_sections, name.str()) == against_sections.end() || !node.is_table())
      reader.report_unknown_section(name, node, against_sections);
  }
  const toml::table empty;
  for (const std::string_view section : against_sections) {
    const toml::table* table = root[section].as_table();
    reader.read_table<AgainstFile>(
        table != nullptr ? *table : empty, std::string(section),
        table != nullptr ? conf::position_of(table->source()) : conf::Position{1, 1}, against_keys, file);
  }
}

}  // namespace

std::expected<AgainstFile, std::vector<conf::Problem>> load_against_text(const std::string& text,
                                                                         const std::string& name,
                                                                         bool read_password) {
  conf::TableReader reader(name, all_keys());
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    reader.add(conf::position_of(parsed.error().source()), conf::not_toml(parsed.error().description()));
    return std::unexpected(std::move(reader.problems));
  }
  AgainstFile file;
  read_sections(reader, parsed.table(), file);
  if (file.endpoint.timeout % 1s != 0s)
    reader.add(reader.positions.of({"endpoint.timeout"}), "endpoint.timeout: expected whole seconds");
  if (read_password && !file.endpoint.password_file.empty()) {
    auto password = conf::read_secret(file.endpoint.password_file);
    if (password) {
      file.endpoint.password = std::move(*password);
    } else {
      reader.add(reader.positions.of({"endpoint.password_file"}),
                 "endpoint.password_file: " + password.error());
    }
  }
  if (reader.problems.empty()) return file;
  return std::unexpected(reader.sorted(name));
}

std::expected<AgainstFile, std::vector<conf::Problem>> load_against(const std::string& path) {
  const auto text = conf::read_config_file(path);
  if (!text) return std::unexpected(std::vector<conf::Problem>{{path, 0, 0, text.error()}});
  return load_against_text(*text, path);
}

}  // namespace pointsman::bench
