#include "health/setup/copy_dump.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "health/copy/child.h"
#include "health/core/gtid_set.h"
#include "health/mysql/boot_clock.h"
#include "health/mysql/command_runner.h"
#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/setup/copy_accounts.h"
#include "health/setup/copy_events.h"
#include "health/setup/dump_pipe.h"
#include "health/setup/option_file.h"

namespace pointsman::setup {
namespace {

using core::Failure;
using core::FailureKind;
using mysql::concat;
using mysql::quote;
using mysql::quote_name;
using Left = CopyFailure::Left;
using Stage = CopyProgress::Stage;

constexpr const char* dump_program = "mariadb-dump";
constexpr const char* load_program = "mariadb";
constexpr core::Duration drop_timeout = std::chrono::minutes(10);
constexpr core::Duration tell_interval = std::chrono::milliseconds(250);
// The loader's session: nothing of a copy is a transaction of the copy's own.
constexpr const char* before_dump = "SET SESSION sql_log_bin = 0;\n";

std::vector<std::string> dump_command() {
  return {dump_program, OptionFile::argument(),
          // One transaction, so that nobody waits; the position of the binary log that belongs to it as a
          // GTID, in a comment, for it is set when all is loaded.
          "--single-transaction", "--gtid", "--master-data=2", "--comments",
          // The system's tables differ from release to release. Accounts see AccountsCopy.
          "--all-databases", "--ignore-database=mysql", "--ignore-database=sys",
          concat("--ignore-database=", mark_schema), "--system=udfs,servers", "--replace", "--routines",
          "--events", "--triggers", "--hex-blob", "--default-character-set=utf8mb4",
          "--max-allowed-packet=1G"};
}

// Does all that the dump does but for the data: what it prints changes nothing where it is loaded.
std::vector<std::string> rehearsal_command() {
  return {dump_program,
          OptionFile::argument(),
          "--single-transaction",
          "--gtid",
          "--master-data=2",
          "--comments",
          "--no-data",
          "--no-create-info",
          "--no-create-db",
          "--skip-triggers",
          "mysql",
          "servers"};
}

std::vector<std::string> load_command() {
  return {load_program, OptionFile::argument(), "--batch", "--default-character-set=utf8mb4",
          "--max-allowed-packet=1G"};
}

class DumpCopy {
 public:
  DumpCopy(const CopyEnds& ends, const mysql::Waker& cancel, const OnProgress& tell)
      : ends_(ends), donor_(ends.donor), recipient_(ends.recipient), cancel_(cancel), tell_(tell) {}

  std::expected<CopyResult, CopyFailure> run();

 private:
  Outcome rehearse();
  Outcome protect();
  Outcome clear();
  Outcome forget_replication();
  Outcome drop_databases();
  Outcome forget_history() { return recipient_.run_all({"RESET MASTER", "SET GLOBAL gtid_slave_pos = ''"}); }
  std::expected<DumpScanner, Failure> load();
  std::expected<DumpScanner, Failure> pipe(std::vector<std::string> command, const DumpPipe::Seen& seen);
  Outcome finish(const std::string& position);
  CopyFailure tidy_up(Failure cause);
  Failure failure(std::string_view text) const {
    return {FailureKind::server_error, 0, concat(recipient_.name(), ": ", text)};
  }

