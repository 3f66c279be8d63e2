#include "proxy/cli/render_backend.h"

#include <utility>

#include "conf/config.h"
#include "proxy/cli/fields.h"

namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;

Tone tone_of_role(const std::string& role) {
  if (role == "primary") return Tone::strong;
  if (role == "fenced" || role == "quarantined") return Tone::bad;
  if (role == "maintenance") return Tone::caution;
  return role == "unknown" ? Tone::faint : Tone::plain;
}

Tone tone_of_verdict(const std::string& verdict) {
  if (verdict == "up") return Tone::good;
  if (verdict == "suspect" || verdict == "degraded") return Tone::caution;
  return verdict.empty() || verdict == "unknown" ? Tone::faint : Tone::bad;
}

Text probe_of(const json& backend) {
  const json& probe = child(backend, "probe");
  const auto ok = flag_of(probe, "ok");
  if (!ok) return {};
  if (!*ok) return {"failing", Tone::bad};
  const auto latency = number_of(probe, "latency_us");
  return latency ? Text(human_ms(*latency / 1000)) : Text("ok");
}

Text thread_state(const char* name, const json& replication, const char* key) {
  Text text(std::string(name) + " ");
  if (text_of(replication, key) == "connecting") return text.add("connecting", Tone::caution);
  const auto runs = flag_of(replication, key);
  if (!runs) return text.add("?", Tone::faint);
  return *runs ? text.add("ok") : text.add("stopped", Tone::bad);
}

