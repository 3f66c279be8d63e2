#include "proxy/cli/render_setup.h"

#include <unistd.h>

#include "proxy/cli/terminal.h"

namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;
using setup::Action;
using Stage = setup::CopyProgress::Stage;
using Weight = setup::Finding::Weight;

constexpr std::chrono::seconds between_lines{10};  // of progress, where there is no terminal

const char* word(Action action) {
  switch (action) {
    case Action::adopt:
      return "adopt";
    case Action::follow:
      return "follow";
    case Action::copy:
      return "copy";
  }
  return "?";
}

const char* sentence(const setup::Assignment& assignment) {
  switch (assignment.action) {
    case Action::adopt:
      return "is left as it is";
    case Action::follow:
      return "is set to replicate";
    case Action::copy:
      return assignment.overwrite ? "loses its data and gets a copy" : "gets a copy";
  }
  return "";
}

json to_json(const setup::Finding& finding) {
  return {{"server", finding.server},   {"weight", finding.weight == Weight::fatal ? "fatal" : "advice"},
          {"setting", finding.setting}, {"found", finding.found},
          {"wanted", finding.wanted},   {"why", finding.why},
          {"line", finding.line}};
}

std::string finding_text(const setup::Finding& finding) {
  const std::string what = finding.setting.empty() ? finding.found
                                                   : finding.setting + " is " +
                                                         (finding.found.empty() ? "not set" : finding.found);
  return finding.server + ": " + what + (finding.weight == Weight::fatal ? ", must be " : ", better ") +
         finding.wanted + ": " + finding.why;
}

std::string seconds_text(core::Duration took) {
  return human_ms(core::to_ms_exact(took));
}

}  // namespace

std::string copy_line(const std::string& server, const setup::CopyProgress& progress) {
  std::string text = server + ": ";
  switch (progress.stage) {
    case Stage::preparing:
      return text + "preparing the copy";
    case Stage::clearing:
      return text + "clearing";
    case Stage::applying:
      return text + "applying to the copy what was written meanwhile";
    case Stage::restarting:
      return text + "has the copy, and restarts with it";
    case Stage::stopped:
      return text + "has the copy and has stopped: start it (systemctl start mysql); waiting for it";
    case Stage::finishing:
      return text + "finishing the copy";
    case Stage::copying:
      break;
  }
  text += "copying";
  if (!progress.what.empty()) text += " " + printable(progress.what);
  text += ", " + human_bytes(static_cast<double>(progress.bytes));
  if (progress.expected_bytes > progress.bytes) {
    text += " of about " + human_bytes(static_cast<double>(progress.expected_bytes));
  }
  return text;
}

void SetupTeller::print(const std::string& text) {
  std::string out;
  if (line_open_) out = "\r\x1b[K";
  line_open_ = false;
  last_line_.clear();
  write_all(STDOUT_FILENO, out + text + "\n");
}

void SetupTeller::transient(const std::string& text) {
  if (json_ || text == last_line_) return;
  if (terminal_) {
    write_all(STDOUT_FILENO, "\r\x1b[K" + text.substr(0, style_.width - 1));
    line_open_ = true;
    last_line_ = text;
    return;
  }
  print(text);
  last_line_ = text;
}

void SetupTeller::on_findings(const std::vector<setup::Survey>& servers,
                              const std::vector<setup::Finding>& findings) {
  if (json_) {
    collected_["findings"] = json::array();
    for (const auto& finding : findings) collected_["findings"].push_back(to_json(finding));
    return;
  }
  Table table({{.title = "NAME"}, {.title = "SERVER"}, {.title = "ADDRESS"}, {.title = "DATA"}});
  for (const auto& server : servers) {
    const std::string product = server.report.flavour == core::Flavour::mariadb ? "MariaDB " : "MySQL ";
    const std::string& version = server.report.version;
    table.add({server.name, printable(product + version.substr(0, version.find('-'))),
               conf::to_string(server.address),
               printable(server.unfinished() ? "an unfinished copy" : server.contents.summary())});
  }
  print(table.render(style_));
  for (const auto& finding : findings) {
    const Tone tone = finding.weight == Weight::fatal ? Tone::bad : Tone::caution;
    print(toned("! ", tone, style_) + Text(printable(finding_text(finding)), tone).wrap(style_, 2, 2));
  }
  for (const auto& server : servers) {
    const std::string lines = setup::my_cnf_lines(findings, server.name);
    if (!lines.empty())
      print("\nFor my.cnf of " + server.name + ", and a restart:\n\n" + lines.substr(0, lines.size() - 1));
  }
  print("");
}

