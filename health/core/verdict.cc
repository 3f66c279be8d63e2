#include "health/core/verdict.h"

#include <algorithm>
#include <string>

namespace pointsman::core {

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::up:
      return "up";
    case Verdict::degraded:
      return "degraded";
    case Verdict::suspect:
      return "suspect";
    case Verdict::crashed:
      return "crashed";
    case Verdict::hung:
      return "hung";
    case Verdict::cut_off:
      return "cut_off";
    case Verdict::dead:
      return "dead";
  }
  return "?";
}

bool calls_for_failover(Verdict verdict) {
  switch (verdict) {
    case Verdict::crashed:
    case Verdict::hung:
    case Verdict::cut_off:
    case Verdict::dead:
      return true;
    default:
      return false;
  }
}

namespace {

std::string ms(Duration d) {
  return std::to_string(to_ms(d)) + " ms";
}

std::string failure_text(const Evidence& e) {
  return e.failure ? e.failure->text : std::string("no answer yet");
}

// Clients got answers while the probe did not. What came before a connection was lost proves nothing.
bool traffic_contradicts(const Evidence& e) {
  return e.last_traffic && (!e.lost_at || *e.last_traffic > *e.lost_at);
}

enum class Objection { none, awaited, made };

// What the server's agent says against a crash that we infer from refusals since `since`. A frame may have
// been on its way, so what comes within a keepalive may still be from before the end; and an agent that saw
// the end says so at once.
Objection objection(const Evidence& e, const JudgeTimes& t, Instant since, Instant now) {
  const AgentEvidence& agent = e.agent;
  if (!agent.word || !agent.host_alive(t.deadtime, now)) return Objection::none;
  const bool runs = agent.word->mysqld == MysqldState::answers || agent.word->mysqld == MysqldState::silent;
  if (!runs) return Objection::none;
  if (*agent.word_at >= since + t.keepalive) return Objection::made;
  return now < since + 3 * t.keepalive ? Objection::awaited : Objection::none;
}

// Nothing comes from the server to us, and its host's agent is heard.
Judgement judge_by_agent(const Evidence& e, const JudgeTimes& t, Instant now) {
  const AgentEvidence& agent = e.agent;
  const Instant host_until = *agent.last_heard() + t.deadtime;
  const std::string ours = "silent to us for " + ms(t.deadtime);
  const auto silence = std::chrono::milliseconds(agent.word->silent_ms) + (now - *agent.word_at);
  switch (agent.word->mysqld) {
    case MysqldState::dying:
    case MysqldState::exited:
    case MysqldState::absent:
      return {Verdict::crashed, ours + ", and its agent finds no mysqld", host_until};
    case MysqldState::silent:
      if (silence >= t.deadtime) {
        return {Verdict::hung, ours + ", and its agent gets no answer from it either", host_until};
      }
      return {Verdict::suspect,
              ours + ", and its agent has just stopped getting answers; hung when that lasts for " +
                  ms(t.deadtime),
              std::min(host_until, now + (t.deadtime - silence))};
    case MysqldState::answers:
    case MysqldState::unknown:
      break;
  }
  const bool by_udp = agent.heard_within(LinkKind::udp, t.deadtime, now);
  const bool by_serial = agent.heard_within(LinkKind::serial, t.deadtime, now);
  const char* links = by_udp && by_serial ? "udp and serial" : by_udp ? "udp" : "serial";
  if (const Instant probed = *agent.heard_since + t.first_answer(); now < probed) {
    return {Verdict::suspect, ours + ", and its agent has just been heard again by " + links, probed};
  }
  return {Verdict::cut_off, ours + ", but its agent is heard by " + links, host_until};
}

}  // namespace

