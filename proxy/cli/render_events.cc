#include "proxy/cli/render_events.h"

#include <algorithm>

#include "proxy/cli/fields.h"

namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;

constexpr std::size_t bar_length = 30;
constexpr std::size_t kind_width = 10;

Tone tone_of_event(const json& event) {
  const std::string kind = text_of(event, "kind");
  if (is_failed(event) || kind == "quarantine" || kind == "failover") return Tone::bad;
  if (kind == "switchover" || kind == "rejoin" || kind == "adopted") return Tone::good;
  return Tone::plain;
}

// "2026-10-19T03:12:44.123Z" as people write it; still UTC, like the log, so that the two can be laid side by
// side.
std::string readable_time(const json& event) {
  std::string time = text_of(event, "time");
  if (time.size() > 10 && time[10] == 'T') time[10] = ' ';
  return time;
}

std::string direction(const json& event, const Style& style) {
  const std::string from = text_of(event, "from");
  const std::string to = text_of(event, "to");
  if (from.empty() && to.empty()) return text_of(event, "backend");
  return (from.empty() ? "nobody" : from) + (style.unicode ? " \u2192 " : " -> ") +
         (to.empty() ? "nobody" : to);
}

std::string steps_of(const json& event, const Style& style) {
  std::string out;
  const std::vector<json> steps = objects_of(event, "steps");
  double longest = 0;
  std::size_t name_width = 0;
  for (const json& step : steps) {
    longest = std::max(longest, number_of(step, "ms").value_or(0));
    name_width = std::max(name_width, columns(text_of(step, "name")));
  }
  for (const json& step : steps) {
    const std::string name = text_of(step, "name");
    const auto ms = number_of(step, "ms");
    const std::string took = ms ? exact_ms(*ms) : "?";
    std::string line = "    " + name + std::string(name_width - columns(name) + 2, ' ');
    line += std::string(took.size() < 10 ? 10 - took.size() : 0, ' ') + took;
    const std::string drawn = bar(ms.value_or(0), longest, bar_length, style);
    const std::string note = text_of(step, "note");
    out += line;
    if (!drawn.empty()) out += "  " + toned(drawn, Tone::good, style);
    if (!note.empty())
      out += "  " + Text(note, Tone::faint).wrap(style, columns(line) + columns(drawn) + 4, name_width + 18);
    out += '\n';
  }
  return out;
}

// An empty list says that nothing was lost; no list says nothing.
std::string losses_of(const json& event, const Style& style) {
  const json& lost = child(event, "lost");
  if (!lost.is_array()) return "";
  const std::vector<std::string> gtids = texts_of(event, "lost");
  if (gtids.empty()) return "    " + toned("nothing lost", Tone::good, style) + '\n';
  return "    " + Text("LOST " + joined(gtids, ", "), Tone::bad).wrap(style, 4, 9) + '\n';
}

bool is_change(const json& event) {
  const std::string kind = text_of(event, "kind");
  return kind == "failover" || kind == "switchover";
}

}  // namespace

bool is_failed(const json& event) {
  return flag_of(event, "ok") == false;
}

std::string render_event(const json& event, const Style& style) {
  const std::string time = readable_time(event);
  const std::string kind = text_of(event, "kind");
  std::string out = toned(time, Tone::faint, style);
  out += (time.empty() ? "" : "  ") + toned(kind, tone_of_event(event), style);
  out += std::string(kind.size() < kind_width ? kind_width - kind.size() : 0, ' ') + "  ";
  const std::size_t start = columns(time) + (time.empty() ? 0 : 2) + std::max(kind.size(), kind_width) + 2;

  Chain rest(style);
  rest.add(Text(direction(event, style), Tone::strong));
  rest.add(text_of(event, "verdict"));
  if (const auto total = number_of(event, "total_ms")) rest.add(Text(exact_ms(*total), Tone::strong));
  if (is_failed(event)) rest.add(Text("FAILED", Tone::bad));
  if (is_change(event) && number_of(event, "epoch")) rest.add("epoch " + text_of(event, "epoch"));
  rest.add(text_of(event, "message"));
  out += rest.text().wrap(style, start, std::min(start, style.width / 2)) + '\n';
  out += steps_of(event, style);
  if (is_change(event)) out += losses_of(event, style);
  return out;
}

std::string render_events(const json& result, const Style& style) {
  std::string out;
  for (const json& event : objects_of(result, "events")) out += render_event(event, style);
  return out.empty() ? "no events yet\n" : out;
}

std::string render_change(const json& event, const Style& style) {
  const bool failed = is_failed(event);
  Text line;
  line.add(failed ? "failed" : "done", failed ? Tone::bad : Tone::good).add(": ");
  line.add(text_of(event, "kind")).add(" ").add(direction(event, style), Tone::strong);
  if (const auto total = number_of(event, "total_ms")) line.add(" in ").add(exact_ms(*total), Tone::strong);
  if (number_of(event, "epoch")) line.add(", epoch " + text_of(event, "epoch"));
  std::string out = line.wrap(style, 0, 2) + '\n';
  if (const std::string message = text_of(event, "message"); !message.empty()) {
    out += "    " + Text(message).wrap(style, 4, 4) + '\n';
  }
  return out + steps_of(event, style) + losses_of(event, style);
}

}  // namespace pointsman::proxy::cli