  const CopyEnds ends_;
  Admin& donor_;
  Admin& recipient_;
  const mysql::Waker& cancel_;
  const OnProgress& tell_;
  CopyMark mark_;
  std::optional<AccountsCopy> accounts_;
  std::string donor_state_;  // gtid_binlog_state a moment before the snapshot
};

// That the programs are there and may log in is found out before anything is lost.
Outcome DumpCopy::rehearse() {
  for (const char* program : {dump_program, load_program}) {
    if (!copy::is_program(program)) {
      return std::unexpected(failure(
          concat("there is no program ", program, " on this host; install the package mariadb-client")));
    }
  }
  const auto scanner = pipe(rehearsal_command(), {});
  if (!scanner) return std::unexpected(scanner.error());
  return {};
}

std::expected<DumpScanner, Failure> DumpCopy::pipe(std::vector<std::string> command,
                                                   const DumpPipe::Seen& seen) {
  const auto dump_options = OptionFile::create(ends_.order.donor);
  const auto load_options = OptionFile::create(ends_.order.recipient);
  if (!dump_options || !load_options) {
    return std::unexpected(failure(dump_options ? load_options.error() : dump_options.error()));
  }
  auto scanner = DumpPipe(cancel_).run({.dump = {std::move(command), &*dump_options},
                                        .load = {load_command(), &*load_options},
                                        .before = before_dump},
                                       seen);
  if (!scanner) return std::unexpected(failure(scanner.error()));
  if (!scanner->position()) return std::unexpected(failure("the dump does not say its GTID position"));
  return std::move(*scanner);
}

// Nobody may write to what is about to be replaced.
Outcome DumpCopy::protect() {
  const mysql::CommandRunner::Settings settings{
      ends_.order.donor_login, ends_.order.recipient.account.user, {}};
  mysql::CommandRunner runner(recipient_.session(), settings);
  const auto done = runner(core::MakeReadOnly{.timeout = std::chrono::seconds(5), .end_clients = true});
  if (!done) return std::unexpected(recipient_.hidden(done.error()));
  return {};
}

Outcome DumpCopy::forget_replication() {
  const auto channels = recipient_.ask("SHOW ALL SLAVES STATUS");
  if (!channels) return std::unexpected(channels.error());
  for (std::size_t row = 0; row < channels->rows(); ++row) {
    const std::string name = quote(channels->text(row, {"Connection_name"}));
    const auto done = recipient_.run_all({"STOP SLAVE " + name, "RESET SLAVE " + name + " ALL"});
    if (!done) return done;
  }
  return {};
}

Outcome DumpCopy::drop_databases() {
  const auto list = recipient_.ask(
      concat("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('mysql', 'sys',"
             " 'information_schema', 'performance_schema', ",
             quote(mark_schema), ")"));
  if (!list) return std::unexpected(list.error());
  if (auto done = recipient_.run("SET SESSION foreign_key_checks = 0"); !done) return done;
  for (std::size_t row = 0; row < list->rows(); ++row) {
    const auto done = recipient_.run(concat("DROP DATABASE ", quote_name(list->text(row, {"SCHEMA_NAME"}))),
                                     {}, drop_timeout);
    if (!done) return done;
  }
  return {};
}

Outcome DumpCopy::clear() {
  tell_({.stage = Stage::clearing, .what = ""});
  Outcome done = write_copy_mark(recipient_, mark_);
  if (done) done = forget_replication();
  // Events would run on what is half there. DISABLED by the command line cannot be changed, and need not be.
  if (done && mark_.event_scheduler == "ON") done = recipient_.run("SET GLOBAL event_scheduler = OFF");
  if (done) done = drop_databases();
  if (done) done = forget_history();
  return done;
}

std::expected<DumpScanner, Failure> DumpCopy::load() {
  const auto state = donor_.value("SELECT @@global.gtid_binlog_state");
  if (!state) return std::unexpected(state.error());
  donor_state_ = *state;
  // Before the snapshot: a later change comes by replication, and would not work on top of itself.
  auto accounts = AccountsCopy::read(donor_);
  if (!accounts) return std::unexpected(accounts.error());
  accounts_ = std::move(*accounts);

  core::Instant told{};
  const auto seen = [&](const DumpScanner& scanner) {
    const auto now = mysql::boot_now();
    if (now - told < tell_interval) return;
    told = now;
    tell_({Stage::copying, scanner.table(), scanner.bytes(), ends_.from.contents.bytes});
  };
  auto scanner = pipe(dump_command(), seen);
  if (!scanner) return scanner;
  tell_({Stage::copying, "", scanner->bytes(), ends_.from.contents.bytes});
  return scanner;
}

Outcome DumpCopy::finish(const std::string& position) {
  tell_({.stage = Stage::finishing, .what = ""});
  const auto state = binlog_state_of_copy(donor_state_, position);
  if (!state) return std::unexpected(failure(state.error()));
  Outcome done = disable_events(recipient_);
  if (done) done = accounts_->apply(recipient_);
  if (done) done = recipient_.run("FLUSH PRIVILEGES");
  // A binary log that is not empty admits no state; nothing of ours is in it.
  if (done) done = recipient_.run("RESET MASTER");
  if (done) done = recipient_.run(concat("SET GLOBAL gtid_binlog_state = ", quote(*state)));
  if (done) done = recipient_.run(concat("SET GLOBAL gtid_slave_pos = ", quote(position)));
  if (done && mark_.event_scheduler == "ON") done = recipient_.run("SET GLOBAL event_scheduler = ON");
  mark_.whole = true;
  if (done) done = write_copy_mark(recipient_, mark_);
  return done;
}

// A recipient with half of the data is no use to anybody, and empty it can be tried again. `cancel` may have
// rung, so this is done over a connection that does not hear it.
CopyFailure DumpCopy::tidy_up(Failure cause) {
  const mysql::Waker deaf;
  Admin admin(ends_.order.recipient, deaf);
  DumpCopy again({ends_.order, donor_, admin, ends_.from, ends_.to}, deaf, tell_);
  again.mark_ = mark_;
  again.mark_.whole = false;
  Outcome done = admin.open();
  if (done) done = again.clear();
  if (done && mark_.event_scheduler == "ON") done = admin.run("SET GLOBAL event_scheduler = ON");
  if (done) done = drop_copy_mark(admin);
  if (done) return {std::move(cause), Left::empty};
  cause.text += concat("; and tidying up failed: ", done.error().text);
  return {std::move(cause), Left::unknown};
}

std::expected<CopyResult, CopyFailure> DumpCopy::run() {
  tell_({.stage = Stage::preparing, .what = ""});
  if (auto done = rehearse(); !done) return std::unexpected(CopyFailure{done.error(), Left::untouched});
  // An unfinished copy has changed what it found.
  mark_ = {.whole = false,
           .donor = donor_.name(),
           .event_scheduler = ends_.to.mark && !ends_.to.mark->event_scheduler.empty()
                                  ? ends_.to.mark->event_scheduler
                                  : ends_.to.variable("event_scheduler")};
  if (auto done = protect(); !done) return std::unexpected(CopyFailure{done.error(), Left::untouched});
  if (auto done = clear(); !done) return std::unexpected(tidy_up(done.error()));
  const auto scanner = load();
  if (!scanner) return std::unexpected(tidy_up(scanner.error()));
  if (auto done = finish(*scanner->position()); !done) return std::unexpected(tidy_up(done.error()));
  const auto report = recipient_.report();
  if (!report) return std::unexpected(tidy_up(report.error()));
  return CopyResult{.position = report->executed, .bytes = scanner->bytes()};
}

}  // namespace

std::expected<CopyResult, CopyFailure> copy_by_dump(const CopyEnds& ends, const mysql::Waker& cancel,
                                                    const OnProgress& tell) {
  return DumpCopy(ends, cancel, tell).run();
}

std::expected<std::string, std::string> binlog_state_of_copy(const std::string& before,
                                                             const std::string& position) {
  const auto known = core::GtidSet::parse(core::Flavour::mariadb, before);
  const auto at = core::GtidSet::parse(core::Flavour::mariadb, position);
  if (!known || !at) return std::unexpected("cannot read a GTID position: " + (known ? at : known).error());
  // The last one of a domain in the text is its newest.
  std::string first;
  std::string last;
  const auto all = known->united(*at);
  const auto newest = at->newest();
  for (const auto& [origin, number] : all.newest()) {
    const bool is_position = std::ranges::any_of(newest, [&](const auto& e) { return e.first == origin; });
    std::string& text = is_position ? last : first;
    text += concat(text.empty() ? "" : ",", origin, "-", number);
  }
  return concat(first, first.empty() || last.empty() ? "" : ",", last);
}

std::vector<std::string> dump_statements(const CopyOrder& order) {
  const auto joined = [](const std::vector<std::string>& words) {
    std::string line;
    for (const auto& word : words) line += (line.empty() ? "" : " ") + word;
    return line;
  };
  std::vector<std::string> list{"SET GLOBAL read_only = ON", "KILL each client's session"};
  for (auto& sql :
       write_mark_statements({.whole = false, .donor = order.donor.name, .event_scheduler = "..."})) {
    list.push_back(std::move(sql));
  }
  for (const char* sql :
       {"STOP SLAVE; RESET SLAVE ALL (when it replicates)",
        "SET GLOBAL event_scheduler = OFF (when it is ON)", "SET SESSION foreign_key_checks = 0",
        "DROP DATABASE ... (each that is there)", "RESET MASTER", "SET GLOBAL gtid_slave_pos = ''"}) {
    list.emplace_back(sql);
  }
  list.push_back("here: " + joined(dump_command()) + " | " + joined(load_command()));
  for (const char* sql :
       {"ALTER DEFINER = ... EVENT ... DISABLE ON SLAVE (each enabled event)",
        "DROP USER ... (each that the primary lacks)",
        "CREATE OR REPLACE USER ... (each that differs from the primary's)",
        "GRANT ... TO ... (what these may do)", "FLUSH PRIVILEGES", "RESET MASTER",
        "SET GLOBAL gtid_binlog_state = '...' (the primary's at the snapshot)",
        "SET GLOBAL gtid_slave_pos = '...' (the snapshot's)",
        "SET GLOBAL event_scheduler = ON (when it was ON)", "UPDATE of the mark in pointsman_copy.state"}) {
    list.emplace_back(sql);
  }
  return list;
}

}  // namespace pointsman::setup
