#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "health/core/cluster.h"
#include "health/core/event.h"
#include "health/core/outbox.h"

// Keeps every server beside the primary in its place while no change of primary runs: a returning old primary
// is made read-only and turned round, a server with transactions of its own is quarantined, a stray one is
// repointed, and the primary's own role (writable, semi-sync source) is restored after a restart.
namespace pointsman::core {

class Caretaker {
 public:
  Caretaker(Cluster& cluster, Outbox& outbox) : cluster_(cluster), outbox_(outbox) {}

  // Looks at every server once; gives at most one command per server at a time. Call after each event.
  void care(Instant now);
  void on(const CommandFinished& event, Instant now);
  void on(const TookBack& event, Instant now);
  void on_time(Instant now);
  // We were not running for `stall`: the answers that are due could not be heard.
  void forgive(Duration stall);
  // The configuration is another: what was tried under the old one is tried again at once.
  void reconsider();
  // A change of primary begins: what was asked for before belongs to an old epoch.
  void drop_all();
  // The operator asked; answered when the server follows or is refused, after longest_rejoin at the latest.
  void rejoin(const RejoinWanted& wish, Instant now);

  bool busy() const { return !errands_.empty(); }
  Instant next_deadline() const;
  // True once after the set of quarantined servers changed, so that it gets stored.
  bool take_dirty() { return std::exchange(dirty_, false); }

 private:
  enum class Duty {
    make_read_only,
    resume,
    start_applier,
    follow,
    reinstate,
    end_ring,
    semi_sync,
    prompt,
    take_back,
    events
  };
  struct Errand {
    Duty duty;
    CommandId id;
    BackendId backend;
    Instant began;
    Instant deadline;
    bool outdated = false;  // the configuration is another since
  };
  struct Patience {  // after a failure the next try waits longer
    Duty duty{};
    Instant not_before = Instant::min();
    Duration pause{};
    std::string last_error;
  };
  struct Request {
    RequestId id;
    Instant deadline;
    bool discard = false;
  };
  // Whether a server's own transactions may be taken back, and in words why (not).
  struct Discard {
    bool allowed = false;
    std::string why;
    GtidSet reign{};  // as in TakeBack, and so the next
    bool not_if_shut_down = false;
  };

  void care_for_primary(Server& primary, Instant now);
  void care_for_events(Server& primary, Instant now);
  void finished_events(const CommandFinished& event);
  void care_for_other(Server& server, const Server& primary, Instant now);
  void reinstate(Server& primary, Instant now);
  bool waits_in_vain(const Server& primary);
  void note_jam(const Errand& late);
  bool end_ring(Server& primary, Instant now);
  void care_for_stray(Server& server, const Server& primary, Instant now);
  void watch_replica(Server& server, const Server& primary, Instant now);
  bool stopped_by_restart(const Server& server, const Server& primary) const;
  bool restart_applier(Server& server, Instant now);
  void restarted_applier(const Server& server);
  void make_exact(Server& server, const Server& primary);
  void care_for_diverged(Server& server, const Server& primary, Instant now);
  // Its receiver stopped as the primary cannot read its binary logs for it.
  bool stopped_unread(const Server& server, const Server& primary) const;
  bool is_unread(BackendId backend) const;  // was told so often enough
  void care_for_unread(Server& server, const Server& primary, Instant now);
  bool ordered_to_discard(const Server& server) const;
  Discard may_discard(const Server& server) const;
  void take_back(Server& server, const Server& primary, const Discard& discard, Instant now);
  void quarantine(Server& server, const Server& primary, const std::string& why);
  void put_in_quarantine(Server& server, const std::string& text);
  void start(Duty duty, Server& server, Command command, Duration limit, Instant now);
  // It is not tried again for a while, each time for a longer one.
  Patience& hold_off(const Errand& errand, Instant now);
  void failed(const Errand& errand, const std::string& why, Instant now);
  void finished_follow(const Errand& errand, Instant now);
  void end(const Errand& errand);
  void answer(BackendId backend, bool ok, const std::string& text);
  bool occupied(BackendId backend) const;
  // Not `occupied`: a server that is being given other data may need to be made read-only meanwhile.
  bool being_taken_back(BackendId backend) const;
  bool must_wait(const Server& server, bool is_primary, Instant now) const;

  Cluster& cluster_;
  Outbox& outbox_;
  std::vector<Errand> errands_;  // at most one per server, and one to take back
  std::map<BackendId, Patience> patience_;
  std::map<BackendId, Request> requests_;
  // What could not be taken back, and why: it is not tried again before something is different.
  struct Refused {
    GtidSet errant;
    std::string why;
  };
  std::map<BackendId, Refused> refused_;
  // Who cannot go on with what it has, as its source does not have the binary logs for that, or cannot read
  // them. One answer may be of a moment that is past, so a few are asked for. A receiver may be connected for
  // a moment before it gets its answer.
  struct Unread {
    unsigned times = 0;
    std::string error;
    std::optional<Instant> receives_since;
  };
  std::map<BackendId, Unread> unread_;
  std::map<BackendId, Instant> replicated_at_;   // when it was last seen to
  std::map<BackendId, Instant> next_semi_sync_;  // when a replica may be asked again
  std::map<BackendId, Instant> asked_after_;     // the end of the report that was too old to decide by
  // Of appliers that had to be started again.
  struct Restart {
    Instant not_before = Instant::min();  // the next time
    std::string why;
    std::string recorded;  // the same words are not repeated in the history until it runs for a while
  };
  std::map<BackendId, Restart> restarts_;
  // The primary had committed no more than this and was waiting for a replica, at all reports since.
  struct Standstill {
    GtidSet executed;
    Instant since;
  };
  std::optional<Standstill> standstill_;
  bool dirty_ = false;
};

// A record about one server.
HistoryRecord about(const std::string& kind, const Cluster& cluster, const Server& server,
                    std::string message);

}  // namespace pointsman::core
