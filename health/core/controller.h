#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "health/core/action.h"
#include "health/core/adoption.h"
#include "health/core/caretaker.h"
#include "health/core/change.h"
#include "health/core/cluster.h"
#include "health/core/durable_state.h"
#include "health/core/event.h"
#include "health/core/outbox.h"
#include "health/core/preparation.h"
#include "health/core/veto.h"

// The decision core: events in, actions out. Pure: no clock, no thread, no I/O; the driver and the simulated
// world call it alike.
//
//   evidence -> verdict (judge) -> who is primary (adoption) -> vetoes -> Change (failover, switchover) ->
//   route
//                                                                     \-> Caretaker (everybody else in his
//                                                                     place)
//
// One thread. The driver performs the returned actions in order, and calls step(Tick) at next_deadline() at
// the latest.
namespace pointsman::core {

enum class State { steady, failing_over, switching_over, no_primary, paused };
const char* to_string(State state);

class Controller {
 public:
  // `stored` is what an earlier daemon left, default when there was none. `unix_ms`: what the clock on the
  // wall says at `now`, for what people read; nothing is decided by it.
  Controller(conf::Config config, DurableState stored, Instant now, std::int64_t unix_ms = 0);

  // Actions to perform at once, before the first event. `served`: see AdoptionRules.
  Actions begin(std::optional<BackendId> served = std::nullopt);
  Actions step(const Event& event, Instant now);
  Instant next_deadline() const { return promised_; }

  // What the agent of a backend is to be told now. The driver sends it at each keepalive, and at once when it
  // has changed; see on_sealed().
  struct AgentOrder {
    ProxyWord word;
    Epoch epoch;
    bool operator==(const AgentOrder&) const = default;
  };
  AgentOrder order_for(BackendId backend) const;
  // The order was sealed into a frame; to be told before the frame leaves. `acknowledged_at` as in
  // LinkSession.
  void on_sealed(BackendId backend, const ProxyWord& word, std::optional<Instant> acknowledged_at);

  State state() const;
  const Cluster& cluster() const { return cluster_; }
  const SetRoute& route() const { return outbox_.current_route(); }
  // Why nobody is routed, a sentence; empty when somebody is.
  const std::string& reason() const { return reason_; }
  const Change* change() const { return change_.get(); }
  const Preparation* preparation() const { return preparation_.get(); }
  bool store_failing() const { return !store_error_.empty(); }
  std::vector<std::string> warnings() const;

  // Whether the primary's commits wait for a replica, and what is lost with it if they do not.
  const SemiSyncPhase& semi_sync() const { return ledger_.phase(); }
  GtidSet at_stake() const { return pointsman::core::at_stake(cluster_, ledger_); }

  // What would happen if the primary died now.
  struct Explanation {
    std::string candidate;
    std::string verdict_needed;
    std::optional<Duration> expected;  // of the last failover from evidence to route; nullopt: none yet
    std::string loss;
    std::uint64_t at_stake = 0;            // transactions; as in Controller::at_stake()
    std::vector<std::string> passed_over;  // the other servers, each with why it is not the candidate
    std::vector<std::string> vetoes;
    std::string text;
  };
  Explanation explain(Instant now) const;

 private:
  void absorb(const Event& event, Instant now);
  void absorb_probe(const ProbeSucceeded& event);
  void note_whole(Server& server);
  void absorb_frame(const AgentHeard& event, Instant now);
  void absorb_failure(const ProbeFailed& event);
  void begin_ledger(const Server& primary);
  void watch_semi_sync(const Server& server, Instant started, Instant finished);
  void tell_semi_sync(SemiSyncPhase::News news, const std::optional<Degraded>& before, const Server& server);
  std::int64_t unix_ms(Instant at) const { return unix_ms_at_start_ + to_ms(at - started_); }
  void judge_all(Instant now);
  void notice_isolation(Instant now);
  GrantedRole role_for(const Server& server) const;
  bool reigns_on(BackendId primary) const;
  void watch_links(Instant now);
  void learn_epoch(Server& server, Epoch epoch, Instant now);
  std::string verdict_needed(const Server& primary) const;
  void add_applier_warnings(std::vector<std::string>& list) const;
  void add_agent_warnings(const Server& server, std::vector<std::string>& list) const;
  void decide(Instant now);
  void try_adoption(Instant now);
  void consider_failover(Server& primary, Instant now);
  void begin_change(Change::Order order, Instant now);
  void conclude_change(Instant now);
  void keep_route(Instant now);
  void want_route(RouteMode mode, std::optional<BackendId> backend, const std::string& reason);
  void maybe_fail_back(Instant now);
  void forgive_stall(Instant now);
  void persist();
  void note(const std::string& kind, const Server* server, std::string message);

  void store_again(Instant now);
  void handle(const SwitchoverWanted& wish, Instant now);
  void handle(const FailoverWanted& wish, Instant now);
  void handle(const RejoinWanted& wish, Instant now);
  void handle(const MaintenanceWanted& wish, Instant now);
  void handle(const AutomaticWanted& wish, Instant now);
  void handle(const PauseWanted& wish, Instant now);
  void handle(const Reconfigured& event, Instant now);
  std::string refuse_switchover(std::optional<BackendId>& to, Duration max_wait) const;
  void watch_preparation(Instant now);

  Cluster cluster_;
  DurableState durable_;
  Outbox outbox_;
  PrimaryLedger ledger_;
  std::optional<BackendId> ledger_of_;  // whose
  Caretaker caretaker_;
  std::unique_ptr<Preparation> preparation_;  // of a switchover; beside it everything goes on
  std::unique_ptr<Change> change_;

  // Who was primary in the last epoch that was durable when a change began. Where the change comes to nothing
  // and its own epoch could not be stored, that reign goes on.
  struct Reign {
    Epoch epoch;
    BackendId primary;
  };
  std::optional<Reign> reign_;

  bool adopting_ = true;  // who is primary is still to be found out
  AdoptionRules adoption_rules_;
  std::string reason_;
  std::string store_error_;
  static constexpr Duration store_pause{std::chrono::seconds(2)};
  Instant store_again_at_;                // while store_error_
  std::deque<Instant> recent_failovers_;  // automatic, within failover.window; bounded by max_in_window
  std::optional<Duration> last_failover_took_;
  std::optional<Instant> outage_since_;  // the primary's verdict calls for a failover since then
  bool refusal_recorded_ = false;
  Instant retry_at_ = Instant::min();    // after a failed change nothing is tried before
  Duration retry_pause_{};               // grows with each failure in a row
  Instant hold_until_ = Instant::min();  // after a stall, or when we were cut off
  bool cut_off_ = false;                 // every server was silent at once
  std::optional<BackendId> fail_back_to_;
  Instant fail_back_at_ = Instant::min();  // not tried before
  // An order of an earlier daemon may be carried out until then.
  std::optional<Instant> late_orders_until_;
  const Instant started_;
  const std::int64_t unix_ms_at_start_;
  // How often it becomes durable how far a primary has come that commits without a replica.
  static constexpr Duration mark_pause{std::chrono::seconds(1)};
  Instant mark_due_ = Instant::min();
  Instant links_due_ = Instant::min();  // when the state of a link changes if nothing is heard
  Instant promised_;                    // next_deadline() of the last step
};

}  // namespace pointsman::core
