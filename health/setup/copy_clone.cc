#include "health/setup/copy_clone.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include <poll.h>

#include "health/mysql/boot_clock.h"
#include "health/mysql/command_runner.h"
#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/setup/copy_events.h"

namespace pointsman::setup {
namespace {

using core::Failure;
using core::FailureKind;
using mysql::concat;
using mysql::quote;
using Left = CopyFailure::Left;
using Stage = CopyProgress::Stage;

// ER_RESTART_SERVER_FAILED: nobody supervises the server, so it has ended for good after the copy.
constexpr unsigned restart_failed = 3707;
// How long the statement may take; that it gets on is watched by its progress.
constexpr core::Duration longest_clone = std::chrono::hours(48);
constexpr core::Duration longest_stall = std::chrono::minutes(10);
constexpr core::Duration look_interval = std::chrono::milliseconds(300);
// The server takes back what it has begun, and answers.
constexpr core::Duration end_after_kill = std::chrono::minutes(2);
constexpr const char* install_clone = "INSTALL PLUGIN clone SONAME 'mysql_clone.so'";
constexpr const char* progress_query =
    "SELECT STAGE, STATE, ESTIMATE, DATA FROM performance_schema.clone_progress ORDER BY ID, STAGE";

// The statement is under way on another thread's connection; this one looks at it, and ends it when it is to
// be given up or gets no further. Its own thread runs watch().
class CloneWatch {
 public:
  CloneWatch(const CopyOrder& order, std::string connection_id, const mysql::Waker& cancel,
             const OnProgress& tell)
      : order_(order), id_(std::move(connection_id)), cancel_(cancel), tell_(tell) {}

  // Until `done` rings.
  void watch(const mysql::Waker& done);
  // Of a clone that nobody waits for any more: until the server ends it, or ends. Error: we stopped waiting.
  std::expected<void, std::string> watch_running();
  // Why the statement was ended by us; "" if it was not. After watch().
  const std::string& ended() const { return ended_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void look(Admin& admin);
  void end(Admin& admin, std::string why);
  bool cancelled() const;

  const CopyOrder& order_;
  const std::string id_;
  const mysql::Waker& cancel_;
  const OnProgress& tell_;
  std::uint64_t bytes_ = 0;
  core::Instant moved_{};
  std::string ended_;
};

bool CloneWatch::cancelled() const {
  pollfd fd{cancel_.fd(), POLLIN, 0};
  return ::poll(&fd, 1, 0) > 0;
}

void CloneWatch::look(Admin& admin) {
  const auto rows = admin.ask(progress_query);
  if (!rows) return;
  std::uint64_t bytes = 0;
  std::uint64_t expected = 0;
  std::string stage;
  for (std::size_t row = 0; row < rows->rows(); ++row) {
    bytes += rows->number(row, {"DATA"});
    expected += rows->number(row, {"ESTIMATE"});
    if (rows->text(row, {"STATE"}) == "In Progress") stage = rows->text(row, {"STAGE"});
  }
  if (bytes != bytes_) moved_ = mysql::boot_now();
  bytes_ = std::max(bytes_, bytes);
  tell_({Stage::copying, stage, bytes, expected});
}

void CloneWatch::end(Admin& admin, std::string why) {
  if (!ended_.empty()) return;
  ended_ = std::move(why);
  (void)admin.run("KILL QUERY " + id_);
}

void CloneWatch::watch(const mysql::Waker& done) {
  Admin admin(order_.recipient, done);
  moved_ = mysql::boot_now();
  tell_({Stage::copying, "", 0, 0});  // a small one is over before the first look
  // Refused when the server is on its way down: then `done` rings in a moment.
  while (!admin.open()) {
    if (!admin.connection().pause(look_interval)) return;
  }
  while (admin.connection().pause(look_interval)) {
    if (cancelled()) end(admin, "given up");
    if (mysql::boot_now() - moved_ > longest_stall) {
      end(admin, concat("got no further for ", core::to_ms(longest_stall) / 1000, " s"));
    }
    look(admin);
  }
}

std::expected<void, std::string> CloneWatch::watch_running() {
  Admin admin(order_.recipient, cancel_);
  moved_ = mysql::boot_now();
  if (!admin.open()) return {};  // it has ended meanwhile
  while (admin.is_open()) {
    const auto running =
        admin.value("SELECT COUNT(*) FROM performance_schema.clone_status WHERE STATE = 'In Progress'");
    if (!running || *running == "0") return {};
    if (mysql::boot_now() - moved_ > longest_stall)
      return std::unexpected("a clone under way gets no further");
    look(admin);
    if (!admin.connection().pause(look_interval))
      return std::unexpected("given up; the clone goes on by itself");
  }
  return {};
}

class CloneCopy {
 public:
  CloneCopy(const CopyEnds& ends, const mysql::Waker& cancel, const OnProgress& tell)
      : ends_(ends), order_(ends.order), recipient_(ends.recipient), cancel_(cancel), tell_(tell) {}

