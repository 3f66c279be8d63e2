#include <chrono>
#include <map>
#include <tuple>

#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/rescue/files.h"
#include "health/rescue/record.h"
#include "health/rescue/rescue.h"
#include "health/rescue/server_call.h"
#include "health/rescue/undo.h"
#include "health/rescue/undo_obstacles.h"

namespace pointsman::rescue {

using core::Failure;
using core::Flavour;
using core::GtidSet;
using core::ServerReport;
using mysql::concat;
using mysql::quote;
using Phase = Record::Phase;

namespace {

// How long an orphan of a killed daemon may still hold the server's lock, in seconds.
constexpr unsigned lock_wait = 10;
constexpr unsigned has_binary_logs_and_gtids = 80200;  // until then RESET MASTER

std::string fresh_marker(const ServerReport& report) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto sequence = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  if (report.flavour == Flavour::mysql) return concat(marker_uuid, ":", sequence);
  return concat(marker_domain, "-", report.server_id, "-", sequence);
}

// Every server's last one in each domain; within a domain in the order of their numbers, as the last of the
// list is the last that was written.
std::string binlog_state(const GtidSet& executed) {
  std::map<std::tuple<std::string, std::uint64_t>, std::string> sorted;
  for (const auto& [origin, last] : executed.newest()) {
    sorted[{origin.substr(0, origin.find('-')), last}] += concat(",", origin, "-", last);
  }
  std::string text;
  for (const auto& [key, gtids] : sorted) text += gtids;
  return text.empty() ? text : text.substr(1);
}

// What was saved of this server before is of no further concern once it was taken back, or copied over: a
// later record has all of it.
std::expected<void, Failure> close_others(const std::filesystem::path& state_dir, const Record& last) {
  auto records = list(state_dir, last.server);
  if (!records) return std::unexpected(records.error());
  for (auto& record : *records) {
    const bool over = record.phase == Phase::done || record.phase == Phase::settled;
    if (over || record.directory == last.directory) continue;
    record.phase = Phase::settled;
    if (auto stored = store(record); !stored) return stored;
  }
  return {};
}

// One call of take_back().
class TakeBack {
 public:
  TakeBack(const Order& order, Record record) : order_(order), record_(std::move(record)), call_(order) {}

  std::expected<TakenBack, Failure> operator()();

 private:
  using Outcome = std::expected<void, Failure>;

  Outcome open();
  Outcome protect();
  std::expected<bool, Failure> is_undone(const ServerReport& report) const;
  bool moved_on(const ServerReport& report) const;
  Outcome note(Phase phase);
  void reached(Stage stage) const {
    if (order_.progress) order_.progress(stage);
  }
  std::expected<TakenBack, Failure> needs_copy(const std::string& why);
  std::expected<std::string, Failure> undo(const ServerReport& report);
  std::expected<std::string, Failure> apply();
  Outcome forget();
  Outcome forget_on_mariadb();
  Outcome forget_on_mysql();
  Failure refuse(const std::string& text) const { return unsupported(order_.server + " " + text); }

