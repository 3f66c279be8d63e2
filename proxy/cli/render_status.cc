#include "proxy/cli/render_status.h"

#include <algorithm>

#include "proxy/cli/fields.h"
#include "proxy/cli/render_backend.h"

namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;

std::string count_of(const json& object, const char* key) {
  const auto number = number_of(object, key);
  return number ? text_of(object, key) : "?";
}

std::string duration_in_state(const json& status) {
  const auto since = number_of(status, "since_ms");
  return since ? " for " + human_ms(*since) : "";
}

std::string held_clients(const json& status) {
  const auto held = number_of(child(status, "sessions"), "held");
  return held ? "new clients are held (" + text_of(child(status, "sessions"), "held") + " waiting)"
              : "new clients are held";
}

// What a person can type to get a primary again, when the daemon does not say it itself.
std::vector<std::string> guess_next(const std::vector<json>& backends) {
  std::vector<std::string> writable;
  std::vector<std::string> able;
  std::vector<std::string> silent;
  std::vector<std::string> unwell;
  for (const json& backend : backends) {
    const std::string name = text_of(backend, "name");
    const std::string verdict = text_of(backend, "verdict");
    const std::string role = text_of(backend, "role");
    if (verdict == "degraded") unwell.push_back(name);
    if (verdict != "up" && verdict != "degraded") silent.push_back(name);
    if (verdict != "up" || role == "quarantined" || role == "maintenance") continue;
    able.push_back(name);
    if (flag_of(backend, "read_only") == false) writable.push_back(name);
  }
  const std::vector<std::string>& candidates = writable.empty() ? able : writable;
  if (candidates.empty() && silent.empty() && !unwell.empty()) {
    return {"repair what keeps " + joined(unwell, " and ") +
            " from serving (see below); pointsman sees it by itself"};
  }
  if (candidates.empty()) {
    return {"start a database server" +
            (silent.empty() ? std::string() : " (" + joined(silent, " or ") + ")") +
            "; pointsman sees by itself that it is back"};
  }
  std::vector<std::string> next{"pointsman explain"};
  for (const std::string& name : candidates) next.push_back("pointsman failover --to " + name);
  return next;
}

// The commands that a sentence of the daemon names: "...; resolve it with: pointsman failover --to db1
// --force".
std::vector<std::string> commands_in(const std::string& sentence) {
  std::vector<std::string> commands;
  for (std::size_t at = sentence.find("pointsman "); at != std::string::npos;) {
    const std::size_t end = std::min(sentence.find_first_of("`;", at), sentence.size());
    const std::string command = sentence.substr(at, end - at);
    if (!command.contains(" NAME")) commands.push_back(command);
    at = sentence.find("pointsman ", end);
  }
  return commands;
}

// One command a line, so that each can be copied as it is.
void add_next(std::string& out, const json& status, const Style& style) {
  std::vector<std::string> next = texts_of(status, "next");
  if (next.empty() && text_of(status, "state") == "no_primary") next = commands_in(text_of(status, "reason"));
  if (next.empty() && text_of(status, "state") == "no_primary")
    next = guess_next(objects_of(status, "backends"));
  const char* label = "next: ";
  for (const std::string& command : next) {
    out += "  " + toned(label, Tone::faint, style) + Text(command, Tone::strong).wrap(style, 8, 8) + '\n';
    label = "or:   ";
  }
}

// For every state but steady: what it is, since when, why, and the next command, before anything else.
std::string alert(const json& status, const Style& style) {
  const std::string state = text_of(status, "state");
  const std::string duration = duration_in_state(status);
  Text line;
  std::string out;
  if (const auto left = number_of(status, "draining_ms")) {
    line.add("DRAINING", Tone::caution)
        .add(": new clients are refused; the daemon ends with its last session, in " + human_ms(*left) +
             " at the latest");
    out = line.wrap(style, 0, 2) + '\n';
    line = {};
  }
  if (state == "no_primary") {
    line.add(" NO PRIMARY" + duration + " ", Tone::alarm).add(" " + held_clients(status), Tone::bad);
  } else if (state == "paused") {
    line.add("PAUSED" + duration, Tone::caution).add(": " + held_clients(status) + "; this lets them go: ");
    line.add("pointsman resume", Tone::strong);
  } else if (state == "failing_over" || state == "switching_over") {
    line.add(state == "failing_over" ? "FAILING OVER" : "SWITCHING OVER", Tone::caution)
        .add(duration, Tone::caution);
    if (const std::string step = text_of(status, "step"); !step.empty()) line.add(": " + step);
    line.add("; " + held_clients(status));
  } else {
    return out.empty() ? out : out + '\n';
  }
  out += line.wrap(style, 0, 2) + '\n';
  if (const std::string reason = text_of(status, "reason"); !reason.empty()) {
    out += "  " + toned("why:  ", Tone::faint, style) +
           Text(reason, state == "no_primary" ? Tone::bad : Tone::plain).wrap(style, 8, 8) + '\n';
  }
  add_next(out, status, style);
  return out + '\n';
}

