#include "health/setup/copy_backup.h"

#include <array>
#include <utility>

#include <poll.h>

#include "health/mysql/boot_clock.h"
#include "health/mysql/command_runner.h"
#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/setup/backup_obstacles.h"
#include "health/setup/copy_agent.h"
#include "health/setup/copy_dump.h"
#include "health/setup/copy_events.h"

namespace pointsman::setup {
namespace {

using copy::Channel;
using core::Failure;
using core::FailureKind;
using mysql::concat;
using mysql::quote;
using Left = CopyFailure::Left;
using Stage = CopyProgress::Stage;

constexpr core::Duration answer_time = CopyAgent::answer_time;
constexpr core::Duration pass_time = std::chrono::minutes(10);
// Between two words of an agent that is at work: it says every few seconds that it lives.
constexpr core::Duration work_time = std::chrono::minutes(2);
// Stopping the server, starting it, and taking both back.
constexpr core::Duration swap_time = std::chrono::minutes(45);
constexpr core::Duration tell_interval = std::chrono::milliseconds(250);

class BackupCopy {
 public:
  BackupCopy(const CopyEnds& ends, const mysql::Waker& cancel, const OnProgress& tell)
      : ends_(ends),
        donor_(ends.donor),
        recipient_(ends.recipient),
        cancel_(cancel),
        tell_(tell),
        from_(ends.donor.endpoint(), ends.order.agents->donor, ends.order.agents->keys, cancel),
        // Until it is told that we give up, it must be heard.
        onto_(ends.recipient.endpoint(), ends.order.agents->recipient, ends.order.agents->keys, deaf_) {}

  std::expected<CopyResult, CopyFailure> run();

 private:
  using Done = std::expected<void, Failure>;

  Done steps();
  Done begin();
  Done pass_on();
  std::expected<bool, std::string> pass_one();
  Done wait_prepared();
  Done learn_position(const std::string& file, std::uint64_t at);
  Done take_over();
  Done finish();
  Done make_whole();
  Done said(const CopyAgent::Said& words) const {
    if (words) return {};
    return std::unexpected(failure(words.error()));
  }
  CopyFailure give_up(Failure cause);
  Failure failure(const std::string& text) const {
    return {FailureKind::server_error, 0, concat(recipient_.name(), ": ", text)};
  }

