#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/address.h"
#include "conf/duration.h"
#include "conf/problem.h"
#include "conf/schema.h"
#include "conf/suggest.h"
#include "conf/toml.h"

// Reads TOML tables into plain structures by a table of keys; what the loaders of our files have in common.
namespace pointsman::conf {

inline Position position_of(const toml::source_region& source) {
  return {source.begin.line, source.begin.column};
}

// What stands there, in a reader's words: the string "abc", the integer 5, a table.
std::string found_text(const toml::node& node);

// toml++ quotes what it met; line ends and terminal controls of a hostile file are kept out of the message.
std::string not_toml(std::string_view why);
// The file's content, at most max_config_file bytes of it.
std::expected<std::string, std::string> read_config_file(const std::string& path);

// A key of the file, wherever: for "it belongs to [...]" and "did you mean".
struct KeyName {
  std::string_view section;
  std::string_view name;
};

// Collects positions and problems of one file. Used once.
class TableReader {
 public:
  TableReader(std::string file, std::vector<KeyName> all)
      : positions(std::move(file)), all_(std::move(all)) {}

  Positions positions;
  std::vector<Problem> problems;

  void add(Position where, std::string message) {
    problems.push_back(positions.problem(where, std::move(message)));
  }
  // In the order of the file, at most max_problems.
  std::vector<Problem> sorted(const std::string& file);
  void report_unknown_section(const toml::key& name, const toml::node& node,
                              std::span<const std::string_view> sections);

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
      positions.add(full, position_of(node.source()));
      read_value(*key, full, node, root);
    }
    for (const Key<Root>& key : keys) {
      if (key.section != section || key.need != Need::mandatory || table.contains(key.name)) continue;
      add(where, std::string(section) + "." + std::string(key.name) + " is missing: expected " +
                     expected_text(key.field));
      positions.mark_bad(path + "." + std::string(key.name));
    }
  }

 private:
  void report_unknown_key(const toml::key& name, std::string_view section);
  std::string belongs_elsewhere(std::string_view name, std::string_view section) const;

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
    positions.mark_bad(value.full);
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
    if (!positions.bad(value.full)) field.access.at(root) = std::move(addresses);
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
    if (!positions.bad(value.full)) field.access.at(root) = std::move(texts);
  }

  void note_element(const std::string& full, std::size_t i, const toml::node& element) {
    positions.add(full + "[" + std::to_string(i) + "]", position_of(element.source()));
  }

  std::vector<KeyName> all_;
};

}  // namespace pointsman::conf
