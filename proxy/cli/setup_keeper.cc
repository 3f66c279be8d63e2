#include "proxy/cli/setup_keeper.h"

#include <algorithm>

#include "proxy/cli/ask.h"
#include "proxy/cli/fields.h"

namespace pointsman::proxy::cli {

using nlohmann::json;

std::expected<json, std::string> SetupKeeper::ask_daemon(const json& request) {
  const auto answer = ask(socket_, request, answer_timeout);
  if (!answer) return std::unexpected(answer.error().text);
  if (flag_of(*answer, "ok") != true) return std::unexpected(refusal_of(*answer));
  return child(*answer, "result");
}

std::expected<std::string, std::string> SetupKeeper::primary() {
  const auto answer = ask(socket_, {{"command", "status"}}, answer_timeout);
  if (!answer) {
    if (answer.error().kind == AdminFailure::Kind::no_daemon) return "";
    return std::unexpected("a daemon runs, and does not answer: " + answer.error().text);
  }
  runs_ = true;
  const json& status = child(*answer, "result");
  for (const json& backend : objects_of(status, "backends")) {
    if (text_of(backend, "role") == "maintenance") already_.push_back(text_of(backend, "name"));
  }
  return text_of(status, "primary");
}

std::expected<void, std::string> SetupKeeper::hold(const std::string& server) {
  if (!runs_) return {};
  if (std::ranges::find(already_, server) != already_.end()) {
    left_.push_back(server + " was in maintenance before and still is: pointsman maintenance " + server +
                    " off");
    return {};
  }
  const auto done = ask_daemon({{"command", "maintenance"}, {"name", server}, {"on", true}});
  if (!done)
    return std::unexpected("the daemon does not put " + server + " into maintenance: " + done.error() +
                           "\nIs it one of those that the daemon knows? pointsman reload");
  held_.push_back(server);
  return {};
}

void SetupKeeper::release_all() {
  for (const std::string& server : held_) {
    const auto done = ask_daemon({{"command", "maintenance"}, {"name", server}, {"on", false}});
    if (!done) {
      left_.push_back(server);
      left_.back().append(" is still in maintenance (").append(done.error());
      left_.back().append("): pointsman maintenance ").append(server).append(" off");
    }
  }
  held_.clear();
}

}  // namespace pointsman::proxy::cli
