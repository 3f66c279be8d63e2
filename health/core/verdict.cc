#include "health/core/verdict.h"

#include <algorithm>
#include <string>

namespace pointsman::core {

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::up: return "up";
    case Verdict::degraded: return "degraded";
    case Verdict::suspect: return "suspect";
    case Verdict::crashed: return "crashed";
    case Verdict::hung: return "hung";
    case Verdict::cut_off: return "cut_off";
    case Verdict::dead: return "dead";
  }
  return "?";
}

bool calls_for_failover(Verdict verdict) {
  switch (verdict) {
    case Verdict::crashed:
    case Verdict::hung:
    case Verdict::cut_off:
    case Verdict::dead: return true;
    default: return false;
  }
}

namespace {

std::string ms(Duration d) { return std::to_string(to_ms(d)) + " ms"; }

std::string failure_text(const Evidence& e) { return e.failure ? e.failure->text : std::string("no answer yet"); }

}  // namespace

Judgement judge(const Evidence& e, const JudgeTimes& t, Instant now) {
  const Instant contact = e.last_contact();
  const Instant silence_ends = contact + t.deadtime;

  // A probe is due each interval and may take its timeout: until then its absence means nothing.
  const bool nothing_failed = !e.failure && !e.lost_at && e.refused == 0;
  const Duration patience = t.interval + t.timeout;
  if (e.last_ok && nothing_failed && now - *e.last_ok < patience) {
    return {Verdict::up, "answers probes", *e.last_ok + patience};
  }

  // Positive proof that no mysqld listens; a lost connection says that one did until now.
  if (e.lost_at && e.refused >= t.refused_confirm) {
    return {Verdict::crashed,
            "its connections ended and " + std::to_string(e.refused) + " reconnects in a row were refused",
            std::nullopt};
  }
  if (e.refused_since && now - *e.refused_since >= t.deadtime) {
    return {Verdict::crashed, "refuses connections since " + ms(now - *e.refused_since), std::nullopt};
  }

  // Evidence of life outranks every failure: such a server is not to be replaced.
  if (e.alive_at && e.failed_at == e.alive_at && now < *e.alive_at + t.deadtime) {
    return {Verdict::degraded, "alive, but " + failure_text(e), *e.alive_at + t.deadtime};
  }
  if (e.failure && e.failure->kind == FailureKind::not_mysql && now < *e.failed_at + t.deadtime) {
    return {Verdict::degraded, "something answers there: " + failure_text(e), *e.failed_at + t.deadtime};
  }
  if (e.failure && e.last_traffic && now < *e.last_traffic + t.interval) {
    return {Verdict::degraded, "probes fail (" + failure_text(e) + ") while clients get answers",
            *e.last_traffic + t.interval};
  }

  if (now >= silence_ends) {
    return {Verdict::dead, "silent for " + ms(now - contact) + ": " + failure_text(e), std::nullopt};
  }
  Instant until = silence_ends;
  if (e.refused_since) until = std::min(until, *e.refused_since + t.deadtime);
  return {Verdict::suspect, failure_text(e) + "; decided in " + ms(until - now), until};
}

}  // namespace pointsman::core
