#include "health/core/agent_guard.h"

#include <algorithm>

#include "health/core/frame_gtids.h"

namespace pointsman::core {

using namespace std::chrono_literals;

namespace {

constexpr Duration retry_pause = 100ms;
// A server on a busy host listens some time before it greets anybody. Killed for that, it would be started
// and killed again without end.
constexpr Duration boot_patience = 15s;

// MySQL becomes read-only when its commits have ended, and one that waits for a replica does not end because
// its client does. On MariaDB it does.
bool acknowledgement_is_due(const ServerReport& report) {
  return report.flavour == Flavour::mysql && !report.read_only && report.semi_sync.source_waiting > 0;
}

}  // namespace

const char* to_string(AgentGuard::Order order) {
  switch (order) {
    case AgentGuard::Order::make_read_only:
      return "make_read_only";
    case AgentGuard::Order::kill:
      return "kill";
  }
  return "?";
}

AgentGuard::AgentGuard(GuardSettings settings, const GuardMemory& memory, Instant now)
    : settings_(settings), memory_(memory) {
  if (!memory_.primary) return;
  role_ = GrantedRole::primary;
  if (!lease_kept()) return;
  const bool runs_on = memory_.lease_until && *memory_.lease_until > now;
  lease_until_ = runs_on ? std::min(*memory_.lease_until, now + memory_.lease)
                         : now + std::min(memory_.lease, restart_grace);
}

bool AgentGuard::may_write(Instant now) const {
  if (role_ != GrantedRole::primary) return false;
  return !lease_kept() || (lease_until_ && now < *lease_until_);
}

bool AgentGuard::process_gone() const {
  return process_ == MysqldState::absent || ends(process_);
}

bool AgentGuard::ordered(Order order) const {
  return std::ranges::find(running_, order) != running_.end();
}

void AgentGuard::on_word(const ProxyWord& word, Epoch epoch, std::optional<Instant> ack_sent_at,
                         Instant now) {
  if (epoch < memory_.epoch) return;
  const bool new_epoch = epoch > memory_.epoch;
  memory_.epoch = epoch;
  memory_.kill_hung = word.kill_hung;
  // A proxy that has just started and does not know yet who is primary takes nothing away; leases run on.
  if (word.role == GrantedRole::none) return;

  const GrantedRole before = role_;
  role_ = word.role;
  memory_.primary = role_ == GrantedRole::primary;
  if (role_ == GrantedRole::primary) {
    memory_.lease = std::chrono::milliseconds(word.lease_ms);
    if (!lease_kept()) {
      lease_until_.reset();
    } else if (ack_sent_at) {
      // Frames may overtake one another; and under an older epoch a longer lease may have been granted.
      const Instant until = *ack_sent_at + memory_.lease;
      lease_until_ = new_epoch || !lease_until_ ? until : std::max(*lease_until_, until);
    }
    memory_.lease_until = lease_until_;
    if (may_write(now)) {
      lease_lost_ = owes_read_only_ = false;
      fence_since_.reset();
      fenced_ = {};
    }
    return;
  }
  memory_.lease = {};
  memory_.lease_until.reset();
  lease_until_.reset();
  if (before == GrantedRole::primary) owes_read_only_ = true;
  if (role_ != GrantedRole::fence) {
    fence_since_.reset();
    fenced_ = {};
    lease_lost_ = false;
  } else if (before != GrantedRole::fence || new_epoch) {
    fence_since_ = now;
    fence_failed_ = false;
    fenced_ = {};
  }
}

void AgentGuard::on_report(const ServerReport& report, Instant asked) {
  if (reported_at_ && asked < *reported_at_) return;
  if (!acknowledgement_is_due(report)) {
    unacknowledged_since_.reset();
  } else if (!unacknowledged_since_ || !report_ || report_->executed != report.executed) {
    unacknowledged_since_ = asked;
  }
  report_ = report;
  reported_at_ = asked;
  writable_since_ = report.read_only ? std::nullopt : std::optional(writable_since_.value_or(asked));
  if (report.read_only && memory_.read_only_by_us && !done_at_) done_at_ = asked;
  // A report that was asked for before the order was carried out tells of the time before. And whether one
  // that was given up will be carried out is known only after a while.
  const bool carried_out = done_at_ && asked >= *done_at_;
  const bool stays_writable = writable_since_ && asked - *writable_since_ >= late_order_limit;
  if (writable_since_ && !ordered(Order::make_read_only) && (carried_out || stays_writable))
    memory_.read_only_by_us = false;
  silent_since_.reset();
  answered_ = true;
  booting_ = false;
}

void AgentGuard::on_answer(Instant asked) {
  if (silent_since_ && asked < *silent_since_) return;
  silent_since_.reset();
  answered_ = true;
  booting_ = false;
}

void AgentGuard::on_silence(Instant since) {
  if (!silent_since_) silent_since_ = since;
}

void AgentGuard::on_process(MysqldState state, bool started) {
  process_ = state;
  if (!started && !process_gone()) return;
  report_.reset();
  reported_at_.reset();
  unacknowledged_since_.reset();
  silent_since_.reset();
  answered_ = false;
  booting_ = started;
  // One that was given before the new process was seen may reach that one.
  memory_.read_only_by_us = ordered(Order::make_read_only);
  enforcing_since_.reset();
  // Boot fence: whatever its configuration says, it does not serve before somebody says that it may.
  if (started) owes_read_only_ = true;
}

bool AgentGuard::must_enforce(Instant now) const {
  if (role_ == GrantedRole::fence) return true;
  return role_ == GrantedRole::primary && !may_write(now);
}

std::vector<AgentGuard::Order> AgentGuard::step(Instant now) {
  std::vector<Order> orders;
  const auto give = [&](Order order) {
    if (ordered(order)) return;
    running_.push_back(order);
    orders.push_back(order);
  };
  if (role_ == GrantedRole::primary && lease_kept() && !may_write(now)) lease_lost_ = true;
  if (owes_read_only_ && may_write(now)) owes_read_only_ = false;
  if (owes_read_only_ && known_read_only()) owes_read_only_ = false;

  const bool fence = role_ == GrantedRole::fence;
  const bool confirmed =
      process_gone() || (known_read_only() && fence_since_ && *reported_at_ >= *fence_since_);
  // A server that starts again, or that somebody makes writable, is not fenced until it is read-only again.
  if (fence) fenced_ = confirmed ? memory_.epoch : Epoch{};
  if (fence && confirmed) fence_failed_ = false;
  if (process_gone() || !must_enforce(now) || (fence ? confirmed : known_read_only())) {
    enforcing_since_.reset();
  } else if (!enforcing_since_ && (answered_ || (silent_since_ && !booting_))) {
    enforcing_since_ = now;  // one that has yet to answer, as it boots, serves nobody
  }
  if (process_gone()) {
    retry_at_.reset();  // or it would be overdue as long as there is nothing to order
    return orders;
  }

  if (retry_at_ && now < *retry_at_) return orders;  // a kill that failed too
  retry_at_.reset();
  const bool hangs = silent_since_ && (!booting_ || now - *silent_since_ >= boot_patience);
  const bool may_kill = memory_.kill_hung && settings_.kill_hung;
  if (may_kill && ((fence && hangs && !confirmed) || resists(now))) give(Order::kill);
  // Under a fence the server's own word from before it counts for nothing.
  const bool sure = fence ? confirmed : known_read_only();
  if ((owes_read_only_ || must_enforce(now)) && !sure && !ordered(Order::make_read_only)) {
    give(Order::make_read_only);
    done_at_.reset();
    writable_since_.reset();
    memory_.read_only_by_us = true;
  }
  return orders;
}

void AgentGuard::on_done(Order order, bool ok, Instant now) {
  std::erase(running_, order);
  if (!ok) {
    retry_at_ = now + retry_pause;
    if (order == Order::make_read_only && role_ == GrantedRole::fence) fence_failed_ = true;
    return;
  }
  if (order == Order::make_read_only) {
    fence_failed_ = false;
    done_at_ = now;
    writable_since_.reset();
  }
}

Instant AgentGuard::next_deadline() const {
  Instant next = Instant::max();
  const bool may_kill = memory_.kill_hung && settings_.kill_hung && !ordered(Order::kill);
  const Instant not_before = retry_at_.value_or(Instant::min());
  if (may_kill && enforcing_since_) next = std::max(*enforcing_since_ + patience(), not_before);
  if (may_kill && booting_ && silent_since_ && role_ == GrantedRole::fence)
    next = std::min(next, std::max(*silent_since_ + boot_patience, not_before));
  if (retry_at_) next = *retry_at_;  // nothing is ordered before that
  if (lease_until_ && !lease_lost_) next = std::min(next, *lease_until_);
  return next;
}

AgentWord AgentGuard::word(Instant now) const {
  AgentWord word;
  word.mysqld = process_gone()  ? process_
                : silent_since_ ? MysqldState::silent
                : answered_     ? MysqldState::answers
                                : process_;
  if (report_ && !process_gone()) {
    word.read_only = report_->read_only;
    word.replicates = report_->replica.has_value();
    word.io_running = report_->replica && report_->replica->io == ReplicaStatus::Io::yes;
    word.sql_running = report_->replica && report_->replica->sql;
    word.gtids = own_gtids(*report_);
    word.received = received_gtids(*report_);
  }
  if (silent_since_ && !process_gone())
    word.silent_ms =
        static_cast<std::uint16_t>(std::clamp<std::int64_t>(to_ms(now - *silent_since_), 0, 65535));
  word.lease_held = role_ == GrantedRole::primary && lease_kept() && may_write(now);
  // Of other roles the proxy knows by itself.
  word.lease_lost = lease_lost_ || (role_ == GrantedRole::primary && memory_.read_only_by_us);
  word.fence_failed = fence_failed_;
  word.fenced = fenced_;
  return word;
}

std::string AgentGuard::why() const {
  std::string text =
      std::string("role ") + to_string(role_) + ", epoch " + std::to_string(memory_.epoch.value);
  if (lease_lost_) text += ", the lease ran out";
  if (fenced_ > Epoch{}) text += ", fenced";
  return text;
}

}  // namespace pointsman::core