std::string headline(const json& status, const Style& style) {
  const std::string state = text_of(status, "state");
  Chain line(style);
  line.add(Text("pointsman " + text_of(status, "version"), Tone::strong));
  if (state == "steady") {
    line.add(Text("steady" + duration_in_state(status), Tone::good));
  } else if (state != "no_primary") {
    std::string words = state.empty() ? "state unknown" : state;
    std::ranges::replace(words, '_', ' ');
    line.add(Text(words, Tone::caution));
  }
  const std::string primary = text_of(status, "primary");
  line.add(primary.empty() ? Text("no primary", Tone::bad) : Text("primary ").add(primary, Tone::strong));
  if (number_of(status, "epoch")) line.add("epoch " + text_of(status, "epoch"));
  if (const auto automatic = flag_of(status, "automatic")) {
    line.add(*automatic ? Text("automatic failover on") : Text("automatic failover OFF", Tone::caution));
  }
  std::string out = line.text().wrap(style, 0, 2) + '\n';

  Chain second(style);
  const json& sessions = child(status, "sessions");
  if (const auto listen = texts_of(status, "listen"); !listen.empty())
    second.add("listen " + joined(listen, ", "));
  if (sessions.is_object()) {
    const bool held = number_of(sessions, "held").value_or(0) > 0;
    second.add(Text("sessions " + count_of(sessions, "active") + " active, ")
                   .add(count_of(sessions, "held") + " held", held ? Tone::caution : Tone::plain)
                   .add(", " + count_of(sessions, "total") + " total"));
    const std::size_t formers = objects_of(status, "former").size();
    if (formers > 0) {
      second.add(Text(count_of(sessions, "former") + " served by " + std::to_string(formers) +
                      (formers == 1 ? " former process" : " former processes")));
    }
  }
  if (const auto uptime = number_of(status, "uptime_s")) second.add("up " + human_ms(*uptime * 1000));
  if (number_of(status, "pid")) second.add("pid " + text_of(status, "pid"));
  if (!second.empty()) out += second.text().wrap(style, 0, 2) + '\n';
  return out;
}

// While commits are answered without a replica: since when, and what is lost with the primary.
std::string semi_sync(const json& status, const Style& style) {
  const json& phase = child(status, "semi_sync");
  const std::string since = text_of(phase, "degraded_since");
  const std::string at = text_of(phase, "degraded_at");
  const std::string state = text_of(phase, "state");
  if (state != "degraded" && state != "catching_up") return "";
  Chain line(style);
  line.add(Text(state == "degraded" ? "semi-sync DEGRADED" : "semi-sync catching up", Tone::caution));
  if (!since.empty()) line.add("since " + since + (at.empty() ? "" : " at " + at));
  if (const auto count = number_of(phase, "at_stake"))
    line.add(Text(text_of(phase, "at_stake") + (*count == 1 ? " transaction" : " transactions") + " at stake",
                  *count > 0 ? Tone::bad : Tone::plain));
  return '\n' + line.text().wrap(style, 0, 2) + '\n';
}

std::string warnings(const json& status, const Style& style) {
  std::string out;
  for (const std::string& warning : texts_of(status, "warnings")) {
    out += toned("! ", Tone::caution, style) + Text(warning, Tone::caution).wrap(style, 2, 2) + '\n';
  }
  return out.empty() ? out : '\n' + out;
}

}  // namespace

std::string render_status(const json& status, const Style& style) {
  std::string out = alert(status, style) + headline(status, style);
  const std::vector<json> backends = objects_of(status, "backends");
  if (!backends.empty())
    out += '\n' + render_backends(backends, text_of(status, "state") == "no_primary", style);
  return out + semi_sync(status, style) + warnings(status, style);
}

std::string status_fingerprint(const json& status) {
  json news = json::object();
  for (const char* key :
       {"state", "primary", "epoch", "automatic", "reason", "step", "listen", "warnings", "pid"}) {
    news[key] = child(status, key);
  }
  for (const char* key : {"state", "degraded_at"})
    news[std::string("semi_sync_") + key] = child(child(status, "semi_sync"), key);
  for (const json& backend : objects_of(status, "backends")) {
    json one = json::object();
    for (const char* key : {"name", "address", "role", "verdict", "server", "read_only", "errant", "lost",
                            "priority", "never_promote", "chained"}) {
      one[key] = child(backend, key);
    }
    one["probe"] = child(child(backend, "probe"), "ok");
    for (const char* link : {"udp", "serial"})
      one[link] = child(child(child(backend, "links"), link), "state");
    for (const char* key : {"source", "io", "sql", "semi_sync", "error"}) {
      one[std::string("replication_") + key] = child(child(backend, "replication"), key);
    }
    news["backends"].push_back(std::move(one));
  }
  return news.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace pointsman::proxy::cli
