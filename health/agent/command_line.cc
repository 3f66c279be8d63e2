#include "health/agent/command_line.h"

#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include "conf/authkeys.h"
#include "health/io/keyring.h"

namespace pointsman::agent {
namespace {

enum Status : int { done = 0, refused = 1, usage = 2 };

constexpr const char* about =
    "pointsman-agent tells Pointsman how the MySQL or MariaDB server of this host is, and ends its writes "
    "when\n"
    "Pointsman orders it or is not heard any more.";
constexpr const char* footer = "\nExit status: 0 done, 1 refused or failed, 2 wrong usage.";

void complain(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
}

void complain(const std::vector<conf::Problem>& problems) {
  for (const conf::Problem& problem : problems) complain(conf::to_string(problem));
}

Status start(const std::string& file, const Run& run) {
  auto config = conf::load_agent(file);
  if (!config) {
    complain(config.error());
    complain("pointsman-agent: the configuration is wrong; not started");
    return refused;
  }
  return static_cast<Status>(run(std::move(*config)));
}

std::string ways(const conf::AgentHeartbeat& heartbeat) {
  std::string text;
  for (const conf::HostPort& proxy : heartbeat.proxies)
    text += (text.empty() ? "" : ", ") + conf::to_string(proxy);
  if (heartbeat.serial) {
    text +=
        (text.empty() ? "" : ", ") + *heartbeat.serial + " at " + std::to_string(heartbeat.baud) + " baud";
  }
  return text;
}

std::string copies_text(const conf::AgentCopy& copy) {
  if (copy.listen.empty()) return "none (copy.listen)";
  return "on " + copy.listen + " (tcp)" +
         (copy.stop_command.empty() ? ", from this server only: no copy.stop_command and copy.start_command"
                                    : "");
}

Status check(const std::string& file) {
  const auto config = conf::load_agent(file);
  if (!config) {
    complain(config.error());
    return refused;
  }
  const auto keys = conf::load_authkeys(config->heartbeat.authkeys);
  if (!keys) {
    complain(keys.error());
    return refused;
  }
  if (const auto made = io::AuthKeyring::make(*keys); !made) {
    complain(made.error());
    return refused;
  }
  std::printf(
      "ok: %s\n\n  node %s, listens on %s (udp)\n  to Pointsman by %s\n  server behind %s, as user %s\n",
      file.c_str(), config->heartbeat.node.c_str(), conf::to_string(config->heartbeat.listen).c_str(),
      ways(config->heartbeat).c_str(), config->mysql.socket.c_str(), config->mysql.account.user.c_str());
  std::printf("  copies: %s\n", copies_text(config->copy).c_str());
  for (const std::string& warning : conf::authkeys_warnings(*keys)) std::printf("! %s\n", warning.c_str());
  const bool two_ways = !config->heartbeat.proxies.empty() && config->heartbeat.serial;
  if (!two_ways)
    std::printf(
        "! one way to Pointsman only: with a second one (udp and serial) a cut cable is no dead host\n");
  return done;
}

// All that can be typed. CLI11 writes into it, so it stays where it is.
struct CommandLine {
  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  CLI::App app{about, "pointsman-agent"};
  std::string file = "/etc/pointsman/agent.toml";
  CLI::App* run_command = app.add_subcommand("run", "the agent, in the foreground");
  CLI::App* copies_command = app.add_subcommand(
      "copies", "copies the server's data when `pointsman setup` asks for it; in the foreground");
  CLI::App* check_command = app.add_subcommand("check", "validates the configuration and its authkeys");
};

CommandLine::CommandLine() {
  app.set_help_flag("-h,--help", "this text");
  app.set_version_flag("--version", "pointsman-agent " POINTSMAN_VERSION);
  app.footer(footer);
  app.require_subcommand(1);
  for (CLI::App* command : {run_command, copies_command, check_command})
    command->add_option("-c,--config", file, "the configuration (/etc/pointsman/agent.toml)")
        ->type_name("FILE");
}

}  // namespace

void describe_command_line(const std::function<void(const CLI::App&)>& reader) {
  reader(CommandLine().app);
}

int command_line(int argc, const char* const* argv, const Run& run, const Run& copies) {
  try {
    CommandLine line;
    try {
      line.app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return line.app.exit(error) == 0 ? done : usage;
    }
    if (line.run_command->parsed()) return start(line.file, run);
    return line.copies_command->parsed() ? start(line.file, copies) : check(line.file);
  } catch (const std::exception& error) {
    complain(std::string("pointsman-agent: internal error: ") + error.what());
    return refused;
  }
}

}  // namespace pointsman::agent
