#include "health/setup/backup_obstacles.h"

#include <chrono>
#include <utility>

#include "health/mysql/concat.h"
#include "health/setup/copy_agent.h"

namespace pointsman::setup {
namespace {

using core::Failure;
using mysql::concat;

std::expected<Variables, Failure> variables_of(Admin& server) {
  const auto table = server.ask(
      "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'datadir', 'innodb_data_home_dir',"
      " 'innodb_log_group_home_dir', 'innodb_undo_directory', 'innodb_page_size', 'innodb_data_file_path',"
      " 'lower_case_table_names', 'log_bin_basename', 'relay_log_basename')");
  if (!table) return std::unexpected(table.error());
  Variables variables;
  for (std::size_t row = 0; row < table->rows(); ++row)
    variables[std::string(table->at(row, 0).value_or(""))] = table->at(row, 1).value_or("");
  return variables;
}

std::string without_end(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// The names of its logs without their numbers, one a line.
std::string logs_of(const Variables& server) {
  std::string names;
  for (const char* name : {"log_bin_basename", "relay_log_basename"}) {
    const std::string path = value_of(server, name);
    names.append(path.substr(path.rfind('/') + 1)) += '\n';
  }
  return names;
}

// What mariadb-backup does not copy, or copies in a way that does not fit where it goes.
std::expected<std::string, Failure> why_not_from(Admin& donor) {
  const auto keys = donor.value(
      "SELECT PLUGIN_NAME FROM information_schema.PLUGINS WHERE PLUGIN_TYPE = 'ENCRYPTION' AND PLUGIN_STATUS "
      "="
      " 'ACTIVE' LIMIT 1");
  if (!keys) return std::unexpected(keys.error());
  if (!keys->empty()) return "its data may be encrypted by " + *keys;
  const auto table = donor.ask(
      "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) AS name, ENGINE, CREATE_OPTIONS FROM"
      " information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN "
      "('performance_schema',"
      " 'information_schema') AND (ENGINE NOT IN ('InnoDB', 'MyISAM', 'Aria',"
      " 'CSV', 'ARCHIVE', 'MRG_MyISAM', 'MEMORY', 'BLACKHOLE') OR CREATE_OPTIONS LIKE '%DATA DIRECTORY%') "
      "LIMIT 1",
      std::chrono::minutes(5));
  if (!table) return std::unexpected(table.error());
  if (table->empty()) return "";
  return concat("mariadb-backup does not copy the table ", table->text(0, {"name"}), " (",
                table->text(0, {"ENGINE"}), " ", table->text(0, {"CREATE_OPTIONS"}), ")");
}

}  // namespace

std::string value_of(const Variables& variables, const std::string& name) {
  const auto found = variables.find(name);
  return found == variables.end() ? "" : found->second;
}

std::string series_of(const std::string& version) {
  const std::size_t first = version.find('.');
  if (first == std::string::npos) return version;
  const std::size_t second = version.find_first_not_of("0123456789", first + 1);
  return version.substr(0, second);
}

std::string why_files_do_not_fit(const Variables& donor, const Variables& recipient) {
  const std::string series = series_of(value_of(donor, "version"));
  if (series != series_of(value_of(recipient, "version"))) {
    return concat("the servers are of two series, ", value_of(donor, "version"), " and ",
                  value_of(recipient, "version"));
  }
  for (const Variables* server : {&donor, &recipient}) {
    const std::string data = without_end(value_of(*server, "datadir"));
    for (const char* name : {"innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory"}) {
      const std::string value = without_end(value_of(*server, name));
      const bool inside = value.empty() || value == "." || value == data;
      if (!inside) {
        return concat("the ", server == &donor ? "primary" : "replica", "'s ", name, " is ", value,
                      ", outside of its data folder");
      }
    }
  }
  for (const char* name : {"innodb_page_size", "innodb_data_file_path", "lower_case_table_names"}) {
    if (value_of(donor, name) != value_of(recipient, name)) {
      return concat(name, " is ", value_of(donor, name), " on the primary and ", value_of(recipient, name),
                    " on the replica");
    }
  }
  return "";
}

std::expected<BackupFacts, NotByAgents> look_for_backup(Admin& donor, Admin& recipient,
                                                        const CopyAgents& agents,
                                                        const mysql::Waker& cancel) {
  const auto closed = [](const std::string& why, bool busy = false) {
    return std::unexpected(NotByAgents{.why = why, .busy = busy});
  };
  BackupFacts facts;
  for (auto [server, into] : {std::pair{&donor, &facts.donor}, std::pair{&recipient, &facts.recipient}}) {
    auto variables = variables_of(*server);
    if (!variables) return closed(variables.error().text);
    *into = std::move(*variables);
  }
  CopyAgent from(donor.endpoint(), agents.donor, agents.keys, cancel);
  const auto here =
      from.look({.verb = "look",
                 .values = {{"data", value_of(facts.donor, "datadir")}, {"logs", logs_of(facts.donor)}}});
  if (here) facts.bytes = here->number("bytes");
  if (here) facts.copied = here->number("copied");
  CopyAgent onto(recipient.endpoint(), agents.recipient, agents.keys, cancel);
  const auto there = onto.look(
      {.verb = "look",
       .values = {{"data", value_of(facts.recipient, "datadir")}, {"bytes", std::to_string(facts.bytes)}}});
  for (const auto& [agent, said] : {std::pair{&from, &here}, std::pair{&onto, &there}}) {
    if (!*said || (*said)->value("busy").empty()) continue;
    return closed(agent->named("it is at work already: " + (*said)->value("busy")), true);
  }
  if (!here || !there) return closed(here ? there.error() : here.error());
  if (auto why = why_files_do_not_fit(facts.donor, facts.recipient); !why.empty()) return closed(why);
  if (const auto why = here->value("not_from"); !why.empty()) return closed(from.named(why));
  if (const auto why = there->value("not_onto"); !why.empty()) return closed(onto.named(why));
  const std::string series = series_of(value_of(facts.donor, "version"));
  for (const auto& [agent, said] : {std::pair{&from, &here}, std::pair{&onto, &there}}) {
    const std::string version = (*said)->value("version");
    if (series_of(version) == series) continue;
    return closed(agent->named(concat("its mariadb-backup is of ", version, ", and the server of ", series)));
  }
  const auto unfit = why_not_from(donor);
  if (!unfit) return closed(unfit.error().text);
  if (!unfit->empty()) return closed(*unfit);
  return facts;
}

}  // namespace pointsman::setup
