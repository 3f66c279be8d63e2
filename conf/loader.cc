#include "conf/loader.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include <unistd.h>

#include "conf/address.h"
#include "conf/duration.h"
#include "conf/file.h"
#include "conf/schema.h"
#include "conf/secret.h"
#include "conf/suggest.h"
#include "conf/toml.h"
#include "conf/validate.h"

namespace pointsman::conf {
namespace {

Position position_of(const toml::source_region& source) {
  return {source.begin.line, source.begin.column};
}

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

// Reads one file's TOML into one Config. Used once.
class Loader {
 public:
  Loader(std::string file, LoadOptions options) : options_(options), positions_(file) {
    config_.file = std::move(file);
  }

  std::expected<Config, std::vector<Problem>> run(std::string_view text) {
    const toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
      std::string why(parsed.error().description());
      add(position_of(parsed.error().source()), "not valid TOML: " + printable(why));
      return std::unexpected(std::move(problems_));
    }
    read_root(parsed.table());
    for (Problem& problem : validate(config_, positions_)) problems_.push_back(std::move(problem));
    if (options_.files) read_files();
    if (problems_.empty()) return std::move(config_);
    return std::unexpected(sorted());
  }

 private:
  void add(Position where, std::string message) {
    problems_.push_back(positions_.problem(where, std::move(message)));
  }

  // toml++ quotes what it met; keep line ends and terminal controls of a hostile file out of the message.
  static std::string printable(std::string text) {
    std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
  }

  std::vector<Problem> sorted() {
    std::ranges::stable_sort(problems_, {}, [](const Problem& p) { return std::pair(p.line, p.column); });
    if (problems_.size() > max_problems) {
      const std::size_t hidden = problems_.size() - max_problems;
      problems_.resize(max_problems);
      problems_.push_back({config_.file, 0, 0, std::to_string(hidden) + " more problems are not shown"});
    }
    return std::move(problems_);
  }

  // The structure: sections, keys, backends.

  void read_root(const toml::table& root) {
    for (const auto& [name, node] : root) {
      const auto section = std::ranges::find(sections(), name.str());
      if (section == sections().end()) {
        report_unknown_section(name, node);
      } else if (*section == "backend") {
        read_backends(name, node);
      } else if (const toml::table* table = node.as_table()) {
        read_table(*table, std::string(*section), position_of(name.source()), config_keys(), config_);
      } else {
        add(position_of(name.source()), std::string(*section) + ": expected a table [" +
                                            std::string(*section) + "], found " + found_text(node));
      }
    }
    for (const std::string_view section : sections()) {
      if (!root.contains(section)) report_missing_section(section);
    }
  }

  void read_backends(const toml::key& name, const toml::node& node) {
    const Position where = position_of(name.source());
    const toml::array* array = node.as_array();
    if (array == nullptr) {
      return add(where, "backend: expected [[backend]] tables, found " + found_text(node) +
                            (node.is_table() ? ": write [[backend]], once for each server" : ""));
    }
    if (array->size() > max_backends) {
      add(where, "backend: expected 2 to " + std::to_string(max_backends) + " [[backend]] tables, found " +
                     std::to_string(array->size()));
    } else if (array->size() < 2) {
      add(where, "backend: expected 2 to " + std::to_string(max_backends) + " [[backend]] tables, found " +
                     (array->empty() ? "none" : "only one") +
                     ": without a replica there is nothing to fail over to");
    }
    for (std::size_t i = 0; i < std::min(array->size(), max_backends); ++i) {
      const toml::node& element = *array->get(i);
      if (const toml::table* table = element.as_table()) {
        read_table(*table, "backend[" + std::to_string(i) + "]", position_of(element.source()),
                   backend_keys(), config_.backends.emplace_back());
      } else {
        add(position_of(element.source()), "backend: expected a table, found " + found_text(element));
      }
    }
  }

  // `path` is the table's place for Positions: "proxy", "backend[0]".
  template <class Root>
  void read_table(const toml::table& table, const std::string& path, Position where,
                  std::span<const Key<Root>> keys, Root& root) {
    const std::string_view section = std::string_view(path).substr(0, path.find('['));
    for (const auto& [name, node] : table) {
      const auto key = std::ranges::find_if(
          keys, [&](const Key<Root>& k) { return k.section == section && k.name == name.str(); });
      if (key == keys.end()) {
        report_unknown_key(name, section);
        continue;
      }
      const std::string full = path + "." + std::string(key->name);
      positions_.add(full, position_of(node.source()));
      read_value(*key, full, node, root);
    }
    for (const Key<Root>& key : keys) {
      if (key.section != section || key.need != Need::mandatory || table.contains(key.name)) continue;
      add(where, std::string(section) + "." + std::string(key.name) + " is missing: expected " +
                     expected_text(key.field));
      positions_.mark_bad(path + "." + std::string(key.name));
    }
  }

