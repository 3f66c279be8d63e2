#include "proxy/cli/render_answers.h"

#include <utility>

#include "proxy/cli/fields.h"

namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;
using Align = Column::Align;

Text bytes_of(const json& session, const char* key) {
  const auto bytes = number_of(session, key);
  return bytes ? Text(human_bytes(*bytes)) : Text();
}

// A sentence, a number of transactions or a list of them: whatever the daemon can say of a loss.
std::string loss_of(const json& result) {
  const json& loss = child(result, "loss");
  if (loss.is_number()) return loss.get<double>() == 0 ? "nothing" : text_of(loss) + " transactions";
  if (loss.is_array()) return loss.empty() ? "nothing" : joined(texts_of(result, "loss"), ", ");
  return text_of(loss);
}

}  // namespace

std::string render_sessions(const json& result, const Style& style) {
  const std::vector<json> sessions = objects_of(result, "sessions");
  const auto total = number_of(result, "total");
  if (sessions.empty()) return "no sessions\n";
  Table table({{"ID", Align::right},
               {"CLIENT"},
               {"BACKEND"},
               {"AGE", Align::right},
               {"FROM CLIENT", Align::right, 2},
               {"FROM SERVER", Align::right, 2},
               {"WORKER", Align::right, 3}});
  for (const json& session : sessions) {
    const std::string backend = text_of(session, "backend");
    const auto age = number_of(session, "age_ms");
    table.add({text_of(session, "id"), text_of(session, "client"),
               backend.empty() ? Text("held", Tone::caution) : Text(backend),
               age ? Text(human_ms(*age)) : Text(), bytes_of(session, "bytes_from_client"),
               bytes_of(session, "bytes_from_server"), text_of(session, "worker")});
  }
  table.fit(style.width);
  std::string out = table.render(style);
  if (total && *total > static_cast<double>(sessions.size())) {
    out += toned(
        std::to_string(sessions.size()) + " of " + text_of(result, "total") + " sessions; -n N shows more\n",
        Tone::faint, style);
  }
  return out;
}

std::string render_plan(const std::string& command, const json& result, const Style& style) {
  const std::vector<json> plan = objects_of(result, "plan");
  if (plan.empty()) return "";
  std::string out =
      "This is what " + toned(command, Tone::strong, style) + " would do; nothing was changed.\n";
  Table table({{"", Align::right}, {"STEP"}, {"SERVER"}, {"WHAT"}});
  std::size_t number = 0;
  for (const json& step : plan) {
    table.add({"  " + std::to_string(++number) + ".", Text(text_of(step, "step"), Tone::strong),
               text_of(step, "backend"), text_of(step, "what")});
  }
  out += table.render(style);
  const std::vector<std::string> waits = texts_of(result, "waits");
  if (!waits.empty())
    out += "\nIt would wait for this first, at most for --max-wait, while the clients are served:\n";
  for (const std::string& what : waits)
    out += toned("! ", Tone::caution, style) + Text(what, Tone::caution).wrap(style, 2, 2) + '\n';
  return out;
}

std::string render_explain(const json& result, const Style& style) {
  const std::string candidate = text_of(result, "candidate");
  const std::vector<std::string> vetoes = texts_of(result, "vetoes");
  std::string out;
  if (const std::string text = text_of(result, "text"); !text.empty()) {
    out +=
        Text(text, vetoes.empty() && !candidate.empty() ? Tone::plain : Tone::bad).wrap(style, 0, 0) + "\n\n";
  }
  const auto row = [&](const char* name, const Text& value) {
    if (value.empty()) return;
    std::string label = name;
    label.resize(14, ' ');
    out += "  " + toned(label, Tone::faint, style) + value.wrap(style, 16, 16) + '\n';
  };
  row("candidate",
      candidate.empty() ? Text("none: nobody would be promoted", Tone::bad) : Text(candidate, Tone::strong));
  const char* other = "not";
  for (const std::string& passed_over : texts_of(result, "passed_over")) {
    row(other, passed_over);
    other = "";
  }
  row("verdict", joined(texts_of(result, "verdict_needed"), ", "));
  if (const auto expected = number_of(result, "expected_ms")) row("expected time", human_ms(*expected));
  const std::string loss = loss_of(result);
  row("could lose", Text(loss, loss == "nothing" ? Tone::good : Tone::caution));
  const char* label = "in the way";
  for (const std::string& veto : vetoes) {
    row(label, Text(veto, Tone::bad));
    label = "";
  }
  if (vetoes.empty() && !candidate.empty()) row(label, Text("nothing", Tone::good));
  return out;
}

std::string render_message(const json& result, const Style& style) {
  const std::string message = text_of(result, "message");
  return Text(message.empty() ? "done" : message).wrap(style, 0, 2) + '\n';
}

json problems_json(const std::vector<conf::Problem>& problems) {
  json list = json::array();
  for (const conf::Problem& problem : problems) {
    list.push_back({{"file", problem.file},
                    {"line", problem.line},
                    {"column", problem.column},
                    {"message", problem.message}});
  }
  return {{"ok", false}, {"problems", std::move(list)}};
}

}  // namespace pointsman::proxy::cli
