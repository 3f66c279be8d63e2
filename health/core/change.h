#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "health/core/candidate.h"
#include "health/core/cluster.h"
#include "health/core/event.h"
#include "health/core/outbox.h"
#include "health/core/veto.h"

// One change of primary from its first step to its last: failover (the old one does not serve) or switchover
// (planned). Fed by the controller with the events that answer its actions; what happens when is in the table
// in change.cc.
namespace pointsman::core {

class Change {
 public:
  enum class Kind { failover, switchover };
  enum class Step {
    close_route,
    fence,
    choose,
    read_only,
    catch_up,
    promote,
    route,
    repoint,
    undo_promotion,
    undo_read_only,
    undo_route,
    done,
    failed,
  };

  struct Order {
    Kind kind = Kind::failover;
    std::optional<BackendId> from;
    std::optional<BackendId> to;  // named by the operator
    bool automatic = false;
    bool forced = false;
    std::optional<RequestId> request;
    bool end_transactions = false;  // that hold the old primary up, by the operator's word
    std::string preparation{};      // what was done before, a clause
    Instant evidence_at;            // when the old primary was last known to serve; now, for a planned change
  };

  // What a change of this kind does, step by step, as shown by a dry run.
  static std::vector<Reply::PlannedStep> plan(Kind kind, const std::string& from, const std::string& to);

  // Takes a new epoch and performs the first step. All references outlive this; `durable` is shared with the
  // controller, so that what an operator changes meanwhile is not undone by a later store.
  Change(Cluster& cluster, Outbox& outbox, const PrimaryLedger& ledger, DurableState& durable, Order order,
         Instant now);

  void on(const CommandFinished& event, Instant now);
  void on(const RouteApplied& event, Instant now);
  void on(const StateStored& event, Instant now);
  void on(const FenceCommandFinished& event, Instant now);
  // The agent of this server was heard.
  void on_agent(BackendId backend, Instant now);
  void on_time(Instant now);
  // We were not running for `stall`: the answers that are due could not be heard.
  void forgive(Duration stall) { deadline_ = finished() ? deadline_ : deadline_ + stall; }
  // A server got a new verdict.
  void on_verdict(BackendId backend, Instant now);

  bool finished() const { return step_ == Step::done || step_ == Step::failed; }
  bool succeeded() const { return step_ == Step::done; }
  // A promotion was begun and its outcome is not known: who is primary must be found out anew.
  bool uncertain() const { return step_ == Step::failed && promote_sent_; }
  // Writes go to the new primary (route and later).
  bool serving() const { return step_ == Step::repoint || step_ == Step::done; }
  bool undoing() const {
    return step_ == Step::undo_promotion || step_ == Step::undo_read_only || step_ == Step::undo_route;
  }
  // When on_time() is due at the latest.
  Instant deadline() const { return std::min(deadline_, wake_at_); }
  // The agent on this server's host is to keep it from writing.
  bool fences(BackendId backend) const {
    return order_.kind == Kind::failover && order_.from == backend && !finished();
  }
  Step step() const { return step_; }
  const Order& order() const { return order_; }
  std::optional<BackendId> candidate() const { return candidate_; }
  const std::string& failure() const { return failure_; }

  // That it has begun.
  HistoryRecord beginning() const;
  // What it did, with the time of each step so far.
  HistoryRecord record(Instant now) const;

 private:
  struct Row {
    Kind kind;
    Step step;
    void (Change::*enter)(Instant);
    Duration limit;   // 0: failover.catchup_timeout
    Step next;        // when all that the step waits for has come
    Step on_failure;  // Step::failed: give up, what was stopped is resumed
    const char* says;
  };
  static const Row& row(Kind kind, Step step);

  void enter(Step step, Instant now);
  void leave(Instant now, const std::string& note = {});
  void advance(Instant now, const std::string& note = {});
  void fail(const std::string& why, Instant now);
  void fail_by_servers(const std::string& why, Instant now);
  void give_up(const std::string& why, Instant now);

  void enter_close_route(Instant now);
  void enter_fence(Instant now);
  void enter_choose(Instant now);
  void enter_read_only(Instant now);
  void enter_catch_up(Instant now);
  void enter_promote(Instant now);
  void enter_route(Instant now);
  void enter_repoint(Instant now);
  void enter_undo_promotion(Instant now);
  void enter_undo_read_only(Instant now);
  void enter_undo_route(Instant now);

  void settle_fence(Instant now);
  struct FenceProof {
    std::string why;     // in words; empty: goes without saying
    bool bounds = true;  // it surely answered no commit after this moment
  };
  std::optional<FenceProof> fence_proof(Instant now) const;
  std::string fence_awaited() const;
  std::string late_servers() const;
  void stop_receivers(Instant now);
  bool may_still_come(Instant now) const;
  void settle_choice(Instant now);
  bool stays_chained(const Server& server) const;
  Promise promise_of_old(const Shortfall& shortfall) const;
  void promote_when_safe(Instant now);
  void command(BackendId backend, Command what);
  void make_read_only(BackendId backend, MakeReadOnly order, bool awaited);
  void drop_commands_to(BackendId backend);
  bool lost(std::optional<BackendId> backend) const;
  void store(const std::string& primary, bool marked);
  void finish_repoint(Instant now);
  std::string name_of_from() const;
  std::string old_primary_of_record() const;
  std::optional<BackendId> expected_candidate() const;
  bool received_all() const;  // the candidate has, applied or not, all that it must have

  Cluster& cluster_;
  Outbox& outbox_;
  const PrimaryLedger& ledger_;
  DurableState& durable_;
  Order order_;
  std::string verdict_;
  Instant began_;

  Step step_ = Step::failed;
  Instant step_began_;
  Instant deadline_;
  Instant wake_at_ = Instant::max();        // something but the step's end is due
  std::map<CommandId, BackendId> pending_;  // commands whose answers this step waits for
  bool fence_command_pending_ = false;
  bool fence_command_done_ = false;
  bool fenced_by_sql_ = false;  // the old primary answered and obeyed
  bool guarded_ = false;        // the old primary, when the change began: its lease ends its writes
  std::uint64_t route_token_ = 0;
  bool route_applied_ = false;
  std::uint64_t store_version_ = 0;
  bool stored_ = false;
  bool promote_sent_ = false;

  std::optional<BackendId> candidate_;
  std::optional<Instant> ended_at_;       // the old primary surely answered no commit after this
  std::optional<Instant> reign_started_;  // when its mysqld was started
  std::optional<Promise> promise_;        // of the old primary, since the choice
  GtidSet fenced_at_;                     // final position of an old primary that acknowledged its fence
  bool awaits_last_ = false;              // the candidate is given time to receive that
  Instant await_until_;
  GtidSet target_;               // what the candidate must have applied before it is promoted
  std::set<BackendId> stopped_;  // replicas that confirmed that their receiver is stopped
  std::vector<StepTime> times_;
  std::optional<Duration> total_;
  std::vector<std::string> troubles_;  // what did not work but did not stop the change
  std::string failure_;
};

const char* to_string(Change::Kind kind);
const char* to_string(Change::Step step);

}  // namespace pointsman::core
