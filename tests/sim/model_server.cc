#include "tests/sim/model_server.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace pointsman::sim {
namespace {

std::string uuid_of(unsigned origin) {
  std::string digits = std::to_string(origin);
  return "00000000-0000-0000-0000-" + std::string(12 - digits.size(), '0') + digits;
}

}  // namespace

bool BinaryLog::add(Transaction transaction) {
  if (has(transaction)) return false;
  assert(transaction.number == count_of(transaction.origin) + 1);
  newest_[transaction.origin] = transaction.number;
  order_.push_back(transaction);
  set_.reset();
  return true;
}

bool BinaryLog::has(const Transaction& transaction) const {
  return transaction.number <= count_of(transaction.origin);
}

std::uint64_t BinaryLog::count_of(unsigned origin) const {
  const auto found = newest_.find(origin);
  return found != newest_.end() ? found->second : 0;
}

bool BinaryLog::within(const BinaryLog& other) const {
  return std::ranges::all_of(newest_,
                             [&](const auto& mine) { return mine.second <= other.count_of(mine.first); });
}

void BinaryLog::take_back(const Transaction& transaction) {
  const auto found = std::ranges::find(order_, transaction);
  order_.erase(found, order_.end());
  newest_.clear();
  for (const auto& t : order_) newest_[t.origin] = t.number;
  set_.reset();
}

core::GtidSet BinaryLog::set() const {
  if (!set_) {
    core::GtidSet all;
    for (const auto& [origin, newest] : newest_) all = all.united(gtids(origin, 1, newest));
    set_ = std::move(all);
  }
  return *set_;
}

core::GtidSet gtids(unsigned origin, std::uint64_t first, std::uint64_t last) {
  if (last < first) return {};
  const auto set = core::GtidSet::parse(
      core::Flavour::mysql, uuid_of(origin) + ":" + std::to_string(first) + "-" + std::to_string(last));
  assert(set);
  return *set;
}

ModelServer::ModelServer(unsigned its_number, conf::Backend its_settings)
    : number(its_number), settings(std::move(its_settings)) {}

Transaction ModelServer::commit() {
  const Transaction transaction{number, log.count_of(number) + 1};
  log.add(transaction);
  return transaction;
}

core::GtidSet ModelServer::received() const {
  core::GtidSet all = log.set();
  if (!replication) return all;
  for (const auto& t : replication->relay) all = all.united(gtids(t.origin, t.number, t.number));
  return all;
}

core::ServerReport ModelServer::report(core::Instant now, unsigned semi_sync_clients) const {
  core::ServerReport report;
  report.flavour = core::Flavour::mysql;
  report.version = "8.4.0-model";
  report.server_id = number;
  report.server_uuid = uuid_of(number);
  report.read_only = read_only;
  report.executed = log.set();
  report.log_bin = log_bin;
  report.log_replica_updates = log_replica_updates;
  report.gtid_on = gtid_on;
  report.gtid_strict = true;
  report.takes_proxy_header = takes_proxy_header;
  report.appliers = appliers;
  report.event_scheduler = event_scheduler;
  // It counts the whole seconds of its own clock.
  const auto seconds = [this](core::Instant t) {
    return std::chrono::floor<std::chrono::seconds>(t.time_since_epoch() +
                                                    number * std::chrono::milliseconds(370));
  };
  report.uptime = seconds(now) - seconds(started);
  report.semi_sync = {semi_sync_available,
                      semi_sync_source,
                      semi_sync_active,
                      semi_sync_source && semi_sync_mode == conf::SemiSync::required,
                      waits_alone,
                      semi_sync_clients,
                      static_cast<unsigned>(waiting.size()),
                      preferred_patience,
                      semi_sync_replica,
                      semi_sync_replica && replication && replication->connected};
  report.sources = (replication ? 1 : 0) + extra_channels;
  if (!replication) return report;

  core::ReplicaStatus status = report_of_applier();
  status.source = replication->source;
  status.source_server_id = replication->source_server_id;
  status.io = !replication->receiver_wanted || replication->io_errno == 1236 ? core::ReplicaStatus::Io::no
              : replication->connected                                       ? core::ReplicaStatus::Io::yes
                                       : core::ReplicaStatus::Io::connecting;
  status.io_errno = replication->io_errno;
  if (status.io_errno != 0) status.io_error = "model error " + std::to_string(status.io_errno);
  status.received = received();
  if (status.sql) status.lag = std::chrono::seconds(replication->relay.empty() ? 0 : 1);
  status.events_received = replication->events;
  status.by_gtid = by_gtid;
  report.replica = std::move(status);
  return report;
}

