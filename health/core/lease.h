#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "health/core/evidence.h"
#include "health/core/frame.h"
#include "health/core/time.h"

// The proxy's half of a lease: until when the agent on a server's host may let the server accept writes, and
// whether there is an agent that will end them. (The agent's half is AgentGuard.)
namespace pointsman::core {

// The longest that the leases granted to one server can last.
//
// A lease counts from the moment when the agent sent the frame that the grant acknowledges, and that frame
// came to us later. So it is over, whatever became of frames on their way, when the lease has passed since
// that frame came; a little is added for clocks that do not run alike, and for the time that it takes until
// the server accepts no more writes.
class LeaseBound {
 public:
  static constexpr int drift = 1000;  // clocks of two hosts differ by at most 1 in so many

  // From the end of a lease until the server accepts no more writes, one way or the other. Where it costs
  // nothing it is more: with the usual times the lease and it are as long as deadtime.
  static constexpr Duration reaction(Duration lease) {
    return std::clamp<Duration>(lease / 4, std::chrono::milliseconds(100), std::chrono::milliseconds(300));
  }
  // Of that, what a server has to become read-only before its agent kills it; the rest is for the kill.
  static constexpr Duration patience(Duration lease) {
    return reaction(lease) - std::chrono::milliseconds(40);
  }

  // `heard_at`: LinkSession::acknowledged_at() of the frame that carried the grant.
  void on_granted(Instant heard_at, Duration lease) {
    const Instant end = heard_at + lease + lease / drift + reaction(lease);
    if (!over_at_ || end > *over_at_) over_at_ = end;
  }
  // nullopt: none was ever granted.
  std::optional<Instant> over_at() const { return over_at_; }
  bool over(Instant now) const { return !over_at_ || now >= *over_at_; }

 private:
  std::optional<Instant> over_at_;
};

// What an agent's word says about its guard over the server.
inline bool keeps_lease(const AgentWord& word) {
  return word.lease_held || word.lease_lost;
}
// By the agent's newest word mysqld accepts writes, or may.
bool says_writable(const AgentWord& word);

// The state of one link to an agent.
enum class LinkState { off, alive, late, dead };
const char* to_string(LinkState state);
LinkState link_state(const AgentEvidence& agent, LinkKind link, bool configured, Duration warntime,
                     Duration deadtime, Instant now);

}  // namespace pointsman::core
