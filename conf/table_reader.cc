#include "conf/table_reader.h"

#include "conf/file.h"
#include "conf/loader.h"

namespace pointsman::conf {

// What stands there, in a reader's words: the string "abc", the integer 5, a table.
std::string found_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return "the string " + quoted(text->get());
  if (const auto* number = node.as_integer()) return "the integer " + std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (node.is_floating_point()) return "a number with a fraction";
  if (const auto* array = node.as_array()) return array->empty() ? "an empty array" : "an array";
  if (node.is_table()) return "a table";
  return "a date or time";
}

std::string not_toml(std::string_view why) {
  std::string text(why);
  std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return "not valid TOML: " + text;
}

std::expected<std::string, std::string> read_config_file(const std::string& path) {
  const auto file = InputFile::open(path);
  if (!file) return std::unexpected(file.error());
  return file->read(max_config_file);
}

std::vector<Problem> TableReader::sorted(const std::string& file) {
  std::ranges::stable_sort(problems, {}, [](const Problem& p) { return std::pair(p.line, p.column); });
  if (problems.size() > max_problems) {
    const std::size_t hidden = problems.size() - max_problems;
    problems.resize(max_problems);
    problems.push_back({file, 0, 0, std::to_string(hidden) + " more problems are not shown"});
  }
  return std::move(problems);
}

void TableReader::report_unknown_section(const toml::key& name, const toml::node& node,
                                         std::span<const std::string_view> sections) {
  const bool is_section = node.is_table() || node.is_array_of_tables();
  std::string message = (is_section ? "unknown section " : "unknown key ") + quoted(name.str());
  if (!is_section) {
    message += " outside of any section" + belongs_elsewhere(name.str(), "");
  } else if (const std::string_view near = nearest(name.str(), sections); !near.empty()) {
    message += ": did you mean " + quoted(near) + "?";
  }
  add(position_of(name.source()), std::move(message));
}

void TableReader::report_unknown_key(const toml::key& name, std::string_view section) {
  std::vector<std::string_view> candidates;
  for (const KeyName& key : all_) {
    if (key.section == section) candidates.push_back(key.name);
  }
  std::string message = "unknown key " + quoted(name.str()) + " in [" + std::string(section) + "]";
  const std::string elsewhere = belongs_elsewhere(name.str(), section);
  if (!elsewhere.empty()) {
    message += elsewhere;
  } else if (const std::string_view near = nearest(name.str(), candidates); !near.empty()) {
    message += ": did you mean " + quoted(near) + "?";
  }
  add(position_of(name.source()), std::move(message));
}

// The sections that do have a key of this name.
std::string TableReader::belongs_elsewhere(std::string_view name, std::string_view section) const {
  std::string list;
  for (const KeyName& key : all_) {
    if (key.name != name || key.section == section) continue;
    list += (list.empty() ? ": it belongs to [" : " or [") + std::string(key.section) + "]";
  }
  return list;
}

}  // namespace pointsman::conf
