#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "health/core/cluster.h"
#include "health/core/event.h"
#include "health/core/outbox.h"

// What comes before a switchover: both servers are asked who holds them up, and that is waited for while the
// clients are served. It changes nothing: not the route, not the epoch, not a server, except that it ends
// transactions when it was told to. So whatever happens in it, there is nothing to undo.
//
//   looking --> nothing in the way --> rehearsing --> in time --> ready
//      ^               |                    | not in time
//      |               v                    v
//      +---100 ms--- waiting <--------------+     max_wait over: refused, or the transactions are ended
namespace pointsman::core {

class Preparation {
 public:
  struct Order {
    std::optional<RequestId> request;  // nullopt: by ourselves
    BackendId from{};
    BackendId to{};
    bool dry_run = false;
    Duration max_wait{};
    bool end_transactions = false;
  };
  enum class State { working, ready, refused };

  // All references outlive this. Asks at once.
  Preparation(const Cluster& cluster, Outbox& outbox, const Order& order, Instant now);

  void on(const CommandFinished& event, Instant now);
  void on_time(Instant now);
  // We were not running for `stall`.
  void forgive(Duration stall);
  // Nothing comes of it, for a reason from outside.
  void refuse(std::string why);
  // What runs on the servers for it is ended.
  void drop();

  State state() const { return state_; }
  const Order& order() const { return order_; }
  const std::string& why() const { return why_; }  // it was refused
  // Of a dry run: what would have to be waited for, sentences.
  const std::vector<std::string>& in_the_way() const { return in_the_way_; }
  // What was waited for, ended, or is to be known; a clause, empty when there is nothing to tell.
  std::string story(Instant now) const;
  // When on_time() is due at the latest.
  Instant deadline() const { return std::min(deadline_, wake_at_); }

  // A replica that is further behind would make every client wait while it catches up.
  static constexpr std::chrono::seconds max_lag{2};
  // How long applying what the primary has may take when it is tried, while the clients are served.
  static constexpr std::chrono::milliseconds max_rehearsal{1000};
  static constexpr Duration pause = std::chrono::milliseconds(100);
  // For the transactions that were ended: until they are rolled back.
  static constexpr Duration ending_time = std::chrono::seconds(10);
  static constexpr std::uint64_t least_free_bytes = std::uint64_t{256} << 20;

 private:
  void look(Instant now);
  void assess(Instant now);
  void add_occupants(const Server& server, bool is_primary);
  std::string forbidden() const;
  void obstructed(Instant now);
  void give_up(Instant now);
  void settle(State state);
  std::string list() const;

  const Cluster& cluster_;
  Outbox& outbox_;
  const Order order_;
  const Instant began_;

  State state_ = State::working;
  std::string why_;
  std::map<CommandId, BackendId> pending_;
  std::map<BackendId, ServerReport> reports_;  // of this round
  bool rehearsing_ = false;
  std::vector<std::string> in_the_way_;
  std::vector<std::uint64_t> endable_;  // threads on the primary
  bool all_endable_ = false;
  std::set<std::uint64_t> ended_;
  std::vector<std::string> ended_names_;
  std::string waited_for_;  // the first thing
  Instant give_up_at_;
  std::optional<Instant> ended_by_;  // those that were ended are to be gone
  Instant deadline_;                 // of what was asked
  Instant wake_at_ = Instant::max();
};

}  // namespace pointsman::core
