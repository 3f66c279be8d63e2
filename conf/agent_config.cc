#include "conf/agent_config.h"

#include "conf/file.h"
#include "conf/schema.h"
#include "conf/secret.h"
#include "conf/table_reader.h"
#include "conf/validate.h"

namespace pointsman::conf {
namespace {

std::vector<KeyName> all_keys() {
  std::vector<KeyName> names;
  for (const Key<AgentConfig>& key : agent_keys()) names.push_back({key.section, key.name});
  return names;
}

class AgentLoader {
 public:
  AgentLoader(std::string file, LoadOptions options) : options_(options), reader_(file, all_keys()) {
    config_.file = std::move(file);
  }

  std::expected<AgentConfig, std::vector<Problem>> run(std::string_view text) {
    const toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
      reader_.add(position_of(parsed.error().source()), not_toml(parsed.error().description()));
      return std::unexpected(std::move(reader_.problems));
    }
    read_root(parsed.table());
    check_paths();
    if (config_.heartbeat.serial) check_line();
    check_name();
    check_commands();
    if (options_.files) read_password();
    if (reader_.problems.empty()) return std::move(config_);
    return std::unexpected(reader_.sorted(config_.file));
  }

 private:
  void read_root(const toml::table& root) {
    for (const auto& [name, node] : root) {
      const auto section = std::ranges::find(agent_sections(), name.str());
      if (section == agent_sections().end()) {
        reader_.report_unknown_section(name, node, agent_sections());
      } else if (const toml::table* table = node.as_table()) {
        reader_.read_table(*table, std::string(*section), position_of(name.source()), agent_keys(), config_);
      } else {
        reader_.add(position_of(name.source()), std::string(*section) + ": expected a table [" +
                                                    std::string(*section) + "], found " + found_text(node));
      }
    }
    for (const std::string_view section : {"heartbeat", "mysql"}) {
      if (root.contains(section)) continue;
      reader_.add({1, 1}, "section [" + std::string(section) + "] is missing: " +
                              (section == "heartbeat" ? "node has no default"
                                                      : "user and password_file have no default"));
      for (const Key<AgentConfig>& key : agent_keys()) {
        if (key.section == section)
          reader_.positions.mark_bad(std::string(section) + "." + std::string(key.name));
      }
    }
  }

  void check_paths() {
    const AgentHeartbeat& h = config_.heartbeat;
    for (const std::string_view key : {"heartbeat.proxies", "heartbeat.serial"}) {
      if (reader_.positions.bad(key)) return;
    }
    if (h.proxies.empty() && !h.serial) {
      reader_.add(
          reader_.positions.of({"heartbeat.node"}),
          "the agent has no way to Pointsman: write heartbeat.proxies, heartbeat.serial or, better, both");
    }
  }

  void check_line() {
    for (const std::string_view key : {"heartbeat.serial", "heartbeat.baud", "heartbeat.keepalive"}) {
      if (reader_.positions.bad(key)) return;
    }
    const AgentHeartbeat& h = config_.heartbeat;
    if (const std::string why = why_line_too_slow(h.baud, h.keepalive); !why.empty()) {
      reader_.add(reader_.positions.of({"heartbeat.baud", "heartbeat.keepalive", "heartbeat.serial"}),
                  "heartbeat.serial " + quoted(*h.serial) + ": " + why);
    }
  }

  void check_name() {
    if (reader_.positions.bad("heartbeat.node") || config_.heartbeat.node.size() <= max_node_name) return;
    reader_.add(reader_.positions.of({"heartbeat.node"}), "heartbeat.node " + quoted(config_.heartbeat.node) +
                                                              ": a frame has room for " +
                                                              std::to_string(max_node_name) + " characters");
  }

  // One without the other would leave the server stopped, or its data replaced under it.
  void check_commands() {
    const AgentCopy& copy = config_.copy;
    const std::string_view stop = "copy.stop_command";
    const std::string_view start = "copy.start_command";
    if (reader_.positions.bad(stop) || reader_.positions.bad(start)) return;
    if (copy.stop_command.empty() != copy.start_command.empty()) {
      const std::string_view given = copy.stop_command.empty() ? start : stop;
      reader_.add(reader_.positions.of({std::string(given)}),
                  std::string(given) + ": copy.stop_command and copy.start_command go together");
    }
    const auto check = [&](std::string_view key, const std::vector<std::string>& command) {
      if (command.empty() || command.front().starts_with('/')) return;
      reader_.add(
          reader_.positions.of({std::string(key)}),
          std::string(key) + ": expected a program's absolute path first, found " + quoted(command.front()));
    };
    check(stop, copy.stop_command);
    check(start, copy.start_command);
  }

  void read_password() {
    if (reader_.positions.bad("mysql.password_file")) return;
    auto password = read_secret(config_.mysql.account.password_file);
    if (password) {
      config_.mysql.account.password = std::move(*password);
    } else {
      reader_.add(reader_.positions.of({"mysql.password_file"}), "mysql.password_file: " + password.error());
    }
  }

  LoadOptions options_;
  TableReader reader_;
  AgentConfig config_;
};

}  // namespace

std::expected<AgentConfig, std::vector<Problem>> load_agent_text(std::string_view text, std::string name,
                                                                 LoadOptions options) {
  if (text.size() > max_config_file) {
    return std::unexpected(std::vector<Problem>{
        {std::move(name), 0, 0, "longer than " + std::to_string(max_config_file) + " bytes"}});
  }
  return AgentLoader(std::move(name), options).run(text);
}

std::expected<AgentConfig, std::vector<Problem>> load_agent(const std::string& path, LoadOptions options) {
  const auto text = read_config_file(path);
  if (!text) return std::unexpected(std::vector<Problem>{{path, 0, 0, text.error()}});
  return load_agent_text(*text, path, options);
}

}  // namespace pointsman::conf
