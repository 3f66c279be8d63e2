#include "health/core/lease.h"

namespace pointsman::core {

bool says_writable(const AgentWord& word) {
  switch (word.mysqld) {
    case MysqldState::absent:
    case MysqldState::dying:
    case MysqldState::exited:
      return false;
    default:
      return word.read_only != true;
  }
}

const char* to_string(LinkState state) {
  switch (state) {
    case LinkState::off:
      return "off";
    case LinkState::alive:
      return "alive";
    case LinkState::late:
      return "late";
    case LinkState::dead:
      return "dead";
  }
  return "?";
}

LinkState link_state(const AgentEvidence& agent, LinkKind link, bool configured, Duration warntime,
                     Duration deadtime, Instant now) {
  if (!configured) return LinkState::off;
  const auto& heard = agent.heard[index(link)];
  if (!heard || now - *heard >= deadtime) return LinkState::dead;
  return now - *heard >= warntime ? LinkState::late : LinkState::alive;
}

}  // namespace pointsman::core
