#include "proxy/cli/watch.h"

#include <ctime>
#include <optional>
#include <utility>

#include <unistd.h>

#include "proxy/cli/ask.h"
#include "proxy/cli/fields.h"
#include "proxy/cli/render_events.h"
#include "proxy/cli/render_status.h"
#include "proxy/cli/signals.h"
#include "proxy/cli/terminal.h"

namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds look_timeout{2000};

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &parts)};
}

// One look at the daemon, given up when a signal comes.
std::expected<json, AdminFailure> look(const Invocation& invocation, const std::string& socket, int wake_fd) {
  auto client = AdminClient::connect(socket, look_timeout);
  if (!client) return std::unexpected(std::move(client.error()));
  if (auto sent = client->send(request_of(invocation)); !sent)
    return std::unexpected(std::move(sent.error()));
  auto answer = client->receive(look_timeout, wake_fd);
  if (answer && flag_of(*answer, "ok") != true) {
    return std::unexpected(AdminFailure{AdminFailure::Kind::garbage, refusal_of(*answer)});
  }
  return answer;
}

// Redraws one terminal.
class Picture {
 public:
  Picture(const Invocation& invocation, std::string socket)
      : invocation_(invocation), socket_(std::move(socket)) {}

  Outcome run() {
    auto answer = look(invocation_, socket_, signals_.fd());
    if (!answer && answer.error().kind != AdminFailure::Kind::interrupted) {
      return {exit_status_of(answer.error(), false), answer.error().text};
    }
    Screen screen(STDIN_FILENO, STDOUT_FILENO);
    while (true) {
      if (answer || answer.error().kind != AdminFailure::Kind::interrupted) draw(screen, answer);
      if (!wait(screen)) return {};
      answer = look(invocation_, socket_, signals_.fd());
    }
  }

 private:
  void draw(Screen& screen, const std::expected<json, AdminFailure>& answer) const {
    Style style = style_of(STDOUT_FILENO);
    --style.width;  // what clears the rest of a line would take the last column's character with it
    std::string text;
    if (answer) {
      text = render_status(child(*answer, "result"), style);
    } else {
      text = toned(" NO ANSWER FROM POINTSMAN ", Tone::alarm, style) + "  since a moment; trying again\n\n" +
             Text(printable(answer.error().text), Tone::bad).wrap(style, 0, 0) + '\n';
    }
    text +=
        '\n' + toned(utc_now() + ", every " + human_ms(static_cast<double>(invocation_.interval.count())) +
                         "; q or Ctrl-C ends",
                     Tone::faint, style);
    screen.draw(text, style);
  }

  // Until the next look; false: it is over.
  bool wait(Screen& screen) {
    const auto until = std::chrono::steady_clock::now() + invocation_.interval;
    bool keys = is_terminal(STDIN_FILENO);
    while (true) {
      const auto left = std::chrono::ceil<Milliseconds>(until - std::chrono::steady_clock::now());
      if (left <= Milliseconds::zero()) return true;
      switch (signals_.wait(left, keys ? STDIN_FILENO : -1)) {
        case Signals::Wake::end:
          return false;
        case Signals::Wake::time:
        case Signals::Wake::resize:
          return true;
        case Signals::Wake::stop:
          screen.leave();
          signals_.stop_here();
          screen.enter();
          return true;
        case Signals::Wake::key: {
          char key = 0;
          const ssize_t count = ::read(STDIN_FILENO, &key, 1);
          if (count <= 0) keys = false;  // the terminal is gone or not ours
          if (count == 1 && (key == 'q' || key == 'Q')) return false;
          break;
        }
      }
    }
  }

  const Invocation& invocation_;
  const std::string socket_;
  Signals signals_;
};

// Prints to a pipe or a file what is new.
class Report {
 public:
  Report(const Invocation& invocation, std::string socket)
      : invocation_(invocation), socket_(std::move(socket)) {}

  Outcome run() {
    while (true) {
      const auto answer = look(invocation_, socket_, signals_.fd());
      if (!answer && last_.empty() && answer.error().kind != AdminFailure::Kind::interrupted) {
        return {exit_status_of(answer.error(), false), answer.error().text};
      }
      if (!tell(answer)) return {};
      switch (signals_.wait(invocation_.interval, -1)) {
        case Signals::Wake::end:
          return {};
        case Signals::Wake::stop:
          signals_.stop_here();
          break;
        default:
          break;
      }
    }
  }

 private:
  // False: nobody reads any more.
  bool tell(const std::expected<json, AdminFailure>& answer) {
    if (!answer && answer.error().kind == AdminFailure::Kind::interrupted) return true;
    const json& result = answer ? child(*answer, "result") : child(json(), "");
    std::string news = answer ? status_fingerprint(result) : answer.error().text;
    if (news == last_) return true;
    const bool first = last_.empty();
    last_ = std::move(news);
    if (invocation_.json)
      return write_all(STDOUT_FILENO, admin_line(answer ? result : json{{"error", last_}}));
    const Style style = style_of(STDOUT_FILENO);
    const std::string text =
        answer ? render_status(result, style) : "no answer from pointsman: " + last_ + '\n';
    return write_all(STDOUT_FILENO, (first ? "" : "\n") + ("-- " + utc_now() + '\n') + text);
  }

  const Invocation& invocation_;
  const std::string socket_;
  Signals signals_;
  std::string last_;
};

std::string show(const Invocation& invocation, const json& event) {
  return invocation.json ? admin_line(event) : render_event(event, style_of(STDOUT_FILENO));
}

}  // namespace

Outcome watch_status(const Invocation& invocation, const std::string& socket) {
  if (is_terminal(STDOUT_FILENO) && !invocation.json) return Picture(invocation, socket).run();
  return Report(invocation, socket).run();
}

Outcome follow_events(const Invocation& invocation, const std::string& socket) {
  const auto failed = [](const AdminFailure& failure) -> Outcome {
    if (failure.kind == AdminFailure::Kind::interrupted) return {};
    return {ExitStatus::no_daemon, failure.text};
  };
  Signals signals;
  auto client = AdminClient::connect(socket, connect_timeout);
  if (!client) return {exit_status_of(client.error(), false), client.error().text};
  if (auto sent = client->send(request_of(invocation)); !sent) return failed(sent.error());
  auto line = client->receive(answer_timeout, signals.fd());
  if (!line) return failed(line.error());
  if (flag_of(*line, "ok") != true) return {ExitStatus::refused, refusal_of(*line)};
  for (const json& event : objects_of(child(*line, "result"), "events")) {
    if (!write_all(STDOUT_FILENO, show(invocation, event))) return {};
  }
  while (true) {
    line = client->receive(std::nullopt, signals.fd());
    if (line && flag_of(*line, "ok") == false && child(*line, "error").is_string()) {
      return {ExitStatus::no_daemon, refusal_of(*line)};
    }
    if (line) {
      if (!write_all(STDOUT_FILENO, show(invocation, *line))) return {};
      continue;
    }
    if (line.error().kind != AdminFailure::Kind::interrupted) return failed(line.error());
    switch (signals.wait(Milliseconds::zero(), -1)) {
      case Signals::Wake::end:
        return {};
      case Signals::Wake::stop:
        signals.stop_here();
        break;
      default:
        break;
    }
  }
}

}  // namespace pointsman::proxy::cli
