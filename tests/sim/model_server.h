#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

namespace pointsman::sim {

// The `number`-th transaction that was first committed on server `origin`.
struct Transaction {
  unsigned origin = 0;
  std::uint64_t number = 0;
  auto operator<=>(const Transaction&) const = default;
};

// Transactions in the order of the binary log.
class BinaryLog {
 public:
  bool add(Transaction transaction);  // false: was there already
  bool has(const Transaction& transaction) const;
  const std::vector<Transaction>& order() const { return order_; }
  std::uint64_t count_of(unsigned origin) const;
  core::GtidSet set() const;
  // Nothing in it that `other` does not have.
  bool within(const BinaryLog& other) const;
  void take_back(const Transaction& transaction);  // it and all that came after it

 private:
  std::vector<Transaction> order_;
  std::map<unsigned, std::uint64_t> newest_;  // of each origin; numbers of an origin come without gaps
  mutable std::optional<core::GtidSet> set_;  // of now, once asked for
};

// How long a commit waits under `preferred` for a replica that has gone away.
inline constexpr std::chrono::milliseconds preferred_patience{2500};

core::GtidSet gtids(unsigned origin, std::uint64_t first, std::uint64_t last);

// One database server as far as the decision core can tell: plain state and the effect of commands on it. Who
// can reach it, and how long anything takes, is the world's business.
class ModelServer {
 public:
  enum class Power {
    running,
    frozen,   // the process stands still, the kernel goes on: connections stay, nothing answers
    stopped,  // no process: connections end, new ones are refused
    off,      // no host: silence
  };

  struct Replication {
    conf::HostPort source;
    std::uint32_t source_server_id = 0;  // told by the source when it was connected to
    bool receiver_wanted = true;
    bool applier_wanted = true;
    bool connected = false;
    unsigned io_errno = 0;
    unsigned sql_errno = 0;
    std::deque<Transaction> relay;  // received, not applied
    std::uint64_t events = 0;
  };

  ModelServer(unsigned number, conf::Backend settings);

  unsigned number;  // its server id, and the origin of its own transactions
  conf::Backend settings;

  // What a restart keeps.
  BinaryLog log;
  std::optional<Replication> replication;
  unsigned extra_channels = 0;
  bool read_only_at_boot = true;
  bool log_bin = true;
  bool log_replica_updates = true;
  bool gtid_on = true;
  bool by_gtid = true;
  bool semi_sync_available = true;
  bool takes_proxy_header = false;
  std::optional<unsigned> appliers;
  // Crash recovery takes back what no replica had acknowledged (MariaDB with init_rpl_role = SLAVE).
  bool sheds = false;
  bool purged = false;                      // its binary log begins after all that others would need
  bool copied = false;                      // has data with which it can go on all the same
  std::vector<Transaction> unacknowledged;  // of the crash

  std::vector<std::uint64_t> own_at_starts;  // how many of its own it had

  // What it does not.
  Power power = Power::running;
  bool dying = false;  // frozen, and will not come back: the kernel takes it down
  bool read_only = true;
  bool semi_sync_source = false;
  bool semi_sync_replica = false;
  conf::SemiSync semi_sync_mode = conf::SemiSync::off;
  bool semi_sync_active = false;
  bool waits_alone = false;
  core::Instant started;
  core::Instant waiting_since;
  std::vector<Transaction> waiting;  // committed here, waiting for a replica's acknowledgement

  bool event_scheduler = false;
  bool events_exist = false;    // scheduled ones
  bool events_enabled = false;  // and here they are not disabled
  std::vector<core::Occupant> occupants;
  std::optional<std::uint64_t> free_bytes;
  bool scheduler_settable = true;
  // What a promotion leaves behind is forgotten a moment later (MySQL).
  bool forgets_late = false;
  // And it had to kill the applier, which shows until then.
  bool kills_applier = false;

  // An error that it answers every connection with, instead of serving it.
  std::optional<core::Failure> sick;

  bool answers() const { return power == Power::running; }
  bool accepts_writes() const { return power == Power::running && !read_only; }
  // It does, or will as soon as it comes to itself.
  bool may_accept_writes() const {
    return !read_only && !dying && (power == Power::running || power == Power::frozen);
  }
  Transaction commit();
  core::ServerReport report(core::Instant now, unsigned semi_sync_clients) const;
  core::GtidSet received() const;  // applied or not

  void stop(Power how);
  void start(core::Instant now);
  void interrupt_applier();  // which somebody killed

  // Effects of the core's commands.
  void stop_receiving();
  void resume_receiving();
  void start_applier();
  void stop_replication();  // the first statement of Promote
  void become_primary(conf::SemiSync mode);
  void make_writable(conf::SemiSync mode);
  void set_semi_sync_source(conf::SemiSync mode, bool replica_there);
  // Throws away what `kept` does not have. False: forbidden, see core::TakeBack::reign.
  bool take_back(const BinaryLog& kept, const core::GtidSet& reign);
  void make_read_only();
  core::SurveyResult survey() const;
  void follow(const conf::HostPort& source, conf::SemiSync mode);

 private:
  core::ReplicaStatus report_of_applier() const;  // the rest is not told
};

}  // namespace pointsman::sim
