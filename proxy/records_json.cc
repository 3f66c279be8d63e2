#include "proxy/records_json.h"

#include <cmath>
#include <ctime>

#include <unistd.h>

#include "health/core/topology.h"
#include "proxy/heartbeats.h"

namespace pointsman::proxy {

using core::to_ms;
using nlohmann::json;

namespace {

// Figures below a tenth of a millisecond say more about the machine's noise than about us.
double rounded_ms(core::Duration d) {
  return std::round(core::to_ms_exact(d) * 100) / 100;
}

json gtid_list(const core::GtidSet& set) {
  json list = json::array();
  std::string text = set.to_string();
  // One entry an origin; both flavours separate origins by commas.
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    list.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return list;
}

json probe_json(const core::Server& server, core::Instant now) {
  const auto& e = server.evidence;
  json out = {
      {"ok", e.answered() && !e.failure}, {"age_ms", nullptr}, {"latency_us", nullptr}, {"error", ""}};
  if (e.last_ok) {
    out["age_ms"] = to_ms(now - *e.last_ok);
    out["latency_us"] = std::chrono::duration_cast<std::chrono::microseconds>(e.latency).count();
  }
  if (e.failure) {
    out["error"] = e.failure->text;
    out["kind"] = core::to_string(e.failure->kind);
  }
  return out;
}

json replication_json(const core::Server& server, const core::Cluster& cluster) {
  const core::ReplicaStatus* replica = server.replica();
  if (replica == nullptr) return nullptr;
  static constexpr const char* io_names[] = {"no", "connecting", "yes"};
  const core::Server* source = cluster.source_of(server);
  json out = {{"source", source != nullptr ? source->name() : conf::to_string(replica->source)},
              {"io", io_names[static_cast<int>(replica->io)]},
              {"sql", replica->sql ? "yes" : "no"},
              {"lag_ms", nullptr},
              {"gtid", replica->received.to_string()},
              {"semi_sync", server.report().semi_sync.replica_active}};
  if (replica->lag) out["lag_ms"] = to_ms(*replica->lag);
  if (!replica->io_error.empty()) out["error"] = replica->io_error;
  if (!replica->sql_error.empty()) out["error"] = replica->sql_error;
  return out;
}

void add_report(json& out, const LinkReport& report) {
  json refused = json::object();
  for (std::size_t i = 0; i < report.refused.size(); ++i) {
    if (report.refused[i] != 0)
      refused[core::to_string(static_cast<core::FrameRefusal>(i))] = report.refused[i];
  }
  out["sent"] = report.sent;
  out["received"] = report.received;
  out["refused"] = std::move(refused);
  out["late_frames"] = report.late;
  out["longest_gap_ms"] = to_ms(report.longest_gap);
  out["last_error"] = report.last_error;
  if (!report.line) return;
  const io::LinkStats& stats = report.line->stats;
  out["device"] = report.line->device;
  out["line"] = report.line->words;
  out["bytes_in"] = stats.bytes_in;
  out["bytes_out"] = stats.bytes_out;
  out["noise"] = stats.noise + stats.oversized;
  out["dropped"] = stats.dropped_late;
}

json link_json(const core::Server& server, core::LinkKind link, const StatusFacts& facts) {
  const core::LinkState state = server.links[core::index(link)];
  json out = {{"state", core::to_string(state)}, {"age_ms", nullptr}};
  if (state == core::LinkState::off) return out;
  if (const auto& heard = server.evidence.agent.heard[core::index(link)])
    out["age_ms"] = to_ms(facts.now - *heard);
  const auto report =
      facts.heartbeats != nullptr ? facts.heartbeats->link_report(server.id, link) : std::nullopt;
  if (report) add_report(out, *report);
  return out;
}

// What the agent says, and what it was told; null: the backend has none, or it was never heard.
json agent_json(const core::Server& server, const StatusFacts& facts) {
  const core::AgentEvidence& agent = server.evidence.agent;
  if (!agent.word) return nullptr;
  const core::AgentWord& word = *agent.word;
  json out = {{"mysqld", core::to_string(word.mysqld)},
              {"age_ms", to_ms(facts.now - *agent.word_at)},
              {"silent_ms", word.silent_ms},
              {"read_only", nullptr},
              {"lease", word.lease_held   ? "held"
                        : word.lease_lost ? "lost"
                                          : "none"},
              {"fenced", word.fenced.value},
              {"fence_failed", word.fence_failed},
              {"epoch", server.agent_epoch.value},
              {"told", core::to_string(facts.controller.order_for(server.id).word.role)}};
  if (word.read_only) out["read_only"] = *word.read_only;
  return out;
}

const char* mode_name(conf::SemiSync mode) {
  return mode == conf::SemiSync::required    ? "required"
         : mode == conf::SemiSync::preferred ? "preferred"
                                             : "off";
}

json semi_sync_json(const core::Controller& controller) {
  const core::SemiSyncPhase& phase = controller.semi_sync();
  json out = {{"mode", mode_name(controller.cluster().config.replication.semi_sync)},
              {"state", core::to_string(phase.state())},
              {"degraded_since", nullptr},
              {"degraded_at", nullptr},
              {"at_stake", nullptr}};
  if (phase.state() != core::SemiSyncState::unknown) out["at_stake"] = controller.at_stake().count();
  if (const auto& mark = phase.mark()) {
    out["degraded_since"] = iso_time(mark->unix_ms);
    out["degraded_at"] = mark->since.to_string();
  }
  return out;
}

std::vector<std::string> warnings_of(const StatusFacts& facts) {
  std::vector<std::string> list = facts.controller.warnings();
  if (facts.heartbeats == nullptr) return list;
  for (std::string& text : facts.heartbeats->warnings()) list.push_back(std::move(text));
  return list;
}

json backend_json(const core::Server& server, const core::Cluster& cluster, const StatusFacts& facts) {
  json out = {{"name", server.name()},
              {"address", conf::to_string(server.settings.address)},
              {"role", core::to_string(cluster.role_of(server))},
              {"verdict", core::to_string(server.judgement.verdict)},
              {"why", server.judgement.why},
              {"server", ""},
              {"probe", probe_json(server, facts.now)},
              {"links",
               {{"udp", link_json(server, core::LinkKind::udp, facts)},
                {"serial", link_json(server, core::LinkKind::serial, facts)}}},
              {"agent", agent_json(server, facts)},
              {"replication", replication_json(server, cluster)},
              {"read_only", nullptr},
              {"errant", gtid_list(server.errant)},
              {"sessions", facts.sessions.active_by_backend[core::index(server.id)]},
              {"priority", server.settings.priority},
              {"never_promote", server.settings.never_promote},
              {"chained", core::is_chained(cluster, server)},
              {"trouble", server.trouble}};
  if (server.judgement.until && server.is(core::Verdict::suspect)) {
    out["suspect_until_ms"] = std::max<std::int64_t>(0, to_ms(*server.judgement.until - facts.now));
  }
  if (!server.answered()) return out;
  out["server"] = std::string(core::to_string(server.report().flavour)) + " " + server.report().version;
  out["read_only"] = server.report().read_only;
  out["executed"] = server.report().executed.to_string();
  out["semi_sync_source"] = server.report().semi_sync.source_active;
  return out;
}

}  // namespace

std::string iso_time(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const std::size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::string out(text, n);
  const auto ms = std::to_string(1000 + unix_ms % 1000);
  return out + "." + ms.substr(1) + "Z";
}

json event_json(const core::HistoryRecord& record, std::int64_t unix_ms) {
  json out = {{"time", iso_time(unix_ms)},
              {"kind", record.kind},
              {"epoch", record.epoch.value},
              {"message", record.message}};
  if (!record.backend.empty()) out["backend"] = record.backend;
  if (!record.verdict.empty()) out["verdict"] = record.verdict;
  const auto steps = [&] {
    json list = json::array();
    for (const auto& step : record.steps) {
      json one = {{"name", step.name}, {"ms", rounded_ms(step.took)}};
      if (!step.note.empty()) one["note"] = step.note;
      list.push_back(std::move(one));
    }
    return list;
  };
  if (!record.steps.empty()) out["steps"] = steps();
  if (record.total) out["total_ms"] = rounded_ms(*record.total);
  if (!record.from.empty() || !record.to.empty()) {
    out["from"] = record.from;
    out["to"] = record.to;
  }
  if (!record.lost.empty()) out["lost"] = record.lost;
  if (!record.gtid.empty()) out["gtid"] = record.gtid;
  if (record.is_change()) {
    out["from"] = record.from;
    out["to"] = record.to;
    out["steps"] = steps();
    out["lost"] = record.lost;
    if (!record.safe.empty()) out["safe"] = record.safe;
    out["ok"] = !record.failed;
  }
  return out;
}

json status_json(const StatusFacts& facts) {
  const core::Controller& controller = facts.controller;
  const core::Cluster& cluster = controller.cluster();
  json listen = json::array();
  for (const auto& address : facts.listen) listen.push_back(conf::to_string(address));
  for (const auto& path : facts.listen_unix) listen.push_back("unix:" + path);
  json backends = json::array();
  for (const auto& server : cluster.servers) backends.push_back(backend_json(server, cluster, facts));

  const core::Server* primary = cluster.primary_server();
  const bool routed =
      controller.route().mode == core::RouteMode::open || controller.route().mode == core::RouteMode::holding;
  json out = {
      {"version", POINTSMAN_VERSION},
      {"state", core::to_string(controller.state())},
      {"epoch", cluster.epoch.value},
      {"primary", nullptr},
      {"automatic", cluster.automatic},
      {"listen", std::move(listen)},
      {"sessions",
       {{"active", facts.sessions.active}, {"held", facts.sessions.held}, {"total", facts.sessions.total}}},
      {"semi_sync", semi_sync_json(controller)},
      {"backends", std::move(backends)},
      {"warnings", warnings_of(facts)},
      {"reason", routed ? "" : controller.reason()},
      {"since_ms", to_ms(facts.in_state)},
      {"uptime_s", std::chrono::duration_cast<std::chrono::seconds>(facts.uptime).count()},
      {"pid", ::getpid()}};
  if (primary != nullptr && routed) out["primary"] = primary->name();
  if (facts.drain_left) out["draining_ms"] = to_ms(*facts.drain_left);
  std::uint64_t of_formers = 0;
  out["former"] = json::array();
  for (const auto& former : facts.formers) {
    of_formers += former.sessions + former.held;
    out["former"].push_back({{"pid", former.pid},
                             {"sessions", former.sessions},
                             {"held", former.held},
                             {"since_ms", to_ms(facts.now - former.since)}});
  }
  out["sessions"]["former"] = of_formers;
  return out;
}

json explain_json(const core::Controller::Explanation& explanation) {
  json out = {{"candidate", nullptr},
              {"verdict_needed", explanation.verdict_needed},
              {"expected_ms", nullptr},
              {"loss", explanation.loss},
              {"at_stake", explanation.at_stake},
              {"vetoes", explanation.vetoes},
              {"text", explanation.text},
              {"passed_over", explanation.passed_over}};
  if (!explanation.candidate.empty()) out["candidate"] = explanation.candidate;
  if (explanation.expected) out["expected_ms"] = rounded_ms(*explanation.expected);
  return out;
}

json sessions_json(const std::vector<SessionInfo>& sessions, std::uint64_t total,
                   const core::Cluster& cluster) {
  json list = json::array();
  for (const auto& session : sessions) {
    json one = {{"id", session.id},
                {"client", session.client},
                {"backend", nullptr},
                {"age_ms", to_ms(session.age)},
                {"bytes_from_client", session.bytes_from_client},
                {"bytes_from_server", session.bytes_from_server},
                {"worker", session.worker}};
    if (session.backend) one["backend"] = cluster.at(*session.backend).name();
    list.push_back(std::move(one));
  }
  return {{"sessions", std::move(list)}, {"total", total}};
}

json plan_json(const core::Reply& reply) {
  json plan = json::array();
  for (const auto& step : reply.plan)
    plan.push_back({{"step", step.step}, {"backend", step.backend}, {"what", step.what}});
  return {
      {"plan", std::move(plan)}, {"waits", reply.waits}, {"refused", reply.refused}, {"message", reply.text}};
}

}  // namespace pointsman::proxy