  void report_missing_section(std::string_view section) {
    if (section == "backend") {
      return add({1, 1}, "there are no [[backend]] tables: expected 2 to " + std::to_string(max_backends));
    }
    std::string names;
    for (const Key<Config>& key : config_keys()) {
      if (key.section != section || key.need != Need::mandatory) continue;
      names += (names.empty() ? "" : " and ") + std::string(key.name);
      positions_.mark_bad(std::string(section) + "." + std::string(key.name));
    }
    if (names.empty()) return;
    add({1, 1}, "section [" + std::string(section) + "] is missing: " + names + " have no default");
  }

  void report_unknown_section(const toml::key& name, const toml::node& node) {
    const bool is_section = node.is_table() || node.is_array_of_tables();
    std::string message = (is_section ? "unknown section " : "unknown key ") + quoted(name.str());
    if (!is_section) {
      message += " outside of any section" + belongs_elsewhere(name.str(), "");
    } else if (const std::string_view near = nearest(name.str(), sections()); !near.empty()) {
      message += ": did you mean " + quoted(near) + "?";
    }
    add(position_of(name.source()), std::move(message));
  }

  void report_unknown_key(const toml::key& name, std::string_view section) {
    std::vector<std::string_view> candidates;
    for (const Key<Config>& key : config_keys()) {
      if (key.section == section) candidates.push_back(key.name);
    }
    for (const Key<Backend>& key : backend_keys()) {
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
  static std::string belongs_elsewhere(std::string_view name, std::string_view section) {
    std::string list;
    const auto collect = [&](const auto& keys) {
      for (const auto& key : keys) {
        if (key.name != name || key.section == section) continue;
        list += (list.empty() ? ": it belongs to [" : " or [") + std::string(key.section) + "]";
      }
    };
    collect(config_keys());
    collect(backend_keys());
    return list;
  }

  // Values.

  // What a reader of one value needs to complain about it.
  template <class Root>
  struct Value {
    const Key<Root>& key;
    const std::string& full;  // its place for Positions
    const toml::node& node;
  };

  template <class Root>
  void read_value(const Key<Root>& key, const std::string& full, const toml::node& node, Root& root) {
    std::visit([&](const auto& field) { read(field, Value<Root>{key, full, node}, root); }, key.field);
  }

  // `where` is the node itself, or the element of an array that is at fault.
  template <class Root>
  void refuse(const Value<Root>& value, const toml::node& where, const std::string& detail = {}) {
    refuse(value, position_of(where.source()), found_text(where), detail);
  }
  template <class Root>
  void refuse(const Value<Root>& value, Position where, const std::string& found, const std::string& detail) {
    positions_.mark_bad(value.full);
    add(where, std::string(value.key.section) + "." + std::string(value.key.name) + ": expected " +
                   expected_text(value.key.field) + ", found " + found +
                   (detail.empty() ? "" : ": " + detail));
  }

  template <class Root>
  void read(const FlagField<Root>& field, const Value<Root>& value, Root& root) {
    const auto* flag = value.node.as_boolean();
    if (flag == nullptr) return refuse(value, value.node);
    field.access.at(root) = flag->get();
  }

  template <class Root>
  void read(const CountField<Root>& field, const Value<Root>& value, Root& root) {
    const auto* number = value.node.as_integer();
    if (number == nullptr) return refuse(value, value.node);
    const std::int64_t n = number->get();
    const bool good =
        field.allowed.empty()
            ? n >= field.min && n <= field.max
            : std::ranges::any_of(field.allowed, [n](unsigned allowed) { return n == allowed; });
    if (!good) return refuse(value, value.node);
    field.access.at(root) = static_cast<unsigned>(n);
  }

  template <class Root>
  void read(const TimeField<Root>& field, const Value<Root>& value, Root& root) {
    const auto* text = value.node.as_string();
    if (text == nullptr) {
      return refuse(value, value.node, value.node.is_number() ? "a duration is a string with its unit" : "");
    }
    const auto duration = parse_duration(text->get());
    if (!duration) return refuse(value, value.node, duration.error());
    const bool zero = field.zero && *duration == 0ns;
    if (!zero && (*duration < field.min || *duration > field.max)) return refuse(value, value.node);
    field.access.at(root) = *duration;
  }

  template <class Root>
  void read(const TextField<Root>& field, const Value<Root>& value, Root& root) {
    if (read_text(field.check, value, value.node)) field.access.at(root) = value.node.as_string()->get();
  }

  template <class Root>
  void read(const OptionalTextField<Root>& field, const Value<Root>& value, Root& root) {
    if (read_text(field.check, value, value.node)) field.access.at(root) = value.node.as_string()->get();
  }

  template <class Root>
  bool read_text(Check check, const Value<Root>& value, const toml::node& node) {
    const auto* text = node.as_string();
    if (text == nullptr) {
      refuse(value, node);
      return false;
    }
    if (const auto fault = check(text->get())) {
      refuse(value, node, *fault);
      return false;
    }
    return true;
  }

  template <class Root>
  void read(const WordField<Root>& field, const Value<Root>& value, Root& root) {
    const auto* text = value.node.as_string();
    const auto word = text == nullptr ? field.words.end() : std::ranges::find(field.words, text->get());
    if (word == field.words.end()) return refuse(value, value.node);
    field.set(root, static_cast<std::size_t>(word - field.words.begin()));
  }

  template <class Root>
  void read(const AddressField<Root>& field, const Value<Root>& value, Root& root) {
    if (auto address = read_address(value, value.node, field.zero_port))
      field.access.at(root) = std::move(*address);
  }

  template <class Root>
  std::optional<HostPort> read_address(const Value<Root>& value, const toml::node& node, bool zero_port) {
    const auto* text = node.as_string();
    if (text == nullptr) {
      refuse(value, node);
      return std::nullopt;
    }
    auto address = parse_address(text->get());
    if (!address) {
      refuse(value, node, address.error());
      return std::nullopt;
    }
    if (address->port == 0 && !zero_port) {
      refuse(value, node, "the port must not be 0");
      return std::nullopt;
    }
    return std::move(*address);
  }

  template <class Root>
  void read(const AddressesField<Root>& field, const Value<Root>& value, Root& root) {
    std::vector<HostPort> addresses;
    const toml::array* array = value.node.as_array();
    if (array == nullptr) {
      if (auto address = read_address(value, value.node, field.zero_port))
        addresses.push_back(std::move(*address));
    } else if (array->empty() || array->size() > field.max) {
      return refuse(value, position_of(array->source()), std::to_string(array->size()), {});
    } else {
      for (const toml::node& element : *array) {
        note_element(value.full, addresses.size(), element);
        auto address = read_address(value, element, field.zero_port);
        addresses.push_back(address ? std::move(*address) : HostPort{});
      }
    }
    if (!positions_.bad(value.full)) field.access.at(root) = std::move(addresses);
  }

  template <class Root>
  void read(const TextsField<Root>& field, const Value<Root>& value, Root& root) {
    const toml::array* array = value.node.as_array();
    if (array == nullptr) return refuse(value, value.node);
    if (array->size() > field.max) {
      return refuse(value, position_of(array->source()), std::to_string(array->size()), {});
    }
    std::vector<std::string> texts;
    for (const toml::node& element : *array) {
      note_element(value.full, texts.size(), element);
      texts.push_back(read_text(field.check, value, element) ? element.as_string()->get() : "");
    }
    if (!positions_.bad(value.full)) field.access.at(root) = std::move(texts);
  }

  void note_element(const std::string& full, std::size_t i, const toml::node& element) {
    positions_.add(full + "[" + std::to_string(i) + "]", position_of(element.source()));
  }

  // What other files must hold.

  void read_files() {
    read_password("monitor.password_file", config_.monitor.account);
    read_password("replication.password_file", config_.replication.account);
    const auto& command = config_.fence.command;
    if (positions_.bad("fence.command") || command.empty() || !command.front().starts_with('/')) return;
    if (const std::string fault = program_fault(command.front()); !fault.empty()) {
      add(positions_.of({"fence.command[0]"}), "fence.command: " + quoted(command.front()) + ": " + fault);
    }
  }

  void read_password(const std::string& key, Account& account) {
    if (positions_.bad(key) || account.password_file.empty()) return;
    auto password = read_secret(account.password_file);
    if (password) {
      account.password = std::move(*password);
    } else {
      add(positions_.of({key}), key + ": " + password.error());
    }
  }

  static std::string program_fault(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return "cannot be run: " + system_text(errno);
    if (!S_ISREG(status.st_mode)) return "cannot be run: not a regular file";
    if (::access(path.c_str(), X_OK) != 0) return "cannot be run: " + system_text(errno);
    return {};
  }

  LoadOptions options_;
  Positions positions_;
  Config config_;
  std::vector<Problem> problems_;
};

}  // namespace

std::expected<Config, std::vector<Problem>> load_text(std::string_view text, std::string name,
                                                      LoadOptions options) {
  if (text.size() > max_config_file) {
    return std::unexpected(std::vector<Problem>{
        {std::move(name), 0, 0, "longer than " + std::to_string(max_config_file) + " bytes"}});
  }
  return Loader(std::move(name), options).run(text);
}

std::expected<Config, std::vector<Problem>> load(const std::string& path, LoadOptions options) {
  const auto whole_file = [&path](std::string why) {
    return std::unexpected(std::vector<Problem>{{path, 0, 0, std::move(why)}});
  };
  const auto file = InputFile::open(path);
  if (!file) return whole_file(file.error());
  const auto text = file->read(max_config_file);
  if (!text) return whole_file(text.error());
  return load_text(*text, path, options);
}

}  // namespace pointsman::conf
