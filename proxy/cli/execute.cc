#include "proxy/cli/execute.h"

#include <algorithm>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

#include "conf/describe.h"
#include "conf/loader.h"
#include "proxy/cli/ask.h"
#include "proxy/cli/fields.h"
#include "proxy/cli/import_heartbeat.h"
#include "proxy/cli/keygen.h"
#include "proxy/cli/render_answers.h"
#include "proxy/cli/render_events.h"
#include "proxy/cli/render_status.h"
#include "proxy/cli/setup.h"
#include "proxy/cli/terminal.h"
#include "proxy/cli/verify.h"
#include "proxy/cli/watch.h"

namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;

void print(const std::string& text) {
  write_all(STDOUT_FILENO, text);
}
void complain(const std::string& text) {
  write_all(STDERR_FILENO, text);
}
void print_json(const json& value) {
  print(value.dump(2, ' ', false, json::error_handler_t::replace) + '\n');
}

void print_problems(const std::vector<conf::Problem>& problems) {
  for (const conf::Problem& problem : problems) complain(conf::to_string(problem) + '\n');
}

ExitStatus check(const Invocation& invocation) {
  const auto config = conf::load(invocation.config);
  if (!config) {
    if (invocation.json) {
      print_json(problems_json(config.error()));
    } else {
      print_problems(config.error());
    }
    return ExitStatus::refused;
  }
  const std::vector<std::string> advice = conf::advice(*config);
  if (invocation.json) {
    print_json({{"ok", true}, {"summary", conf::summary(*config)}, {"advice", advice}});
    return ExitStatus::done;
  }
  const Style style = style_of(STDOUT_FILENO);
  std::string out =
      toned("ok", Tone::good, style) + ": " + printable(invocation.config) + "\n\n" + conf::summary(*config);
  if (!advice.empty()) out += '\n';
  for (const std::string& sentence : advice) {
    out += toned("! ", Tone::caution, style) + Text(sentence, Tone::caution).wrap(style, 2, 2) + '\n';
  }
  print(out);
  return ExitStatus::done;
}

ExitStatus run_the_daemon(const Invocation& invocation, const RunDaemon& run_daemon) {
  auto config = conf::load(invocation.config);
  if (!config) {
    print_problems(config.error());
    complain("pointsman: the configuration is wrong; not started\n");
    return ExitStatus::refused;
  }
  return static_cast<ExitStatus>(run_daemon(std::move(*config), invocation.takeover));
}

// Names of files may hold anything.
std::string printable_lines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out += printable(text.substr(0, end)) + '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

ExitStatus make_keys(const Invocation& invocation) {
  const KeygenMode mode = invocation.rotate ? KeygenMode::rotate
                          : invocation.add  ? KeygenMode::add
                                            : KeygenMode::create;
  const auto done = keygen(invocation.file, mode);
  if (!done) {
    complain("pointsman: " + printable_lines(done.error()));
    return ExitStatus::refused;
  }
  print(printable_lines(*done));
  return ExitStatus::done;
}

// What was written, and what is left for a person to do.
ExitStatus import_installation(const Invocation& invocation) {
  const auto imported = import_heartbeat({.ha_cf = invocation.ha_cf,
                                          .haresources = invocation.haresources,
                                          .authkeys = invocation.authkeys,
                                          .output_dir = invocation.output_dir,
                                          .force = invocation.force});
  if (!imported) {
    if (invocation.json) {
      print_json(problems_json(imported.error()));
    } else {
      print_problems(imported.error());
    }
    return ExitStatus::refused;
  }
  if (invocation.json) {
    json answer = problems_json(imported->notes);
    answer["notes"] = std::exchange(answer["problems"], json());
    answer.erase("problems");
    answer["ok"] = true;
    answer["written"] = imported->written;
    print_json(answer);
    return ExitStatus::done;
  }
  const Style style = style_of(STDOUT_FILENO);
  std::string out;
  for (const std::string& path : imported->written) {
    out += toned("wrote", Tone::good, style) + " " + printable(path) + "\n";
  }
  out += "\nWhat to look at, and what has no counterpart:\n";
  for (const conf::Problem& note : imported->notes) {
    out +=
        toned("! ", Tone::caution, style) + Text(printable(conf::to_string(note))).wrap(style, 2, 2) + "\n";
  }
  out += "\nThen: pointsman check -c " + printable(imported->written.front()) + "\n";
  print(out);
  return ExitStatus::done;
}

