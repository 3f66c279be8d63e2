#include "proxy/cli/command_line.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>

#include "conf/duration.h"
#include "proxy/cli/manual.h"
#include "proxy/cli/text.h"

namespace pointsman::proxy::cli {
namespace {

constexpr unsigned max_limit = 100'000;
constexpr auto max_wait = std::chrono::hours(1);

// CLI11's lists of options between our own words.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(22); }

  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode mode) const override {
    const Manual* manual = find_manual(app->get_name());
    return manual == nullptr ? overview(app, mode) : page(*manual, app, mode);
  }

  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();  // "N:UINT in [...]": the check is for error messages
    return option->get_type_size() == 0 ? "" : " " + type.substr(0, type.find(':'));
  }

 private:
  std::string overview(const CLI::App* app, CLI::AppFormatMode mode) const {
    std::string out = "pointsman keeps one MySQL address pointing at the current primary.\n\n";
    out += "Usage: pointsman COMMAND [OPTIONS]\n";
    std::string_view group;
    for (const Manual& manual : manuals()) {
      if (group != manual.group) {
        group = manual.group;
        out.append("\n").append(group).append(":\n");
      }
      std::string name(manual.name);
      name.resize(16, ' ');
      out.append("  ").append(name).append("  ").append(manual.summary).append("\n");
    }
    out += make_groups(app, mode);
    out += "\n'pointsman COMMAND --help' says what a command does, and what it does to clients.\n";
    out += "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon.\n";
    return out;
  }

  std::string page(const Manual& manual, const CLI::App* app, CLI::AppFormatMode mode) const {
    std::string out;
    out.append("pointsman ").append(manual.name).append(": ").append(manual.summary).append("\n\n");
    out.append(manual.text)
        .append("\n\nUsage: pointsman ")
        .append(manual.name)
        .append(" ")
        .append(manual.usage)
        .append("\n");
    out += make_groups(app, mode);
    std::string_view example = manual.example;
    out += example.find('\n') == std::string_view::npos ? "\nExample:\n" : "\nExamples:\n";
    while (!example.empty()) {
      const std::size_t end = std::min(example.find('\n'), example.size());
      out.append("  ").append(example.substr(0, end)).append("\n");
      example.remove_prefix(std::min(end + 1, example.size()));
    }
    return out;
  }
};

void add_help(CLI::App& app) {
  app.set_help_flag("-h,--help", "this text");
}

void add_common(CLI::App& app, Invocation& into) {
  app.add_flag("--json", into.json, "the answer as JSON");
  app.add_option("--socket", into.socket, "the daemon's admin socket")->type_name("PATH");
  app.add_option("-c,--config", into.config, "the configuration that names the socket\n(" + into.config + ")")
      ->type_name("FILE");
}

void add_config(CLI::App& app, Invocation& into) {
  app.add_option("-c,--config", into.config, "the configuration (" + into.config + ")")->type_name("FILE");
}

void add_server(CLI::App& app, Invocation& into) {
  app.add_option("NAME", into.name, "the server, as named in the configuration")->required();
}

void add_switch(CLI::App& app, std::string& into) {
  app.add_option("STATE", into, "on or off")->required()->check(CLI::IsMember({"on", "off"}));
}

void add_to(CLI::App& app, Invocation& into) {
  app.add_option("--to", into.name, "the server that becomes primary")->type_name("NAME");
}

void add_keys(CLI::App& app, Invocation& into) {
  app.add_option("FILE", into.file, "the file; - for standard output")->required();
  auto* rotate = app.add_flag("--rotate", into.rotate, "add a new key to FILE, and sign with it");
  app.add_flag("--add", into.add, "add a new key to FILE, sign as before")->excludes(rotate);
}

void add_import(CLI::App& app, Invocation& into) {
  app.add_option("--ha-cf", into.ha_cf, "Heartbeat's ha.cf")->type_name("FILE")->required();
  app.add_option("--haresources", into.haresources, "its haresources")->type_name("FILE")->required();
  app.add_option("--authkeys", into.authkeys, "its authkeys")->type_name("FILE")->required();
  app.add_option("--output-dir", into.output_dir, "where to write (this folder)")->type_name("DIR");
  app.add_flag("--force", into.force, "replace files that exist");
  app.add_flag("--json", into.json, "the answer as JSON");
}

// Values that CLI11 fills and that need a further look.
struct Raw {
  std::string on_off;
  double interval_s = 1;
  std::string max_wait;
  std::string timeout;
  unsigned restart_timeout_s = 900;
};

// As in the configuration; empty: it may be.
std::string is_wait(const std::string& text) {
  const auto duration = conf::parse_duration(text);
  if (!duration) return "'" + printable(text) + "': " + duration.error();
  return *duration > max_wait ? "'" + printable(text) + "': at most 1h" : "";
}

