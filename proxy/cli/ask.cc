#include "proxy/cli/ask.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include <unistd.h>

#include "conf/loader.h"
#include "proxy/cli/fields.h"
#include "proxy/cli/manual.h"
#include "proxy/cli/terminal.h"

namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;

std::string name_of(Command command) {
  return std::string(std::ranges::find(manuals(), command, &Manual::command)->name);
}

constexpr std::chrono::milliseconds silence{1000};  // after which a person wonders

}  // namespace

json request_of(const Invocation& invocation) {
  json request{{"command", name_of(invocation.command)}};
  switch (invocation.command) {
    case Command::events:
      request["limit"] = invocation.limit;
      request["follow"] = invocation.follow;
      break;
    case Command::sessions:
      request["limit"] = invocation.limit;
      break;
    case Command::switchover:
      if (!invocation.name.empty()) request["to"] = invocation.name;
      request["dry_run"] = invocation.dry_run;
      request["max_wait_ms"] = invocation.max_wait.count();
      request["end_transactions"] = invocation.end_transactions;
      break;
    case Command::drain:
      if (invocation.timeout) request["timeout_ms"] = invocation.timeout->count();
      break;
    case Command::failover:
      if (!invocation.name.empty()) request["to"] = invocation.name;
      request["force"] = invocation.force;
      break;
    case Command::rejoin:
      request["name"] = invocation.name;
      if (invocation.discard) request["discard"] = true;
      break;
    case Command::maintenance:
      request["name"] = invocation.name;
      request["on"] = invocation.on;
      break;
    case Command::automatic:
      request["on"] = invocation.on;
      break;
    default:
      break;
  }
  return request;
}

bool changes_something(const Invocation& invocation) {
  switch (invocation.command) {
    case Command::status:
    case Command::explain:
    case Command::events:
    case Command::sessions:
      return false;
    default:
      return !invocation.dry_run;
  }
}

std::chrono::milliseconds patience_of(const Invocation& invocation) {
  if (!changes_something(invocation)) return answer_timeout;
  const bool waits = invocation.command == Command::switchover;
  return change_timeout + (waits ? invocation.max_wait : std::chrono::milliseconds(0));
}

std::expected<std::string, std::string> socket_of(const Invocation& invocation) {
  if (!invocation.socket.empty()) return invocation.socket;
  const auto config = conf::load(invocation.config, {.files = false});
  if (config) return config->admin.socket;
  if (!invocation.config_given) return conf::Admin{}.socket;
  std::string text = "cannot take the admin socket from " + printable(invocation.config) +
                     " (--socket PATH does without it):";
  for (const conf::Problem& problem : config.error()) text += "\n" + conf::to_string(problem);
  return std::unexpected(std::move(text));
}

std::expected<json, AdminFailure> ask(const std::string& socket, const json& request,
                                      std::chrono::milliseconds patience) {
  auto client = AdminClient::connect(socket, connect_timeout);
  if (!client) return std::unexpected(std::move(client.error()));
  if (auto sent = client->send(request); !sent) return std::unexpected(std::move(sent.error()));
  auto answer = client->receive(std::min(patience, silence));
  if (answer || answer.error().kind != AdminFailure::Kind::silent || patience <= silence) return answer;
  if (is_terminal(STDERR_FILENO) && patience >= change_timeout) {
    write_all(STDERR_FILENO,
              "waiting for the servers (Ctrl-C ends the waiting, not what pointsman does) ...\n");
  }
  return client->receive(patience - silence);
}

std::string refusal_of(const json& answer) {
  std::string text = text_of(answer, "error");
  return text.empty() ? "the daemon refused, and did not say why" : text;
}

ExitStatus exit_status_of(const AdminFailure& failure, bool changes) {
  using Kind = AdminFailure::Kind;
  switch (failure.kind) {
    case Kind::no_daemon:
      return ExitStatus::no_daemon;
    case Kind::silent:
    case Kind::lost:
    case Kind::garbage:
      return changes ? ExitStatus::refused : ExitStatus::no_daemon;
    case Kind::interrupted:
      return ExitStatus::done;
    case Kind::denied:
      return ExitStatus::refused;
  }
  return ExitStatus::refused;
}

}  // namespace pointsman::proxy::cli
