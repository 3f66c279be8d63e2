#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "health/core/frame.h"
#include "health/core/ids.h"
#include "health/core/lease.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

// What the agent on a database host decides: whether the local server may accept writes, and what is done
// when it must not. Pure; time is handed in. Owned by the agent's loop, one thread.
namespace pointsman::core {

struct GuardSettings {
  bool kill_hung = true;
  bool kill_clients = true;
};

// What an agent remembers over its own restart.
struct GuardMemory {
  Epoch epoch;
  bool primary = false;
  Duration lease{};  // 0: none is kept
  std::optional<Instant> lease_until{};
  bool read_only_by_us = false;  // it is read-only by our order, or may become so
  bool kill_hung = false;        // as the proxy's last word says
  bool operator==(const GuardMemory&) const = default;
};

// The rules:
//  * The role `primary` is good as long as its lease. The lease counts from the moment when we sent the
//    frame that the proxy had heard when it granted the role: so it ends here before the proxy takes it
//    for over, however long frames were on their way.
//  * When the lease runs out, the role is taken away (standby), or a fence is ordered, the server is made
//    read-only and, as configured, its clients are ended. Under a fence and without a lease that is
//    enforced until the role is granted again; for standby it is done once, because it is the proxy that
//    promotes by SQL.
//  * A server that hangs is killed, where that is allowed, when a fence is ordered.
//  * The same where a server cannot be made read-only, because it hangs or because a statement or a commit
//    holds that up: nobody knows when that ends, and what has begun can be committed until then. Under a
//    fence, for which the proxy waits, it has enforce_limit; none, if its commits have waited in vain for a
//    replica that long already. When the lease is over, LeaseBound::patience: after LeaseBound::reaction the
//    proxy promotes another one.
//  * A server that starts while the host has no good primary's role is made read-only before anything
//    else.
//  * What was made read-only here, for want of a lease, under a fence or as it started, we say to be so
//    (lease_lost) when we have the primary's role, until it accepts writes again. To lift it is the
//    proxy's: its orders come one after the other, and it alone knows that no other server is being
//    promoted. An order that was given up counts as well, until the server has accepted writes for
//    late_order_limit: one that stood still may have it in its socket.
//  * A restarted agent goes on with the lease that it had, and with the leave to kill for it. Should that
//    have run out meanwhile, nobody guarded the server; the proxy gets restart_grace to be heard before
//    writes are stopped.
//  * An agent that was never told a role leaves a running server as it is.
//  * Words of a lower epoch count for nothing.
class AgentGuard {
 public:
  enum class Order { make_read_only, kill };
  static constexpr Duration restart_grace = std::chrono::milliseconds(300);
  static constexpr Duration enforce_limit = std::chrono::milliseconds(300);
  static constexpr Duration late_order_limit = std::chrono::seconds(10);

  AgentGuard(GuardSettings settings, const GuardMemory& memory, Instant now);

  // A frame of the proxy that counts as life. `ack_sent_at` as in LinkSession::Received.
  void on_word(const ProxyWord& word, Epoch epoch, std::optional<Instant> ack_sent_at, Instant now);
  // The server said this of itself; it was asked at `asked`.
  void on_report(const ServerReport& report, Instant asked);
  // It answered with an error (too many connections, access denied): nothing is known of it but that it does
  // not hang.
  void on_answer(Instant asked);
  // A probe failed: the server has not answered since `since`.
  void on_silence(Instant since);
  // What the process table says: absent, dying, exited, or that a process runs (anything else). `started`: it
  // is another process than the one before, or the first one seen to appear.
  void on_process(MysqldState state, bool started);
  // An order was carried out, or not, just now.
  void on_done(Order order, bool ok, Instant now);

  // What is to be done now; each order is given once until its on_done().
  std::vector<Order> step(Instant now);
  // When step() must be called at the latest, without any event.
  Instant next_deadline() const;

  // What the proxy is told.
  AgentWord word(Instant now) const;
  Epoch epoch() const { return memory_.epoch; }
  GrantedRole role() const { return role_; }
  // To be made durable (until the host's next boot) whenever it changes.
  const GuardMemory& memory() const { return memory_; }

  bool may_write(Instant now) const;
  // In words, for the log and for people.
  std::string why() const;

 private:
  bool lease_kept() const { return memory_.lease > Duration::zero(); }
  bool must_enforce(Instant now) const;
  Duration patience() const {
    if (role_ != GrantedRole::fence) return LeaseBound::patience(memory_.lease);
    return commits_stand_still() ? Duration::zero() : enforce_limit;
  }
  // What a fence would wait for.
  bool commits_stand_still() const {
    return unacknowledged_since_ && *reported_at_ - *unacknowledged_since_ >= enforce_limit;
  }
  bool resists(Instant now) const { return enforcing_since_ && now - *enforcing_since_ >= patience(); }
  bool known_read_only() const { return report_ && report_->read_only; }
  bool process_gone() const;
  bool ordered(Order order) const;

  GuardSettings settings_;
  GuardMemory memory_;
  GrantedRole role_ = GrantedRole::none;
  std::optional<Instant> lease_until_;
  bool lease_lost_ = false;      // it ran out, and the role was not granted again
  bool owes_read_only_ = false;  // once: a role was taken away, or the server started without one
  bool fence_failed_ = false;
  std::optional<Instant> done_at_;          // the last make_read_only; nullopt since another was ordered
  std::optional<Instant> writable_since_;   // by each report since that order
  std::optional<Instant> fence_since_;      // of the present fence order
  std::optional<Instant> enforcing_since_;  // it must be read-only, and is not yet
  Epoch fenced_;

  MysqldState process_ = MysqldState::unknown;
  std::optional<ServerReport> report_;  // of the process that runs
  std::optional<Instant> reported_at_;  // asked at
  // Since then it waits, by each of its reports, for a replica, and no commit was acknowledged.
  std::optional<Instant> unacknowledged_since_;
  std::optional<Instant> silent_since_;
  bool answered_ = false;  // the process that runs, be it with an error
  bool booting_ = false;   // it was seen to start, and has not answered yet
  std::vector<Order> running_;
  std::optional<Instant> retry_at_;  // after a failed order
};

const char* to_string(AgentGuard::Order order);

}  // namespace pointsman::core