Judgement judge(const Evidence& e, const JudgeTimes& t, Instant now) {
  const Instant contact = e.last_contact();
  const Instant silence_ends = contact + t.deadtime;

  // A probe that began before the end may still have been answered.
  const auto& agent = e.agent;
  if (agent.saw_end_at && (!e.last_ok_started || *e.last_ok_started < *agent.saw_end_at)) {
    return {Verdict::crashed, "its agent saw mysqld end", std::nullopt};
  }

  // A probe is due each interval and may take its timeout: until then its absence means nothing.
  const bool nothing_failed = !e.failure && !e.lost_at && e.refused == 0;
  const Duration patience = t.interval + t.timeout;
  if (e.last_ok && nothing_failed && now - *e.last_ok < patience) {
    if (e.jammed) {
      return {
          Verdict::hung,
          "its commits wait for an acknowledgement that was lost, and it can write nothing that would bring "
          "another",
          *e.last_ok + patience};
    }
    return {Verdict::up, "answers probes", *e.last_ok + patience};
  }

  // Positive proof that no mysqld listens; a lost connection says that one did until now.
  // The texts do not count on, so that who repeats them (the route's reason) has no news.
  // A firewall refuses as well, but the sessions that are there go on; and an agent sees through it.
  auto objects = Objection::none;
  if (e.lost_at && e.refused >= t.refused_confirm) {
    const Instant since = std::max(*e.lost_at, e.refused_since.value_or(*e.lost_at));
    objects = objection(e, t, since, now);
    const std::string refused = "its connections ended and " + std::to_string(t.refused_confirm) +
                                " reconnects in a row were refused";
    if (objects == Objection::none) return {Verdict::crashed, refused, std::nullopt};
    if (objects == Objection::awaited)
      return {Verdict::suspect, refused + "; its agent's next word is awaited", since + 3 * t.keepalive};
  }
  std::optional<Instant> refused_alone;
  if (e.refused_since) refused_alone = std::max(*e.refused_since, e.last_traffic.value_or(*e.refused_since));
  if (refused_alone && now - *refused_alone >= t.deadtime) {
    objects = objection(e, t, *refused_alone, now);
    if (objects != Objection::made)
      return {Verdict::crashed, "has refused connections for " + ms(t.deadtime), std::nullopt};
  }

  // Evidence of life outranks every failure: such a server is not to be replaced.
  if (e.alive_at && e.failed_at == e.alive_at && now < *e.alive_at + t.deadtime) {
    return {Verdict::degraded, "alive, but " + failure_text(e), *e.alive_at + t.deadtime};
  }
  if (e.failure && e.failure->kind == FailureKind::not_mysql && now < *e.failed_at + t.deadtime) {
    return {Verdict::degraded, "something answers there: " + failure_text(e), *e.failed_at + t.deadtime};
  }
  if (e.failure && traffic_contradicts(e) && now < *e.last_traffic + t.interval) {
    return {Verdict::degraded, "probes fail (" + failure_text(e) + ") while clients get answers",
            *e.last_traffic + t.interval};
  }

  const auto agent_heard = agent.last_heard();
  const bool host_alive = agent.host_alive(t.deadtime, now);
  if (now >= silence_ends && host_alive) return judge_by_agent(e, t, now);
  // An agent that was heard before takes part in the silence.
  if (agent_heard && !host_alive && *agent_heard + t.deadtime > silence_ends &&
      now < *agent_heard + t.deadtime) {
    return {Verdict::suspect, failure_text(e), *agent_heard + t.deadtime};
  }

  if (now >= silence_ends) {
    return {Verdict::dead, "silent for " + ms(t.deadtime) + ": " + failure_text(e), std::nullopt};
  }
  if (objects == Objection::made) {
    return {Verdict::suspect,
            failure_text(e) + ", but its agent says that it runs; cut off when silent for " + ms(t.deadtime),
            silence_ends};
  }
  if (refused_alone && *refused_alone + t.deadtime < silence_ends) {
    return {Verdict::suspect, failure_text(e) + "; crashed when it has refused for " + ms(t.deadtime),
            *refused_alone + t.deadtime};
  }
  return {Verdict::suspect, failure_text(e) + "; dead when silent for " + ms(t.deadtime), silence_ends};
}

}  // namespace pointsman::core
