#include "proxy/admin_requests.h"

#include <algorithm>
#include <optional>

#include "health/io/clock.h"
#include "proxy/records_json.h"
#include "proxy/wall_clock.h"

namespace pointsman::proxy {

using nlohmann::json;

namespace {

// Reads one member; nothing is taken for granted about what a client sends. `bad` gets a sentence when the
// type is wrong.
class Arguments {
 public:
  explicit Arguments(const json& request) : request_(request) {}

  std::optional<std::string> text(const char* key) {
    const json* value = find(key, &json::is_string, "text");
    return value != nullptr ? std::optional(value->get<std::string>()) : std::nullopt;
  }
  std::optional<bool> flag(const char* key) {
    const json* value = find(key, &json::is_boolean, "true or false");
    return value != nullptr ? std::optional(value->get<bool>()) : std::nullopt;
  }
  std::size_t number(const char* key, std::size_t otherwise, std::size_t limit) {
    const json* value = find(key, &json::is_number_unsigned, "a number that is not negative");
    return value != nullptr ? std::min(value->get<std::size_t>(), limit) : otherwise;
  }
  const std::string& bad() const { return bad_; }

 private:
  const json* find(const char* key, bool (json::*right)() const noexcept, const char* expected) {
    const auto found = request_.find(key);
    if (found == request_.end() || found->is_null()) return nullptr;
    if (((*found).*right)()) return &*found;
    bad_ = std::string("\"") + key + "\" must be " + expected;
    return nullptr;
  }