  const CopyEnds ends_;
  Admin& donor_;
  Admin& recipient_;
  const mysql::Waker& cancel_;
  const mysql::Waker deaf_;
  const OnProgress& tell_;
  CopyAgent from_;
  CopyAgent onto_;
  BackupFacts facts_;
  std::string donor_state_;  // gtid_binlog_state a moment before the backup
  std::string position_;     // of the copy
  std::uint64_t bytes_ = 0;
  core::Instant told_{};
  bool was_writable_ = false;
  bool found_copy_ = false;
  bool keep_said_ = false;
};

BackupCopy::Done BackupCopy::begin() {
  auto facts = look_for_backup(donor_, recipient_, *ends_.order.agents, cancel_);
  if (!facts) return std::unexpected(failure(facts.error().why));
  facts_ = std::move(*facts);
  const auto state = donor_.value("SELECT @@global.gtid_binlog_state");
  if (!state) return std::unexpected(state.error());
  donor_state_ = *state;
  const auto done = onto_.order({.verb = "recipient",
                                 .values = {{"data", value_of(facts_.recipient, "datadir")},
                                            {"bytes", std::to_string(facts_.bytes)},
                                            {"donor", donor_.name()}}});
  if (!done) return std::unexpected(failure(done.error()));
  if (auto ready = said(onto_.expect("ready", answer_time)); !ready) return ready;
  const auto asked = from_.order({.verb = "donor", .values = {{"data", value_of(facts_.donor, "datadir")}}});
  if (!asked) return std::unexpected(failure(asked.error()));
  return {};
}

// True: that was the end of it.
std::expected<bool, std::string> BackupCopy::pass_one() {
  auto frame = from_.channel().receive(pass_time);
  if (!frame) return std::unexpected(from_.named(frame.error()));
  if (frame->kind == Channel::Kind::data) {
    bytes_ += frame->body.size();
    if (auto sent = onto_.channel().send_data(frame->body, pass_time); !sent) {
      // One that fails says why before it goes.
      const auto why = onto_.hear(std::chrono::seconds(1));
      return std::unexpected(why ? onto_.named(sent.error()) : why.error());
    }
    return false;
  }
  const auto words = copy::decode(frame->body);
  if (!words) return std::unexpected(from_.named(words.error()));
  if (words->verb == "failed") return std::unexpected(from_.named(words->value("why")));
  if (words->verb != "end" || words->number("bytes") != bytes_)
    return std::unexpected(from_.named("bytes were lost on the way"));
  if (auto sent = onto_.channel().send(*words, pass_time); !sent)
    return std::unexpected(onto_.named(sent.error()));
  return true;
}

BackupCopy::Done BackupCopy::pass_on() {
  while (true) {
    if (const auto now = mysql::boot_now(); now - told_ >= tell_interval) {
      told_ = now;
      tell_({Stage::copying, "", bytes_, facts_.copied});
    }
    if (!from_.channel().has_input()) {
      std::array<pollfd, 3> fds{pollfd{from_.channel().fd(), POLLIN, 0},
                                pollfd{onto_.channel().fd(), POLLIN, 0}, pollfd{cancel_.fd(), POLLIN, 0}};
      ::poll(fds.data(), fds.size(), static_cast<int>(core::to_ms(tell_interval)));
      if (fds[2].revents != 0) return std::unexpected(failure("given up"));
      // It has nothing to say now but that it failed.
      if (fds[1].revents != 0) return said(onto_.expect("nothing", answer_time));
      if (fds[0].revents == 0) continue;
    }
    const auto end = pass_one();
    if (!end) return std::unexpected(failure(end.error()));
    if (!*end) continue;
    from_.close();
    tell_({Stage::copying, "", bytes_, facts_.copied});
    return {};
  }
}

BackupCopy::Done BackupCopy::wait_prepared() {
  tell_({Stage::applying, "", bytes_, bytes_});
  while (true) {
    std::array<pollfd, 2> fds{pollfd{onto_.channel().fd(), POLLIN, 0}, pollfd{cancel_.fd(), POLLIN, 0}};
    if (!onto_.channel().has_input() &&
        ::poll(fds.data(), fds.size(), static_cast<int>(core::to_ms(work_time))) == 0)
      return std::unexpected(failure(onto_.named("is silent")));
    if (fds[1].revents != 0) return std::unexpected(failure("given up"));
    auto words = onto_.channel().receive_words(work_time);
    if (!words) return std::unexpected(failure(onto_.named(words.error())));
    if (words->verb == "progress") continue;
    if (words->verb != "prepared") return std::unexpected(failure(onto_.named(words->value("why"))));
    return learn_position(words->value("file"), words->number("position"));
  }
}

// The server's own word for that place, not the backup's: it counts what came from former primaries, too.
BackupCopy::Done BackupCopy::learn_position(const std::string& file, std::uint64_t at) {
  // Nothing was asked for as long as the copy took; the connection may be gone.
  if (auto opened = donor_.open(); !opened) return opened;
  const auto answer = donor_.ask(concat("SELECT BINLOG_GTID_POS(", quote(file), ", ", at, ")"));
  if (!answer) return std::unexpected(answer.error());
  const auto text = answer->at(0, 0);
  if (!text) {
    return std::unexpected(
        failure(concat(donor_.name(), " does not know any more what was at ", at, " of its ", file)));
  }
  position_ = *text;
  return {};
}

// From here on what is written to the recipient is lost with its data.
BackupCopy::Done BackupCopy::take_over() {
  if (auto opened = recipient_.open(); !opened) return opened;
  const auto now = survey(recipient_);
  if (!now) return std::unexpected(now.error());
  if (now->contents.has_data() && !ends_.order.overwrite && !now->unfinished())
    return std::unexpected(failure("has got data meanwhile: " + now->contents.summary()));
  was_writable_ = !now->report.read_only;
  const mysql::CommandRunner::Settings settings{
      ends_.order.donor_login, ends_.order.recipient.account.user, {}};
  const auto closed = mysql::CommandRunner(recipient_.session(), settings)(
      core::MakeReadOnly{.timeout = std::chrono::seconds(5), .end_clients = true});
  if (!closed) return std::unexpected(recipient_.hidden(closed.error()));
  tell_({.stage = Stage::restarting, .what = ""});
  recipient_.close();
  if (auto sent = onto_.channel().send({.verb = "swap"}, answer_time); !sent)
    return std::unexpected(failure(onto_.named(sent.error())));
  return said(onto_.expect("swapped", swap_time));
}

BackupCopy::Done BackupCopy::finish() {
  tell_({.stage = Stage::finishing, .what = ""});
  if (auto done = recipient_.repeat_if_lost([this] { return make_whole(); }); !done) return done;
  keep_said_ = true;
  if (auto sent = onto_.channel().send({.verb = "keep"}, answer_time); !sent)
    return std::unexpected(failure(onto_.named(sent.error())));
  return said(onto_.expect("kept", answer_time));
}

// On the server that was just started with the copy.
BackupCopy::Done BackupCopy::make_whole() {
  const auto mark = read_copy_mark(recipient_);
  if (!mark) return std::unexpected(mark.error());
  // A whole one is of the old data, unless a connection was lost after we had written it.
  if (!*mark || ((*mark)->whole && !found_copy_) || (*mark)->donor != donor_.name())
    return std::unexpected(failure("the server that answers does not have the copy"));
  found_copy_ = true;
  const auto state = binlog_state_of_copy(donor_state_, position_);
  if (!state) return std::unexpected(failure(state.error()));
  Outcome done = recipient_.run("SET GLOBAL read_only = ON");
  if (done) done = disable_events(recipient_);
  // A binary log that is not empty admits no state; nothing of ours is in it.
  if (done) done = recipient_.run("RESET MASTER");
  if (done) done = recipient_.run(concat("SET GLOBAL gtid_binlog_state = ", quote(*state)));
  if (done) done = recipient_.run(concat("SET GLOBAL gtid_slave_pos = ", quote(position_)));
  CopyMark whole = **mark;
  whole.whole = true;
  if (done) done = write_copy_mark(recipient_, whole);
  return done;
}

BackupCopy::Done BackupCopy::steps() {
  tell_({.stage = Stage::preparing, .what = ""});
  Done done = begin();
  if (done) done = pass_on();
  if (done) done = wait_prepared();
  if (done) done = take_over();
  if (done) done = finish();
  return done;
}

// The agent takes everything back, and says so when it is done.
CopyFailure BackupCopy::give_up(Failure cause) {
  from_.close();
  if (!onto_.is_open()) return {std::move(cause), Left::untouched};
  (void)onto_.channel().send({.verb = "give_up", .values = {{"why", cause.text}}}, answer_time);
  const auto until = mysql::boot_now() + swap_time;
  while (true) {
    const auto words = onto_.channel().receive_words(until - mysql::boot_now());
    if (!words || words->verb == "not_undone") {
      cause.text +=
          concat("; what was begun is not taken back yet (", words ? words->value("why") : words.error(),
                 "): the agent of ", recipient_.name(), " does it when it starts");
      return {std::move(cause), Left::unknown};
    }
    if (words->verb == "undone") break;
  }
  if (was_writable_) {
    Admin admin(ends_.order.recipient, deaf_);
    if (admin.open()) (void)admin.run("SET GLOBAL read_only = OFF");
  }
  return {std::move(cause), Left::untouched};
}

std::expected<CopyResult, CopyFailure> BackupCopy::run() {
  if (auto done = steps(); !done) {
    // It may have heard that the copy is to be kept, or not.
    if (keep_said_) return std::unexpected(CopyFailure{done.error(), Left::unknown});
    return std::unexpected(give_up(done.error()));
  }
  onto_.close();
  const auto report = recipient_.report();
  if (!report) return std::unexpected(CopyFailure{report.error(), Left::unknown});
  return CopyResult{.position = report->executed, .bytes = bytes_};
}

}  // namespace

std::expected<CopyResult, CopyFailure> copy_by_backup(const CopyEnds& ends, const mysql::Waker& cancel,
                                                      const OnProgress& tell) {
  return BackupCopy(ends, cancel, tell).run();
}

std::vector<std::string> backup_statements(const CopyOrder& order) {
  return {concat("the agent of ", order.donor.name, ": mariadb-backup --backup --stream=mbstream"),
          concat("the agent of ", order.recipient.name,
                 ": mbstream -x, beside the data folder (DATADIR.pointsman-new)"),
          concat("the agent of ", order.recipient.name, ": mariadb-backup --prepare"),
          concat("the agent of ", order.recipient.name,
                 ": in the copy: events disabled as on a replica, a mark in pointsman_copy.state"),
          "SET GLOBAL read_only = ON",
          "KILL each client's session",
          concat("the agent of ", order.recipient.name,
                 ": copy.stop_command, the folders change places, copy.start_command"),
          "SET GLOBAL read_only = ON",
          "RESET MASTER",
          "SET GLOBAL gtid_binlog_state = '...' (the primary's at the backup)",
          "SET GLOBAL gtid_slave_pos = '...' (the backup's)",
          "UPDATE of the mark in pointsman_copy.state",
          concat("the agent of ", order.recipient.name, ": the old data are removed")};
}

}  // namespace pointsman::setup