  std::expected<CopyResult, CopyFailure> run();

 private:
  Outcome check() const;
  Outcome prepare();
  Outcome install();
  Left protect_again() const;
  std::expected<void, CopyFailure> clone();
  std::expected<void, CopyFailure> await_running();
  Outcome wait_for_return(bool ended_for_good);
  std::expected<bool, Failure> has_returned(Admin& admin) const;
  Outcome finish();
  Failure failure(std::string_view text) const {
    return {FailureKind::server_error, 0, concat(order_.recipient.name, ": ", text)};
  }

  const CopyEnds ends_;
  const CopyOrder& order_;
  Admin& recipient_;
  const mysql::Waker& cancel_;
  const OnProgress& tell_;
  std::uint64_t bytes_ = 0;
};

// What the clone plugin would leave out without a word, or find out after the data are gone.
Outcome CloneCopy::check() const {
  const Survey& from = ends_.from;
  if (!from.contents.not_innodb.empty()) {
    return std::unexpected(
        Failure{FailureKind::unsupported, 0,
                concat(from.name, ": a clone copies InnoDB only, and would leave these tables empty: ",
                       from.contents.not_innodb.front(), from.contents.not_innodb.size() > 1 ? ", ..." : "",
                       "; ALTER TABLE ... ENGINE = InnoDB first")});
  }
  for (const char* name : {"innodb_page_size", "lower_case_table_names", "version_compile_machine"}) {
    if (from.variable(name) == ends_.to.variable(name)) continue;
    return std::unexpected(
        failure(concat(name, " is ", ends_.to.variable(name), ", and ", from.variable(name), " on ",
                       from.name, "; a clone needs them equal")));
  }
  return {};
}

Outcome CloneCopy::install() {
  if (!ends_.from.plugins.contains("clone")) {
    if (auto done = ends_.donor.run(install_clone); !done) return done;
  }
  // For the plugin's row in a table, and for the clone to drop what is there; read_only stays and keeps
  // clients out.
  if (auto done = recipient_.run("SET GLOBAL super_read_only = OFF"); !done) return done;
  if (ends_.to.plugins.contains("clone")) return {};
  return recipient_.run(install_clone);
}

Outcome CloneCopy::prepare() {
  const mysql::CommandRunner::Settings settings{order_.donor_login, order_.recipient.account.user, {}};
  mysql::CommandRunner runner(recipient_.session(), settings);
  const auto protect = runner(core::MakeReadOnly{.timeout = std::chrono::seconds(5), .end_clients = true});
  if (!protect) return std::unexpected(recipient_.hidden(protect.error()));
  if (auto done = install(); !done) return done;
  if (protect->replica) {
    auto& dialect = recipient_.session().dialect();
    const auto done = recipient_.run_all({dialect.stop_replication(), dialect.forget_replication()});
    if (!done) return done;
  }
  return recipient_.run(
      concat("SET GLOBAL clone_valid_donor_list = ", quote(conf::to_string(order_.donor_address))));
}

// The server takes back what it has begun, and is empty then. `cancel` may have rung.
Left CloneCopy::protect_again() const {
  const mysql::Waker deaf;
  Admin admin(order_.recipient, deaf);
  if (!admin.open() || !admin.run("SET GLOBAL super_read_only = ON")) return Left::unknown;
  const auto begun = admin.value(
      "SELECT COUNT(*) FROM performance_schema.clone_progress WHERE STAGE = 'DROP DATA' AND STATE <> 'Not "
      "Started'");
  if (!begun) return Left::unknown;
  return *begun == "0" ? Left::untouched : Left::empty;
}

std::expected<void, CopyFailure> CloneCopy::clone() {
  const auto id = recipient_.value("SELECT CONNECTION_ID()");
  if (!id) return std::unexpected(CopyFailure{id.error(), Left::untouched});
  const std::string head =
      concat("CLONE INSTANCE FROM ", quote(order_.donor_login.user), "@", quote(order_.donor_address.host),
             ":", order_.donor_address.port, " IDENTIFIED BY ");
  // The statement hears nothing of `cancel`: the server has to be told, and to answer.
  const mysql::Waker deaf;
  Admin speaker(order_.recipient, deaf);
  speaker.hide(order_.donor_login.password);
  if (auto opened = speaker.open(); !opened) {
    return std::unexpected(CopyFailure{opened.error(), Left::untouched});
  }
  const auto speaker_id = speaker.value("SELECT CONNECTION_ID()");
  if (!speaker_id) return std::unexpected(CopyFailure{speaker_id.error(), Left::untouched});

  mysql::Waker done;
  CloneWatch watch(order_, *speaker_id, cancel_, tell_);
  std::thread watcher([&] { watch.watch(done); });
  const auto cloned = speaker.run(head + quote(order_.donor_login.password), head + "'***'", longest_clone);
  done.ring();
  watcher.join();
  bytes_ = watch.bytes();
  recipient_.close();

  // The server that ends takes the connection with it.
  const bool gone = !cloned && (cloned.error().kind == FailureKind::lost ||
                                cloned.error().kind == FailureKind::shutting_down);
  const bool for_good = !cloned && cloned.error().server_errno == restart_failed;
  if (!cloned && !gone && !for_good) {
    Failure cause = cloned.error();
    if (!watch.ended().empty()) cause = failure("the clone was ended: " + watch.ended());
    return std::unexpected(CopyFailure{std::move(cause), protect_again()});
  }
  if (auto back = wait_for_return(for_good); !back) {
    return std::unexpected(CopyFailure{back.error(), Left::unknown});
  }
  return {};
}

// A clone goes on when who began it is gone.
std::expected<void, CopyFailure> CloneCopy::await_running() {
  if (ends_.to.cloning_from != conf::to_string(order_.donor_address)) {
    return std::unexpected(CopyFailure{failure(concat("a clone of ", ends_.to.cloning_from,
                                                      " is under way on it; wait for its end, or end it")),
                                       Left::untouched});
  }
  CloneWatch watch(order_, "", cancel_, tell_);
  if (auto ended = watch.watch_running(); !ended) {
    return std::unexpected(CopyFailure{failure(ended.error()), Left::unknown});
  }
  bytes_ = watch.bytes();
  recipient_.close();
  if (auto back = wait_for_return(false); !back) {
    return std::unexpected(CopyFailure{back.error(), Left::unknown});
  }
  return {};
}

// What the server that came back says of its last clone. One that has not ended yet is no answer.
std::expected<bool, Failure> CloneCopy::has_returned(Admin& admin) const {
  const auto status = admin.ask("SELECT STATE, ERROR_NO, ERROR_MESSAGE FROM performance_schema.clone_status");
  if (!status || status->empty()) return false;
  const std::string state = status->text(0, {"STATE"});
  if (state == "Completed") return true;
  if (state != "Failed") return false;
  return std::unexpected(failure(
      concat("the clone failed: ", status->text(0, {"ERROR_NO"}), " ", status->text(0, {"ERROR_MESSAGE"}))));
}

Outcome CloneCopy::wait_for_return(bool ended_for_good) {
  const auto until = mysql::boot_now() + order_.restart_timeout;
  tell_({ended_for_good ? Stage::stopped : Stage::restarting, "", bytes_, 0});
  std::string last = "it has not been reached";
  bool refused_for_long = ended_for_good;
  const auto soon = mysql::boot_now() + std::chrono::seconds(20);
  while (mysql::boot_now() < until) {
    if (auto opened = recipient_.open(); opened) {
      const auto returned = has_returned(recipient_);
      if (!returned) return std::unexpected(returned.error());
      if (*returned) return {};
      recipient_.close();
      last = "it answers, and has not finished the clone";
    } else {
      last = opened.error().text;
      // Alive with the donor's accounts: asking again would not help.
      if (opened.error().kind == FailureKind::denied) {
        return std::unexpected(failure(concat("has the copy and is back, but: ", last,
                                              " (its accounts are now those of ", order_.donor.name, ")")));
      }
    }
    if (!refused_for_long && mysql::boot_now() > soon) {
      refused_for_long = true;
      tell_({Stage::stopped, "", bytes_, 0});
    }
    const mysql::Connection& waiter = ends_.donor.connection();
    if (!waiter.pause(look_interval))
      return std::unexpected(failure("given up while it restarts with the copy"));
  }
  return std::unexpected(failure(concat("has taken the copy and was not back within ",
                                        core::to_ms(order_.restart_timeout) / 1000, " s (", last,
                                        "); start it, and then run this again: it goes on from there")));
}

Outcome CloneCopy::finish() {
  tell_({.stage = Stage::finishing, .what = ""});
  // What the donor knows of sources of its own came along.
  const auto report = recipient_.report();
  if (!report) return std::unexpected(report.error());
  Outcome done;
  if (report->replica) {
    auto& dialect = recipient_.session().dialect();
    done = recipient_.run_all({dialect.stop_replication(), dialect.forget_replication()});
  }
  // By its own configuration it may have come back writable.
  if (done) done = recipient_.run("SET GLOBAL super_read_only = ON");
  if (done) done = disable_events(recipient_);
  return done;
}

std::expected<CopyResult, CopyFailure> CloneCopy::run() {
  tell_({.stage = Stage::preparing, .what = ""});
  if (ends_.to.cloning_from.empty()) {
    Outcome ready = check();
    if (ready) ready = prepare();
    if (!ready) return std::unexpected(CopyFailure{ready.error(), Left::untouched});
  }
  auto cloned = ends_.to.cloning_from.empty() ? clone() : await_running();
  if (!cloned) return std::unexpected(cloned.error());
  if (auto done = finish(); !done) return std::unexpected(CopyFailure{done.error(), Left::unknown});
  const auto report = recipient_.report();
  if (!report) return std::unexpected(CopyFailure{report.error(), Left::unknown});
  // A quick one was not seen by the watch.
  const auto bytes = recipient_.value("SELECT SUM(DATA) FROM performance_schema.clone_progress");
  if (bytes) bytes_ = std::max(bytes_, mysql::to_number(*bytes));
  return CopyResult{.position = report->executed, .bytes = bytes_};
}

}  // namespace

std::expected<CopyResult, CopyFailure> copy_by_clone(const CopyEnds& ends, const mysql::Waker& cancel,
                                                     const OnProgress& tell) {
  return CloneCopy(ends, cancel, tell).run();
}

Outcome provide_clone_plugin(Admin& admin) {
  const auto state = admin.ask(
      "SELECT (SELECT COUNT(*) FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'clone') AS there,"
      " @@global.super_read_only AS protected");
  if (!state) return std::unexpected(state.error());
  if (state->flag(0, {"there"})) return {};
  const bool lift = state->flag(0, {"protected"});
  Outcome done = lift ? admin.run("SET GLOBAL super_read_only = OFF") : Outcome();
  if (done) done = admin.run(install_clone);
  if (lift && admin.is_open()) {
    const Outcome back = admin.run("SET GLOBAL super_read_only = ON");
    if (done) done = back;
  }
  return done;
}

std::vector<std::string> clone_plugin_statements() {
  return {"SET GLOBAL super_read_only = OFF (where it is ON, for the next)",
          concat(install_clone, " (unless it is there)"), "SET GLOBAL super_read_only = ON (where it was)"};
}

std::vector<std::string> clone_statements(const CopyOrder& order) {
  return {"SET GLOBAL super_read_only = ON",
          "KILL each client's session",
          concat("on ", order.donor.name, ": ", install_clone, " (unless it is there)"),
          "SET GLOBAL super_read_only = OFF (read_only stays ON)",
          concat(install_clone, " (unless it is there)"),
          "STOP REPLICA FOR CHANNEL ''; RESET REPLICA ALL FOR CHANNEL '' (when it replicates)",
          concat("SET GLOBAL clone_valid_donor_list = ", quote(conf::to_string(order.donor_address))),
          concat("CLONE INSTANCE FROM ", quote(order.donor_login.user), "@", quote(order.donor_address.host),
                 ":", order.donor_address.port, " IDENTIFIED BY '***'"),
          "(the server restarts, or stops and has to be started)",
          "SET GLOBAL super_read_only = ON",
          "SET SESSION sql_log_bin = 0 (when there are events, as the next four)",
          "SET GLOBAL read_only = ON",
          "SET GLOBAL super_read_only = OFF",
          "ALTER DEFINER = ... EVENT ... DISABLE ON REPLICA",
          "SET GLOBAL super_read_only = ON"};
}

}  // namespace pointsman::setup