Text replication_of(const json& backend) {
  const json& replication = child(backend, "replication");
  if (!replication.is_object()) return {};
  Text text;
  const std::string source = text_of(replication, "source");
  text.add("<- ", Tone::faint).add(source.empty() ? "?" : source).add(" ");
  text.add(thread_state("io", replication, "io")).add(", ").add(thread_state("sql", replication, "sql"));
  if (const auto lag = number_of(replication, "lag_ms")) {
    text.add(", ").add("lag " + human_ms(*lag), *lag >= 10'000 ? Tone::caution : Tone::plain);
  } else if (flag_of(replication, "sql") == true) {
    text.add(", ").add("lag unknown", Tone::caution);
  }
  return text;
}

// Of a primary: its commits wait for a replica now. Of a replica: it confirms commits.
Text semi_sync_of(const json& backend) {
  const bool primary = text_of(backend, "role") == "primary";
  const auto on =
      primary ? flag_of(backend, "semi_sync_source") : flag_of(child(backend, "replication"), "semi_sync");
  return on ? Text(*on ? "on" : "off") : Text();
}

Text link_of(const json& links, const char* name) {
  const std::string state = text_of(child(links, name), "state");
  if (state.empty() || state == "off") return {};
  Text text(std::string(name) + " ");
  if (state == "alive") return text.add("alive", Tone::good);
  const auto age = number_of(child(links, name), "age_ms");
  return text.add(state + (age ? " " + human_ms(*age) : ""), state == "late" ? Tone::caution : Tone::bad);
}

Text links_of(const json& backend) {
  Text text = link_of(child(backend, "links"), "udp");
  const Text serial = link_of(child(backend, "links"), "serial");
  if (!text.empty() && !serial.empty()) text.add(", ");
  return text.add(serial);
}

// "MariaDB 10.11.19-MariaDB-0+deb12u1-log": what the packager added helps nobody here.
std::string server_of(const json& backend) {
  const std::string server = text_of(backend, "server");
  return server.substr(0, server.find('-'));
}

Text sessions_of(const json& backend) {
  return text_of(backend, "sessions");
}

// What a person must know besides the columns, worst first.
std::vector<Text> notes_of(const json& backend, bool positions) {
  std::vector<Text> notes;
  const std::string verdict = text_of(backend, "verdict");
  const std::string role = text_of(backend, "role");
  const std::string why = text_of(backend, "why");
  if (verdict != "up" && !why.empty()) {
    Text note(why, tone_of_verdict(verdict));
    const auto until = number_of(backend, "suspect_until_ms");
    if (until && *until > 0) note.add(" (decided in " + human_ms(*until) + " at the latest)", Tone::faint);
    notes.push_back(std::move(note));
  }
  const std::string error = text_of(child(backend, "probe"), "error");
  if (flag_of(child(backend, "probe"), "ok") == false && !error.empty() && error != why) {
    notes.emplace_back("probe: " + error, Tone::bad);
  }
  if (const std::string broken = text_of(child(backend, "replication"), "error"); !broken.empty()) {
    notes.emplace_back("replication: " + broken, Tone::bad);
  }
  if (const std::string trouble = text_of(backend, "trouble"); !trouble.empty())
    notes.emplace_back(trouble, Tone::caution);
  if (const auto errant = texts_of(backend, "errant"); !errant.empty()) {
    Text note("transactions of its own, unknown to the primary: " + joined(errant, ","), Tone::bad);
    if (role == "quarantined") {
      note.add("; it serves nobody until they are given up or carried over, and it is set up anew");
    }
    notes.push_back(std::move(note));
  }
  if (const auto lost = texts_of(backend, "lost"); !lost.empty()) {
    notes.emplace_back("lost in the failover: " + joined(lost, ","), Tone::bad);
  }
  const auto read_only = flag_of(backend, "read_only");
  const auto priority = number_of(backend, "priority");
  if (flag_of(backend, "never_promote") == true) {
    notes.emplace_back("never to be promoted (never_promote)", Tone::faint);
  } else if (priority && *priority != conf::Backend{}.priority) {
    notes.emplace_back("priority " + text_of(backend, "priority"), Tone::faint);
  }
  if (flag_of(backend, "chained") == true) notes.emplace_back("a replica of a replica", Tone::faint);
  if (role == "primary" && read_only == true)
    notes.emplace_back("accepts no writes: read_only is on", Tone::bad);
  if (role == "replica" && read_only == false)
    notes.emplace_back("accepts writes: read_only is off", Tone::caution);
  if (const auto executed = text_of(backend, "executed"); positions && !executed.empty()) {
    notes.emplace_back("has " + executed, Tone::faint);
  }
  return notes;
}

Text detail_line(const json& backend, const Style& style) {
  Chain line(style);
  line.add(replication_of(backend));
  if (const Text semi_sync = semi_sync_of(backend); !semi_sync.empty())
    line.add(Text("semi-sync ").add(semi_sync));
  return line.add(links_of(backend)).text();
}

Text marked_name(const json& backend, const Style& style) {
  const bool primary = text_of(backend, "role") == "primary";
  Text name(primary ? (style.unicode ? "\u25b8 " : "> ") : "  ", Tone::good);
  return name.add(text_of(backend, "name"), primary ? Tone::strong : Tone::plain);
}

using Align = Column::Align;

Table wide_table(const std::vector<json>& backends, bool positions, const Style& style) {
  Table table({{"  NAME"},
               {"ROLE"},
               {"VERDICT"},
               {"ADDRESS"},
               {"SERVER", Align::left, 1},
               {"REPLICATION", Align::left, 1},
               {"SEMI-SYNC", Align::left, 1},
               {"PROBE", Align::right, 1},
               {"LINKS", Align::left, 1},
               {"SESSIONS", Align::right, 1}});
  for (const json& backend : backends) {
    const std::string role = text_of(backend, "role");
    const std::string verdict = text_of(backend, "verdict");
    table.add({marked_name(backend, style),
               {role, tone_of_role(role)},
               {verdict, tone_of_verdict(verdict)},
               text_of(backend, "address"),
               server_of(backend),
               replication_of(backend),
               semi_sync_of(backend),
               probe_of(backend),
               links_of(backend),
               sessions_of(backend)},
              notes_of(backend, positions));
  }
  table.drop_empty_columns();
  return table;
}

Table narrow_table(const std::vector<json>& backends, bool positions, const Style& style) {
  Table table({{"  NAME"},
               {"ROLE"},
               {"VERDICT"},
               {"ADDRESS", Align::left, 1},
               {"SERVER", Align::left, 3},
               {"PROBE", Align::right, 2},
               {"SESSIONS", Align::right, 4}});
  for (const json& backend : backends) {
    const std::string role = text_of(backend, "role");
    const std::string verdict = text_of(backend, "verdict");
    std::vector<Text> notes = notes_of(backend, positions);
    if (Text details = detail_line(backend, style); !details.empty())
      notes.insert(notes.begin(), std::move(details));
    table.add({marked_name(backend, style),
               {role, tone_of_role(role)},
               {verdict, tone_of_verdict(verdict)},
               text_of(backend, "address"),
               server_of(backend),
               probe_of(backend),
               sessions_of(backend)},
              std::move(notes));
  }
  table.drop_empty_columns();
  return table;
}

}  // namespace

std::string render_backends(const std::vector<json>& backends, bool positions, const Style& style) {
  const Table wide = wide_table(backends, positions, style);
  if (wide.width() <= style.width) return wide.render(style);
  Table narrow = narrow_table(backends, positions, style);
  narrow.fit(style.width);
  return narrow.render(style);
}

}  // namespace pointsman::proxy::cli