  const Order& order_;
  Record record_;
  ServerCall call_;
};

std::expected<TakenBack, Failure> TakeBack::operator()() {
  if (auto opened = open(); !opened) return std::unexpected(opened.error());
  const auto report = call_.report();
  if (!report) return std::unexpected(report.error());
  const auto undone = is_undone(*report);
  if (!undone) return std::unexpected(undone.error());
  if (*undone && moved_on(*report)) {
    if (auto noted = note(Phase::done); !noted) return std::unexpected(noted.error());
    return Undone{report->executed};
  }
  if (!*undone) {
    const auto refused = undo(*report);
    if (!refused) return std::unexpected(refused.error());
    if (!refused->empty()) return needs_copy(*refused);
  }
  if (record_.phase != Phase::undone) {
    record_.target = report->executed.minus(record_.errant).minus(marker_set(record_.marker));
    if (auto noted = note(Phase::undone); !noted) return std::unexpected(noted.error());
    reached(Stage::undone);
  }
  if (auto forgotten = forget(); !forgotten) return std::unexpected(forgotten.error());
  if (auto noted = note(Phase::done); !noted) return std::unexpected(noted.error());
  reached(Stage::done);
  return Undone{record_.target};
}

// The lock is the server's and ends with the session that has it: as long as a session of a killed daemon may
// still commit, nobody else looks at the state.
TakeBack::Outcome TakeBack::open() {
  if (auto opened = call_.open(); !opened) return opened;
  const auto locked = call_.query(concat("SELECT GET_LOCK('pointsman.rescue', ", lock_wait, ")"));
  if (!locked) return std::unexpected(locked.error());
  if (mysql::to_number(locked->at(0, 0).value_or("0")) != 1)
    return std::unexpected(refuse("is being rescued by another session"));
  return protect();
}

// MySQL: an undo that came to no end has left super_read_only off. A server that accepts writes is not ours
// to stop.
TakeBack::Outcome TakeBack::protect() {
  if (order_.flavour != Flavour::mysql) return {};
  const auto now = call_.query("SELECT @@global.read_only AND NOT @@global.super_read_only");
  if (!now) return std::unexpected(now.error());
  if (mysql::to_number(now->at(0, 0).value_or("0")) == 0) return {};
  return call_.run("SET GLOBAL super_read_only = ON");
}

std::expected<bool, Failure> TakeBack::is_undone(const ServerReport& report) const {
  if (report.flavour != order_.flavour)
    return std::unexpected(refuse(concat("is no ", core::to_string(order_.flavour), " server any more")));
  if (!report.read_only) return std::unexpected(refuse("accepts writes; nothing is taken back meanwhile"));
  if (report.replica && (report.replica->sql || report.replica->io != core::ReplicaStatus::Io::no))
    return std::unexpected(refuse("replicates; nothing is taken back meanwhile"));
  const bool over = record_.phase == Phase::done || record_.phase == Phase::settled;
  const bool noted = record_.phase == Phase::undone || over;
  const auto marker = marker_set(record_.marker);
  const bool marked = !marker.empty() && report.executed.contains(marker);
  const auto expected = marked ? record_.errant.united(marker) : record_.errant;
  const auto extra = report.executed.minus(order_.keep);
  if ((extra == expected && !over) || (noted && extra.empty())) return noted || marked;
  return std::unexpected(refuse(concat("has ", extra.empty() ? "none" : extra.to_string(),
                                       " that the primary does not have, and saved were ",
                                       record_.errant.to_string(), "; they have to be saved anew")));
}

// It has executed further since, or all was done before: its GTID state is its own affair again.
bool TakeBack::moved_on(const ServerReport& report) const {
  if (record_.phase == Phase::done || record_.phase == Phase::settled) return true;
  return record_.phase == Phase::undone && report.executed.minus(order_.keep).empty() &&
         !record_.target.contains(report.executed);
}

TakeBack::Outcome TakeBack::note(Phase phase) {
  record_.phase = phase;
  if (phase == Phase::done) {
    if (auto closed = close_others(order_.state_dir, record_); !closed) return closed;
  }
  return store(record_);
}

std::expected<TakenBack, Failure> TakeBack::needs_copy(const std::string& why) {
  if (auto noted = note(Phase::needs_copy); !noted) return std::unexpected(noted.error());
  return NeedsCopy{why};
}

std::expected<std::string, Failure> TakeBack::undo(const ServerReport& report) {
  auto why = why_no_undo(call_, record_, order_.limits);
  if (why && why->empty()) why = write_undo(call_, record_, order_);
  if (!why || !why->empty()) return why;
  reached(Stage::undo_written);
  // The commit of a semi-synchronous source would wait for a replica.
  if (auto resigned = call_.session().dialect().resign_source(call_.session().connection(), call_.soon());
      !resigned)
    return std::unexpected(resigned.error());
  // One that was tried before keeps its number: in strict mode it cannot be committed twice.
  if (record_.marker.empty()) record_.marker = fresh_marker(report);
  if (auto noted = note(Phase::undoing); !noted) return std::unexpected(noted.error());
  reached(Stage::undo_noted);
  return apply();
}

// On MySQL somebody may have written in the moment without super_read_only. That is seen when there is no
// more such moment.
std::expected<std::string, Failure> TakeBack::apply() {
  if (order_.flavour != Flavour::mysql) {
    auto applied = apply_undo(call_, record_);
    if (applied && applied->empty()) reached(Stage::undo_committed);
    return applied;
  }
  if (auto lifted = call_.run("SET GLOBAL super_read_only = OFF"); !lifted)
    return std::unexpected(lifted.error());
  auto applied = apply_undo(call_, record_);
  if (applied && applied->empty()) reached(Stage::undo_committed);
  // What this does not do, the next call does.
  const auto back = call_.session().is_open() ? protect() : open();
  if (!applied) return applied;
  if (!back) return std::unexpected(back.error());
  if (!applied->empty()) return applied;
  const auto after = call_.report();
  if (!after) return std::unexpected(after.error());
  if (auto undone = is_undone(*after); !undone) return std::unexpected(undone.error());
  return applied;
}

TakeBack::Outcome TakeBack::forget() {
  auto forgotten = order_.flavour == Flavour::mysql ? forget_on_mysql() : forget_on_mariadb();
  if (!forgotten) return forgotten;
  reached(Stage::reset);
  const auto after = call_.report();
  if (!after) return std::unexpected(after.error());
  if (after->executed == record_.target) return {};
  return std::unexpected(refuse(
      concat("has ", after->executed.to_string(), " after the rescue, not ", record_.target.to_string())));
}

TakeBack::Outcome TakeBack::forget_on_mysql() {
  const auto version = mysql::version_number(call_.session().connection().server_version());
  const auto* reset = version >= has_binary_logs_and_gtids ? "RESET BINARY LOGS AND GTIDS" : "RESET MASTER";
  if (auto emptied = call_.run_long(reset, reset); !emptied) return emptied;
  reached(Stage::emptied);
  return call_.run("SET GLOBAL gtid_purged = " + quote(record_.target.to_string()));
}

// The position first: whatever comes between, a replica would start at the right place. In strict mode the
// server would not hear of one that lies before its binary log. Then both halves of the rest in one
// statement, which the server carries out also when we are gone.
TakeBack::Outcome TakeBack::forget_on_mariadb() {
  if (auto set =
          call_.run_long(concat("BEGIN NOT ATOMIC DECLARE strict BOOL DEFAULT @@global.gtid_strict_mode; "
                                "DECLARE EXIT HANDLER FOR"
                                " SQLEXCEPTION BEGIN SET GLOBAL gtid_strict_mode = strict; RESIGNAL; END;"
                                " SET GLOBAL gtid_strict_mode = OFF, gtid_slave_pos = ",
                                quote(record_.target.position()), ", gtid_strict_mode = strict; END"),
                         "SET GLOBAL gtid_slave_pos");
      !set) {
    return set;
  }
  reached(Stage::position_set);
  return call_.run_long(concat("BEGIN NOT ATOMIC RESET MASTER; SET GLOBAL gtid_binlog_state = ",
                               quote(binlog_state(record_.target)), "; END"),
                        "RESET MASTER and SET GLOBAL gtid_binlog_state");
}

}  // namespace

