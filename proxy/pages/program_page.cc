#include "proxy/pages/program_page.h"

#include <algorithm>

#include "proxy/pages/roff.h"

namespace pointsman::proxy::pages {
namespace {

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : std::string(between)) + word;
  return text;
}

// --help, which every command has, is told once.
bool is_help(const Option& option) {
  return std::ranges::find(option.names, "--help") != option.names.end();
}

void write_options(Roff& roff, const std::vector<Option>& options) {
  for (const Option& option : options) roff.item({joined(option.names, ", ")}, option.value, option.text);
}

void write_command(Roff& roff, const CommandText& command) {
  roff.item({command.name}, command.usage, command.summary);
  roff.indent();
  if (!command.text.empty()) roff.paragraphs(command.text);
  std::vector<Option> own = command.options;
  std::erase_if(own, is_help);
  write_options(roff, own);
  if (!command.example.empty()) {
    roff.paragraphs(command.example.find('\n') == std::string::npos ? "Example:" : "Examples:");
    roff.example(command.example);
  }
  roff.outdent();
}

void write_rows(Roff& roff, std::string_view section, const std::vector<Row>& rows) {
  if (rows.empty()) return;
  roff.section(section);
  for (const Row& row : rows) roff.item({std::string(row.word)}, "", row.text);
}

}  // namespace

std::string program_page(const Program& program, const About& about) {
  Roff roff(program.name, 8, POINTSMAN_VERSION);
  roff.section("NAME");
  roff.line(program.name + " - " + std::string(about.summary));
  roff.section("SYNOPSIS");
  roff.paragraphs("`" + program.name + "` COMMAND [OPTIONS]");
  roff.section("DESCRIPTION");
  roff.paragraphs(program.text);
  roff.paragraphs(about.text);
  roff.section("COMMANDS");
  std::string_view group;
  for (const CommandText& command : program.commands) {
    if (group != command.group) {
      group = command.group;
      roff.subsection(group);
    }
    write_command(roff, command);
  }
  roff.section("OPTIONS");
  write_options(roff, program.options);
  write_rows(roff, "EXIT STATUS", about.exits);
  write_rows(roff, "SIGNALS", about.signals);
  write_rows(roff, "FILES", about.files);
  roff.section("SEE ALSO");
  roff.paragraphs(about.see_also);
  return roff.text();
}

About about_pointsman() {
  return {
      .summary = "one MySQL address that follows the primary",
      .text = R"(Two or more MySQL or MariaDB servers replicate, one primary and its replicas.
The daemon owns the address that applications connect to, and passes them on to
the primary. It watches every server; when the primary fails it makes sure that
the primary does not write any more, promotes a replica, lets the clients go
there, and takes the old primary back as a replica when it returns.

Most commands talk to the daemon by its admin socket. Root may do so, and whoever
is in the group `pointsman`.)",
      .exits = {{"0", "done"},
                {"1", "refused or failed; the reason is on standard error"},
                {"2", "wrong usage"},
                {"3", "no daemon"}},
      .signals = {{"SIGTERM, SIGINT", "end `pointsman run`; client sessions end with it"},
                  {"SIGHUP", "reads the configuration again, as `pointsman reload` does"}},
      .files =
          {{"/etc/pointsman/pointsman.toml", "the configuration, pointsman.toml(5)"},
           {"/etc/pointsman/authkeys", "the keys that sign heartbeats, the same on every host; mode 0600"},
           {"/var/lib/pointsman",
            "epoch, primary and journal of failovers; under rescue/ what was saved of servers that returned"},
           {"/run/pointsman/admin.sock", "the daemon's admin socket, mode 0660"},
           {"/usr/share/doc/pointsman/examples",
            "a commented sample of the configuration, alerts for Prometheus, a dashboard for Grafana"}},
      .see_also =
          "pointsman.toml(5), pointsman-agent(8), systemctl(1), journalctl(1), "
          "file:///usr/share/doc/pointsman/README.md",
  };
}

About about_agent() {
  return {
      .summary = "heartbeats and fencing on a database host, for Pointsman",
      .text = R"(One runs on each database host, beside the server. It sends heartbeats over UDP
and a serial line, sees mysqld die or hang from the inside, and holds a lease:
when no frame of Pointsman comes on any link for so long, it ends the clients of the
server and makes it read-only, so that another one can be promoted.

It runs as root: it kills a hung mysqld, which has a user of its own, and reads
what /proc tells of it.)",
      .exits = {{"0", "done"},
                {"1", "refused or failed; the reason is on standard error"},
                {"2", "wrong usage"}},
      .signals =
          {{"SIGTERM, SIGINT",
            "end `pointsman-agent run`; the server is left as it is. `copies` takes back what is under way"},
           {"SIGHUP", "opens the log file and reads the authkeys again"}},
      .files = {{"/etc/pointsman/agent.toml", "the configuration, agent.toml(5)"},
                {"/etc/pointsman/authkeys",
                 "the keys that sign heartbeats, the same on every host; mode 0600"},
                {"/run/pointsman-agent",
                 "remembers over a restart of the agent that this host holds the primary's role"},
                {"/var/lib/pointsman-agent", "remembers how far a copy of the data has come"},
                {"/usr/share/doc/pointsman-agent/examples/agent.toml",
                 "a commented sample of the configuration"}},
      .see_also = "agent.toml(5), pointsman(8), systemctl(1), journalctl(1)",
  };
}

}  // namespace pointsman::proxy::pages
