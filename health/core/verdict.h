#pragma once

#include <optional>
#include <string>

#include "health/core/evidence.h"
#include "health/core/time.h"

// From evidence to verdict: the only place where "it does not answer" becomes "it is dead".
namespace pointsman::core {

enum class Verdict {
  up,        // serves
  degraded,  // alive, not well: never a reason to fail over
  suspect,   // something failed, no rule holds yet
  crashed,   // mysqld gone, host alive: nothing to fence
  hung,      // mysqld runs and answers nobody; needs an agent to be told from dead
  cut_off,   // unreachable for clients, host alive on a link; needs an agent
  dead,      // silence everywhere
};
const char* to_string(Verdict verdict);

// The server cannot serve: a primary with such a verdict is to be replaced.
bool calls_for_failover(Verdict verdict);

struct Judgement {
  Verdict verdict = Verdict::suspect;
  std::string why;               // in words, with the evidence
  std::optional<Instant> until;  // when this verdict changes if nothing is heard; nullopt: only by an event
};

struct JudgeTimes {
  Duration interval{};  // between probes
  Duration timeout{};   // of a probe
  Duration deadtime{};
  unsigned refused_confirm = 2;
  Duration keepalive = std::chrono::milliseconds(100);  // between an agent's frames

  // When a cable is mended, a probe may need so long for its first answer: ARP and TCP ask again after a
  // second.
  Duration first_answer() const { return std::chrono::seconds(1) + interval + timeout; }
};

// The rules of the design's table, first that holds wins:
//   the agent saw mysqld end since the last probe began -> crashed;  fresh probe -> up;
//   lost and refused in a row, or refused for deadtime without traffic -> crashed, unless its agent, heard
//   since, says that mysqld runs (a firewall refuses as well);
//   an answer that proves life, or traffic -> degraded;
//   silence to us for deadtime, but the host's agent is heard: it finds no mysqld -> crashed, gets no answer
//   from it for deadtime either -> hung, else cut_off; silence everywhere for deadtime -> dead;  else
//   suspect.
Judgement judge(const Evidence& evidence, const JudgeTimes& times, Instant now);

}  // namespace pointsman::core