// The answer in text; what stands against a dry run goes to standard error by the caller.
std::string render(const Invocation& invocation, const json& result, const Style& style) {
  switch (invocation.command) {
    case Command::status:
      return render_status(result, style);
    case Command::explain:
      return render_explain(result, style);
    case Command::events:
      return render_events(result, style);
    case Command::sessions:
      return render_sessions(result, style);
    case Command::switchover:
    case Command::failover:
      if (invocation.dry_run) return render_plan("switchover", result, style);
      return child(result, "kind").is_string() ? render_change(result, style) : render_message(result, style);
    default:
      return render_message(result, style);
  }
}

void print_answer(const Invocation& invocation, const json& result) {
  if (!invocation.json) return print(render(invocation, result, style_of(STDOUT_FILENO)));
  if (invocation.command != Command::events) return print_json(result);
  for (const json& event : objects_of(result, "events")) print(admin_line(event));
}

ExitStatus fail(const AdminFailure& failure, bool changes) {
  std::string text = "pointsman: " + failure.text + '\n';
  if (changes && failure.kind == AdminFailure::Kind::lost) {
    text += "It may have done it nevertheless; look with: pointsman status; pointsman events\n";
  }
  complain(text);
  return exit_status_of(failure, changes);
}

// What a command does that ends with its answer.
ExitStatus ask_once(const Invocation& invocation, const std::string& socket) {
  const auto answer = ask(socket, request_of(invocation), patience_of(invocation));
  if (!answer) return fail(answer.error(), changes_something(invocation));
  if (flag_of(*answer, "ok") != true) {
    complain("pointsman: " + refusal_of(*answer) + '\n');
    return ExitStatus::refused;
  }
  const json& result = child(*answer, "result");
  if (is_failed(result)) {
    if (invocation.json) print_json(result);
    complain(render_change(result, style_of(STDERR_FILENO)));
    return ExitStatus::refused;
  }
  print_answer(invocation, result);
  const std::vector<std::string> refused = texts_of(result, "refused");
  for (const std::string& reason : refused) complain("pointsman: refused: " + reason + '\n');
  const bool impossible = !refused.empty() && objects_of(result, "plan").empty();
  return impossible ? ExitStatus::refused : ExitStatus::done;
}

}  // namespace

ExitStatus execute(const Invocation& invocation, const RunDaemon& run_daemon) {
  if (invocation.command == Command::run) return run_the_daemon(invocation, run_daemon);
  if (invocation.command == Command::check) return check(invocation);
  if (invocation.command == Command::keygen) return make_keys(invocation);
  if (invocation.command == Command::import_heartbeat) return import_installation(invocation);
  if (invocation.command == Command::setup) return set_up(invocation);
  if (invocation.command == Command::verify) return verify_data(invocation);
  const auto socket = socket_of(invocation);
  if (!socket) {
    complain("pointsman: " + socket.error() + '\n');
    return ExitStatus::refused;
  }
  const Outcome outcome = invocation.watch    ? watch_status(invocation, *socket)
                          : invocation.follow ? follow_events(invocation, *socket)
                                              : Outcome{ask_once(invocation, *socket), ""};
  if (!outcome.complaint.empty()) complain("pointsman: " + outcome.complaint + '\n');
  return outcome.status;
}

int run(int argc, const char* const* argv, const RunDaemon& run_daemon) {
  try {
    const auto invocation = parse_command_line({argv + (argc > 0 ? 1 : 0), argv + argc});
    if (!invocation) {
      const Stop& stop = invocation.error();
      write_all(stop.status == ExitStatus::done ? STDOUT_FILENO : STDERR_FILENO, stop.text);
      return static_cast<int>(stop.status);
    }
    return static_cast<int>(execute(*invocation, run_daemon));
  } catch (const std::exception& error) {
    complain(std::string("pointsman: internal error: ") + error.what() + '\n');
    return static_cast<int>(ExitStatus::refused);
  }
}

}  // namespace pointsman::proxy::cli