void ModelServer::stop(Power how) {
  power = how;
  dying = false;
  unacknowledged = std::exchange(waiting, {});
  if (replication) replication->connected = false;
}

void ModelServer::start(core::Instant now) {
  power = Power::running;
  started = now;
  read_only = read_only_at_boot;
  semi_sync_source = semi_sync_replica = semi_sync_active = false;
  waiting.clear();
  if (sheds && !unacknowledged.empty() && log.has(unacknowledged.front()))
    log.take_back(unacknowledged.front());
  unacknowledged.clear();
  own_at_starts.push_back(log.count_of(number));
  if (!replication) return;
  replication->receiver_wanted = true;
  start_applier();
  replication->connected = false;
  replication->io_errno = 0;
  // relay_log_recovery; it asks its source for it again.
  replication->relay.clear();
}

void ModelServer::stop_receiving() {
  if (!replication) return;
  replication->receiver_wanted = replication->connected = false;
  replication->io_errno = 0;
  start_applier();
}

void ModelServer::resume_receiving() {
  if (!replication) return;
  start_applier();
  replication->receiver_wanted = true;
}

void ModelServer::interrupt_applier() {
  constexpr unsigned killed_in_a_transaction = 1756;
  if (replication && replication->applier_wanted && replication->sql_errno == 0)
    replication->sql_errno = killed_in_a_transaction;
}

void ModelServer::start_applier() {
  if (report_of_applier().interrupted()) replication->sql_errno = 0;
  replication->applier_wanted = replication->applier_wanted || replication->sql_errno == 0;
}

core::ReplicaStatus ModelServer::report_of_applier() const {
  core::ReplicaStatus status;
  status.sql = replication->applier_wanted && replication->sql_errno == 0;
  status.sql_errno = replication->sql_errno;
  if (status.sql_errno != 0) status.sql_error = "model error " + std::to_string(status.sql_errno);
  return status;
}

void ModelServer::stop_replication() {
  if (replication)
    replication->receiver_wanted = replication->applier_wanted = replication->connected = false;
}

void ModelServer::become_primary(conf::SemiSync mode) {
  if (forgets_late) {
    if (kills_applier) interrupt_applier();
    stop_replication();
  } else {
    replication.reset();
  }
  make_writable(mode);
}

void ModelServer::make_writable(conf::SemiSync mode) {
  set_semi_sync_source(mode, false);
  read_only = false;
}

void ModelServer::set_semi_sync_source(conf::SemiSync mode, bool replica_there) {
  semi_sync_mode = semi_sync_available ? mode : conf::SemiSync::off;
  semi_sync_replica = false;
  semi_sync_source = semi_sync_mode != conf::SemiSync::off;
  // The server turns to waiting by itself as soon as a replica is there; in mode required it waits for one.
  waits_alone = semi_sync_mode == conf::SemiSync::required || (semi_sync_source && replica_there);
  semi_sync_active = semi_sync_source && (waits_alone || semi_sync_active);
}

bool ModelServer::take_back(const BinaryLog& kept, const core::GtidSet& reign) {
  const std::uint64_t own = log.count_of(number);
  const auto origins = reign.newest();
  const auto anchor =
      std::ranges::find(origins, uuid_of(number), &std::pair<std::string, std::uint64_t>::first);
  const std::uint64_t lived = anchor != origins.end() ? anchor->second : 0;
  const bool started_between =
      std::ranges::any_of(own_at_starts, [&](std::uint64_t had) { return lived <= had && had < own; });
  if (!reign.empty() && started_between) return false;
  BinaryLog rest;
  for (const auto& t : log.order()) {
    if (kept.has(t)) rest.add(t);
  }
  log = rest;
  return true;
}

void ModelServer::make_read_only() {
  read_only = true;
}

core::SurveyResult ModelServer::survey() const {
  return {occupants, free_bytes, events_enabled ? 1U : 0U, scheduler_settable};
}

void ModelServer::follow(const conf::HostPort& source, conf::SemiSync mode) {
  read_only = true;
  waiting.clear();
  semi_sync_source = semi_sync_active = false;
  semi_sync_replica = semi_sync_available && mode != conf::SemiSync::off;
  const std::uint64_t events = replication ? replication->events : 0;
  replication = Replication{};
  replication->source = source;
  replication->events = events;
}

}  // namespace pointsman::sim