  const json& request_;
  std::string bad_;
};

// An answer that only has a sentence.
Control::OnReply plain(const std::shared_ptr<Responder>& responder) {
  return [responder](const core::Reply& reply) {
    if (!reply.ok) return responder->fail(reply.text);
    responder->ok({{"message", reply.text}});
  };
}

std::string names_of(const core::Cluster& cluster) {
  std::string text;
  for (const auto& server : cluster.servers) text += (text.empty() ? "" : ", ") + server.name();
  return text;
}

AdminRequests::OnChange answer_to(const std::shared_ptr<Responder>& responder) {
  return [responder](const auto& result) {
    result ? responder->ok({{"message", *result}}) : responder->fail(result.error());
  };
}

}  // namespace

void AdminRequests::handle(const json& request, const ResponderPtr& responder) {
  const std::string command = request.value("command", "");
  if (command == "status") return responder->ok(status());
  if (command == "explain")
    return responder->ok(explain_json(parts_.control.controller().explain(io::now())));
  if (command == "events") return events(request, responder);
  if (command == "sessions") return sessions(request, responder);
  if (command == "switchover") return change(request, responder, true);
  if (command == "failover") return change(request, responder, false);
  if (command == "drain") return drain(request, responder);
  if (command == "reload") {
    return parts_.reload(answer_to(responder));
  }
  order(request, responder, command);
}

json AdminRequests::status() const {
  const core::Instant now = io::now();
  return status_json({parts_.control.controller(), parts_.workers.counts(), parts_.workers.listening(),
                      parts_.control.config().proxy.listen_unix, now, now - parts_.started,
                      parts_.control.in_state(), parts_.heartbeats, parts_.formers.reports(),
                      parts_.drain_left()});
}

void AdminRequests::drain(const json& request, const ResponderPtr& responder) {
  Arguments arguments(request);
  std::optional<core::Duration> timeout;
  if (request.contains("timeout_ms"))
    timeout = std::chrono::milliseconds(arguments.number("timeout_ms", 0, max_drain_ms));
  if (!arguments.bad().empty()) return responder->fail(arguments.bad());
  parts_.drain(timeout, answer_to(responder));
}

void AdminRequests::events(const json& request, const ResponderPtr& responder) {
  Arguments arguments(request);
  const std::size_t limit = arguments.number("limit", default_events, History::kept_events);
  const bool follow = arguments.flag("follow").value_or(false);
  if (!arguments.bad().empty()) return responder->fail(arguments.bad());
  const json answer = {{"events", parts_.history.newest(limit)}};
  if (!follow) return responder->ok(answer);
  responder->send(admin_ok(answer));
  followers_.push_back(responder);
  const auto self = std::prev(followers_.end());
  responder->on_gone([this, self] { followers_.erase(self); });
}

void AdminRequests::publish(const json& event) {
  for (const auto& follower : followers_) follower->send(event);
}

void AdminRequests::sessions(const json& request, const ResponderPtr& responder) {
  Arguments arguments(request);
  const std::size_t limit = arguments.number("limit", max_sessions, max_sessions);
  if (!arguments.bad().empty()) return responder->fail(arguments.bad());
  parts_.workers.list_sessions(limit, [this, responder](std::vector<SessionInfo> list) {
    // Workers call this on one of their threads; the responder belongs to ours.
    (void)parts_.mailbox.post([this, responder, list = std::move(list)] {
      const SessionCounts counts = parts_.workers.counts();
      responder->ok(sessions_json(list, counts.active + counts.held, parts_.control.controller().cluster()));
    });
  });
}

void AdminRequests::change(const json& request, const ResponderPtr& responder, bool planned) {
  Arguments arguments(request);
  const auto name = arguments.text("to");
  const bool dry_run = arguments.flag("dry_run").value_or(false);
  const bool force = arguments.flag("force").value_or(false);
  core::SwitchoverWanted wish;
  wish.max_wait = std::chrono::milliseconds(
      arguments.number("max_wait_ms", static_cast<std::size_t>(core::to_ms(wish.max_wait)), max_wait_ms));
  wish.end_transactions = arguments.flag("end_transactions").value_or(false);
  wish.dry_run = dry_run;
  if (!arguments.bad().empty()) return responder->fail(arguments.bad());
  std::optional<core::BackendId> to;
  const core::Cluster& cluster = parts_.control.controller().cluster();
  if (name) to = cluster.find(*name);
  if (name && !to)
    return responder->fail("there is no backend " + *name + "; there are " + names_of(cluster));
  parts_.control.request(
      [&](core::RequestId id) -> core::Event {
        wish.id = id;
        wish.to = to;
        if (planned) return wish;
        return core::FailoverWanted{id, to, force};
      },
      [responder, dry_run](const core::Reply& reply) {
        if (!reply.ok) return responder->fail(reply.text);
        if (dry_run) return responder->ok(plan_json(reply));
        responder->ok(reply.outcome ? event_json(*reply.outcome, wall_clock_ms())
                                    : json{{"message", reply.text}});
      });
}

void AdminRequests::order(const json& request, const ResponderPtr& responder, const std::string& command) {
  Arguments arguments(request);
  const auto name = arguments.text("name");
  const auto on = arguments.flag("on");
  const bool discard = arguments.flag("discard").value_or(false);
  if (!arguments.bad().empty()) return responder->fail(arguments.bad());
  const core::Cluster& cluster = parts_.control.controller().cluster();
  const bool about_one = command == "rejoin" || command == "maintenance";
  const bool switches = command == "automatic" || command == "maintenance";
  const auto backend = name ? cluster.find(*name) : std::nullopt;
  if (about_one && !name) return responder->fail("\"name\" is missing");
  if (about_one && !backend)
    return responder->fail("there is no backend " + *name + "; there are " + names_of(cluster));
  if (switches && !on) return responder->fail("\"on\" is missing");

  const auto ask = [&](auto make) { parts_.control.request(make, plain(responder)); };
  if (command == "rejoin")
    return ask([&](core::RequestId id) { return core::Event(core::RejoinWanted{id, *backend, discard}); });
  if (command == "maintenance")
    return ask([&](core::RequestId id) { return core::Event(core::MaintenanceWanted{id, *backend, *on}); });
  if (command == "automatic")
    return ask([&](core::RequestId id) { return core::Event(core::AutomaticWanted{id, *on}); });
  if (command == "pause" || command == "resume") {
    return ask([&](core::RequestId id) { return core::Event(core::PauseWanted{id, command == "pause"}); });
  }
  responder->fail("unknown command \"" + command.substr(0, 40) + "\"");
}

}  // namespace pointsman::proxy
