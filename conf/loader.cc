#include "conf/loader.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include <unistd.h>

#include "conf/file.h"
#include "conf/schema.h"
#include "conf/secret.h"
#include "conf/table_reader.h"
#include "conf/toml.h"
#include "conf/validate.h"

namespace pointsman::conf {
namespace {

std::vector<KeyName> all_keys() {
  std::vector<KeyName> names;
  for (const Key<Config>& key : config_keys()) names.push_back({key.section, key.name});
  for (const Key<Backend>& key : backend_keys()) names.push_back({key.section, key.name});
  return names;
}

// Reads one file's TOML into one Config. Used once.
class Loader {
 public:
  Loader(std::string file, LoadOptions options) : options_(options), reader_(file, all_keys()) {
    config_.file = std::move(file);
  }

  std::expected<Config, std::vector<Problem>> run(std::string_view text) {
    const toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
      reader_.add(position_of(parsed.error().source()), not_toml(parsed.error().description()));
      return std::unexpected(std::move(reader_.problems));
    }
    read_root(parsed.table());
    for (Problem& problem : validate(config_, reader_.positions))
      reader_.problems.push_back(std::move(problem));
    if (options_.files) read_files();
    if (reader_.problems.empty()) return std::move(config_);
    return std::unexpected(reader_.sorted(config_.file));
  }

 private:
  // The structure: sections, keys, backends.

  void read_root(const toml::table& root) {
    for (const auto& [name, node] : root) {
      const auto section = std::ranges::find(sections(), name.str());
      if (section == sections().end()) {
        reader_.report_unknown_section(name, node, sections());
      } else if (*section == "backend") {
        read_backends(name, node);
      } else if (const toml::table* table = node.as_table()) {
        reader_.read_table(*table, std::string(*section), position_of(name.source()), config_keys(), config_);
      } else {
        reader_.add(position_of(name.source()), std::string(*section) + ": expected a table [" +
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
      return reader_.add(where, "backend: expected [[backend]] tables, found " + found_text(node) +
                                    (node.is_table() ? ": write [[backend]], once for each server" : ""));
    }
    if (array->size() > max_backends) {
      reader_.add(where, "backend: expected 2 to " + std::to_string(max_backends) +
                             " [[backend]] tables, found " + std::to_string(array->size()));
    } else if (array->size() < 2) {
      reader_.add(where, "backend: expected 2 to " + std::to_string(max_backends) +
                             " [[backend]] tables, found " + (array->empty() ? "none" : "only one") +
                             ": without a replica there is nothing to fail over to");
    }
    for (std::size_t i = 0; i < std::min(array->size(), max_backends); ++i) {
      const toml::node& element = *array->get(i);
      if (const toml::table* table = element.as_table()) {
        reader_.read_table(*table, "backend[" + std::to_string(i) + "]", position_of(element.source()),
                           backend_keys(), config_.backends.emplace_back());
      } else {
        reader_.add(position_of(element.source()), "backend: expected a table, found " + found_text(element));
      }
    }
  }

  void report_missing_section(std::string_view section) {
    if (section == "backend") {
      return reader_.add({1, 1},
                         "there are no [[backend]] tables: expected 2 to " + std::to_string(max_backends));
    }
    std::string names;
    for (const Key<Config>& key : config_keys()) {
      if (key.section != section || key.need != Need::mandatory) continue;
      names += (names.empty() ? "" : " and ") + std::string(key.name);
      reader_.positions.mark_bad(std::string(section) + "." + std::string(key.name));
    }
    if (names.empty()) return;
    reader_.add({1, 1}, "section [" + std::string(section) + "] is missing: " + names + " have no default");
  }

  // What other files must hold.

  void read_files() {
    read_password("monitor.password_file", config_.monitor.account);
    read_password("replication.password_file", config_.replication.account);
    look_for_program("fence.command", config_.fence.command);
    look_for_program("hooks.command", config_.hooks.command);
  }

  void look_for_program(const std::string& key, const std::vector<std::string>& command) {
    if (reader_.positions.bad(key) || command.empty() || !command.front().starts_with('/')) return;
    if (const std::string fault = program_fault(command.front()); !fault.empty()) {
      reader_.add(reader_.positions.of({key + "[0]"}), key + ": " + quoted(command.front()) + ": " + fault);
    }
  }

  void read_password(const std::string& key, Account& account) {
    if (reader_.positions.bad(key) || account.password_file.empty()) return;
    auto password = read_secret(account.password_file);
    if (password) {
      account.password = std::move(*password);
    } else {
      reader_.add(reader_.positions.of({key}), key + ": " + password.error());
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
  TableReader reader_;
  Config config_;
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
  const auto text = read_config_file(path);
  if (!text) return std::unexpected(std::vector<Problem>{{path, 0, 0, text.error()}});
  return load_text(*text, path, options);
}

}  // namespace pointsman::conf