void SetupTeller::on_decision(const std::vector<setup::Survey>& servers, const setup::Decision& decision) {
  const std::string& primary = servers[decision.primary].name;
  if (json_) {
    collected_["primary"] = primary;
    return;
  }
  print(primary + " is the primary: " + decision.why);
  for (const auto& entry : decision.replicas) {
    print(servers[entry.server].name + " " + sentence(entry) + ": " + entry.why);
  }
}

void SetupTeller::on_step(const std::string& server, const std::string& text) {
  if (!json_) print(toned(server, Tone::strong, style_) + ": " + printable(text));
}

void SetupTeller::on_statement(const std::string& server, const std::string& sql) {
  if (json_) {
    collected_["statements"].push_back({{"server", server}, {"sql", sql}});
    return;
  }
  print(server + "> " + printable(sql));
}

void SetupTeller::on_copy(const std::string& server, const setup::CopyProgress& progress) {
  const auto now = std::chrono::steady_clock::now();
  const bool brief = progress.stage == Stage::preparing || progress.stage == Stage::clearing ||
                     progress.stage == Stage::finishing;
  if (!terminal_ && brief) return;
  if (!terminal_ && progress.stage == Stage::copying) {
    if (now < next_line_) return;
    next_line_ = now + between_lines;
  }
  transient(copy_line(server, progress));
  if (progress.stage == Stage::stopped && json_) {
    write_all(STDERR_FILENO, copy_line(server, progress) + "\n");
  }
}

void SetupTeller::on_catching_up(const std::string& server, std::uint64_t missing) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ && now < next_line_) return;
  next_line_ = now + between_lines;
  transient(server + ": catching up, " + std::to_string(missing) + " transactions behind");
}

void SetupTeller::print_json() {
  write_all(STDOUT_FILENO, collected_.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

void SetupTeller::tell_done(const setup::SetupDone& done) {
  if (json_) {
    collected_["ok"] = true;
    collected_["changed"] = done.changed;
    collected_["replicas"] = json::array();
    for (const auto& replica : done.replicas) {
      collected_["replicas"].push_back({{"name", replica.name},
                                        {"action", word(replica.action)},
                                        {"bytes", replica.bytes},
                                        {"ms", core::to_ms(replica.took)}});
    }
    return print_json();
  }
  if (done.dry_run) return print("\nNothing was changed.");
  if (!done.changed)
    return print("\n" + toned("ok", Tone::good, style_) + ": replication runs already; nothing was changed");
  print("");
  for (const auto& replica : done.replicas) {
    std::string text =
        toned("ok", Tone::good, style_) + ": " + replica.name + " replicates from " + done.primary;
    if (replica.action == Action::copy) {
      text +=
          ", copied " + human_bytes(static_cast<double>(replica.bytes)) + " in " + seconds_text(replica.took);
    }
    print(text);
  }
  print("Next: pointsman run, or systemctl enable --now pointsman; then pointsman status");
}

void SetupTeller::tell_failed(const std::vector<std::string>& reasons) {
  if (json_) {
    collected_["ok"] = false;
    collected_["errors"] = reasons;
    print_json();
  } else if (line_open_) {
    print(last_line_);
  }
  for (const auto& reason : reasons) {
    std::string text;
    for (std::size_t at = 0; at <= reason.size();) {
      const auto end = std::min(reason.find('\n', at), reason.size());
      text += printable(reason.substr(at, end - at)) + "\n";
      at = end + 1;
    }
    write_all(STDERR_FILENO, "pointsman: " + text);
  }
}

void SetupTeller::tell_notes(const std::vector<std::string>& notes) {
  for (const auto& note : notes) write_all(STDERR_FILENO, "pointsman: " + printable(note) + "\n");
}

}  // namespace pointsman::proxy::cli