// The same without a limit.
std::string is_timeout(const std::string& text) {
  const auto duration = conf::parse_duration(text);
  return duration ? "" : "'" + printable(text) + "': " + duration.error();
}

void add_setup(CLI::App& app, Invocation& into, Raw& raw) {
  app.add_flag("--dry-run", into.dry_run, "print every statement, change nothing");
  app.add_option("--primary", into.name, "the server whose data count (found out)")->type_name("NAME");
  app.add_option("--overwrite", into.overwrite, "a server whose data may be thrown away;\nmay be repeated")
      ->type_name("NAME");
  app.add_option("--admin-user", into.admin_user, "who may do everything on the servers\n(root)")
      ->type_name("USER");
  app.add_option("--admin-password-file", into.admin_password_file,
                 "its password, the first line of a private\nfile (asks on the terminal)")
      ->type_name("FILE");
  app.add_option("--admin-socket", into.admin_sockets,
                 "reach a server of this host by its Unix\nsocket; may be repeated")
      ->type_name("NAME=PATH");
  app.add_option("--account-host", into.account_host,
                 "from where the accounts that are made may\nlog in, as '192.168.10.%' (%)")
      ->type_name("HOST");
  app.add_option("--restart-timeout", raw.restart_timeout_s,
                 "MySQL: how long a server may take to be back\nafter a clone (900)")
      ->type_name("SECONDS")
      ->check(CLI::Range(1U, 86'400U));
}

void add_verify(CLI::App& app, Invocation& into) {
  into.admin_user.clear();
  auto* user =
      app.add_option("--user", into.admin_user, "an account that may read all tables (the\nmonitor account)")
          ->type_name("USER");
  app.add_option("--password-file", into.admin_password_file,
                 "its password, the first line of a private\nfile")
      ->type_name("FILE")
      ->needs(user);
}

void add_own_options(CLI::App& app, Command command, Invocation& into, Raw& raw) {
  switch (command) {
    case Command::status:
      app.add_flag("-w,--watch", into.watch, "redraw until Ctrl-C or q");
      app.add_option("--interval", raw.interval_s, "between two looks of --watch (1)")
          ->type_name("SECONDS")
          ->check(CLI::Range(0.1, 3600.0));
      return;
    case Command::events:
      into.limit = 20;
      app.add_flag("-f,--follow", into.follow, "show new events as they happen");
      app.add_option("-n", into.limit, "how many (20; with --json all)")
          ->type_name("N")
          ->check(CLI::Range(0U, max_limit));
      return;
    case Command::sessions:
      into.limit = 1000;
      app.add_option("-n", into.limit, "how many at most (1000)")
          ->type_name("N")
          ->check(CLI::Range(1U, max_limit));
      return;
    case Command::switchover:
      add_to(app, into);
      app.add_flag("--dry-run", into.dry_run, "print the steps, change nothing");
      app.add_option("--max-wait", raw.max_wait,
                     "how long to wait for what is in the way,\nwhile the clients are served (10s)")
          ->type_name("DURATION")
          ->check(is_wait);
      app.add_flag("--end-transactions", into.end_transactions,
                   "then end the transactions that are still open,\ninstead of giving up");
      return;
    case Command::failover:
      add_to(app, into);
      app.add_flag("--force", into.force, "even if transactions may be lost");
      return;
    case Command::rejoin:
      add_server(app, into);
      app.add_flag("--discard", into.discard, "save its own transactions, then take them back");
      return;
    case Command::maintenance:
      add_server(app, into);
      return add_switch(app, raw.on_off);
    case Command::automatic:
      return add_switch(app, raw.on_off);
    case Command::run:
      app.add_flag("--takeover", into.takeover, "take the place of the daemon that runs");
      return;
    case Command::drain:
      app.add_option("--timeout", raw.timeout, "then end the sessions that are left\n(proxy.drain_timeout)")
          ->type_name("DURATION")
          ->check(is_timeout);
      return;
    case Command::keygen:
      return add_keys(app, into);
    case Command::import_heartbeat:
      return add_import(app, into);
    case Command::setup:
      return add_setup(app, into, raw);
    case Command::verify:
      return add_verify(app, into);
    default:
      return;
  }
}

bool reads_configuration(Command command) {
  return command != Command::keygen && command != Command::import_heartbeat;
}

bool talks_to_daemon(Command command) {
  return command != Command::run && command != Command::check && command != Command::verify &&
         reads_configuration(command);
}

Stop usage_error(const std::string& command, const std::string& text) {
  const std::string name = command.empty() ? "pointsman" : "pointsman " + command;
  return {ExitStatus::usage, name + ": " + text + "\nTry '" + name + " --help'.\n"};
}

// The name of a command is the first thing typed; a wrong one deserves better than CLI11's "not expected".
std::optional<Stop> unknown_command(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return usage_error("", "which command?");
  const std::string& first = arguments.front();
  if (find_manual(first) != nullptr || first == "-h" || first == "--help" || first == "--version")
    return std::nullopt;
  if (first.starts_with('-'))
    return usage_error("", "options follow the command: pointsman COMMAND [OPTIONS]");
  std::string text = "there is no command '" + printable(first.substr(0, 40)) + "'";
  if (const auto similar = similar_command(first))
    text.append("; did you mean '").append(*similar).append("'?");
  return usage_error("", text);
}

// All that can be typed. CLI11 writes into it, so it stays where it is.
struct CommandLine {
  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  CLI::App app{"", "pointsman"};
  std::vector<Invocation> invocations{manuals().size()};  // one each: defaults differ
  Raw raw;
  std::vector<CLI::App*> commands;
};

CommandLine::CommandLine() {
  app.formatter(std::make_shared<HelpFormatter>());
  add_help(app);
  app.set_version_flag("--version", "pointsman " POINTSMAN_VERSION, "the version");
  app.require_subcommand(1);

  for (std::size_t i = 0; i < invocations.size(); ++i) {
    const Manual& manual = manuals()[i];
    CLI::App* command = app.add_subcommand(std::string(manual.name), std::string(manual.summary));
    invocations[i].command = manual.command;
    add_help(*command);
    add_own_options(*command, manual.command, invocations[i], raw);
    if (manual.command == Command::setup) {
      add_config(*command, invocations[i]);
      command->add_flag("--json", invocations[i].json, "the result as JSON");
      command->add_option("--socket", invocations[i].socket, "the admin socket of a daemon that runs")
          ->type_name("PATH");
    } else if (talks_to_daemon(manual.command)) {
      add_common(*command, invocations[i]);
    } else if (reads_configuration(manual.command)) {
      add_config(*command, invocations[i]);
      if (manual.command == Command::check || manual.command == Command::verify)
        command->add_flag("--json", invocations[i].json, "the result as JSON");
    }
    commands.push_back(command);
  }
}

}  // namespace

void describe_command_line(const std::function<void(const CLI::App&)>& reader) {
  reader(CommandLine().app);
}

std::expected<Invocation, Stop> parse_command_line(const std::vector<std::string>& arguments) {
  if (auto stop = unknown_command(arguments)) return std::unexpected(std::move(*stop));
  CommandLine line;
  auto& [app, invocations, raw, commands] = line;
  const auto typed = [&]() -> CLI::App* {
    const auto found =
        std::ranges::find_if(commands, [](const CLI::App* command) { return command->parsed(); });
    return found == commands.end() ? nullptr : *found;
  };
  try {
    app.parse(
        std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::CallForHelp&) {
    return std::unexpected(Stop{ExitStatus::done, (typed() == nullptr ? &app : typed())->help()});
  } catch (const CLI::CallForVersion&) {
    return std::unexpected(Stop{ExitStatus::done, "pointsman " POINTSMAN_VERSION "\n"});
  } catch (const CLI::ParseError& error) {
    return std::unexpected(
        usage_error(typed() == nullptr ? "" : typed()->get_name(), printable(error.what())));
  }

  const CLI::App* command = typed();
  const auto at = static_cast<std::size_t>(std::ranges::find(commands, command) - commands.begin());
  Invocation invocation = std::move(invocations[at]);
  invocation.config_given = reads_configuration(invocation.command) && command->count("--config") > 0;
  if (invocation.file == "-" && (invocation.rotate || invocation.add))
    return std::unexpected(usage_error("keygen", "--rotate and --add need a file that exists"));
  if (invocation.command == Command::events && invocation.json && command->count("-n") == 0)
    invocation.limit = max_limit;
  for (const std::string& entry : invocation.admin_sockets) {
    const auto split = entry.find("=/");
    if (split == 0 || split == std::string::npos)
      return std::unexpected(usage_error("setup", "--admin-socket takes NAME=PATH, the path from the root"));
  }
  invocation.restart_timeout = std::chrono::seconds(raw.restart_timeout_s);
  if (const auto wait = conf::parse_duration(raw.max_wait))
    invocation.max_wait = std::chrono::ceil<std::chrono::milliseconds>(*wait);
  if (const auto timeout = conf::parse_duration(raw.timeout))
    invocation.timeout = std::chrono::ceil<std::chrono::milliseconds>(*timeout);
  invocation.on = raw.on_off == "on";
  invocation.interval = std::chrono::milliseconds(static_cast<long long>(raw.interval_s * 1000));
  return invocation;
}

}  // namespace pointsman::proxy::cli