const char* to_string(Stage stage) {
  switch (stage) {
    case Stage::fetched:
      return "read from the server";
    case Stage::decoded:
      return "written as SQL";
    case Stage::saved:
      return "saved";
    case Stage::undo_written:
      return "undo prepared";
    case Stage::undo_noted:
      return "undo begun";
    case Stage::undo_committed:
      return "undo committed";
    case Stage::undone:
      return "undone";
    case Stage::position_set:
      return "position set";
    case Stage::emptied:
      return "binary log emptied";
    case Stage::reset:
      return "binary log reset";
    case Stage::done:
      return "done";
  }
  return "?";
}

std::expected<TakenBack, Failure> take_back(const Order& order, const Saved& saved) {
  auto record = load(saved.directory);
  if (!record) return std::unexpected(record.error());
  if (record->server != order.server || record->flavour != order.flavour)
    return std::unexpected(unsupported(saved.directory.string() + " is not of " + order.server));
  return TakeBack(order, std::move(*record))();
}

std::expected<void, Failure> settle(const Saved& saved) {
  auto record = load(saved.directory);
  if (!record) return std::unexpected(record.error());
  record->phase = Phase::settled;
  // state_dir/rescue/<its directory>
  if (auto closed = close_others(saved.directory.parent_path().parent_path(), *record); !closed)
    return closed;
  return store(*record);
}

std::expected<std::optional<Saved>, Failure> unfinished(const std::filesystem::path& state_dir,
                                                        const std::string& server) {
  const auto records = list(state_dir, server);
  if (!records) return std::unexpected(records.error());
  for (const auto& record : *records) {
    if (record.phase == Phase::undoing || record.phase == Phase::undone) return record.saved();
  }
  return std::optional<Saved>();
}

}  // namespace pointsman::rescue
