#include "health/setup/copy_backup.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include <poll.h>

#include "conf/address.h"
#include "health/copy/channel.h"
#include "health/mysql/boot_clock.h"
#include "health/mysql/command_runner.h"
#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/setup/copy_dump.h"
#include "health/setup/copy_events.h"

namespace pointsman::setup {
namespace {

using copy::Channel;
using copy::Words;
using core::Failure;
using core::FailureKind;
using mysql::concat;
using mysql::quote;
using Left = CopyFailure::Left;
using Stage = CopyProgress::Stage;
using Said = std::expected<Words, std::string>;

constexpr core::Duration answer_time = std::chrono::minutes(1);
constexpr core::Duration pass_time = std::chrono::minutes(10);
// Between two words of an agent that is at work: it says every few seconds that it lives.
constexpr core::Duration work_time = std::chrono::minutes(2);
// Stopping the server, starting it, and taking both back.
constexpr core::Duration swap_time = std::chrono::minutes(45);
constexpr core::Duration tell_interval = std::chrono::milliseconds(250);

std::expected<Variables, Failure> variables_of(Admin& server) {
  const auto table = server.ask(
      "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'datadir', 'innodb_data_home_dir',"
      " 'innodb_log_group_home_dir', 'innodb_undo_directory', 'innodb_page_size', 'innodb_data_file_path',"
      " 'lower_case_table_names', 'log_bin_basename', 'relay_log_basename')");
  if (!table) return std::unexpected(table.error());
  Variables variables;
  for (std::size_t row = 0; row < table->rows(); ++row)
    variables[std::string(table->at(row, 0).value_or(""))] = table->at(row, 1).value_or("");
  return variables;
}

std::string value_of(const Variables& variables, const std::string& name) {
  const auto found = variables.find(name);
  return found == variables.end() ? "" : found->second;
}

std::string without_end(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// The names of its logs without their numbers, one a line.
std::string logs_of(const Variables& server) {
  std::string names;
  for (const char* name : {"log_bin_basename", "relay_log_basename"}) {
    const std::string path = value_of(server, name);
    names.append(path.substr(path.rfind('/') + 1)) += '\n';
  }
  return names;
}

// What mariadb-backup does not copy, or copies in a way that does not fit where it goes.
std::expected<std::string, Failure> why_not_from(Admin& donor) {
  const auto keys = donor.value(
      "SELECT PLUGIN_NAME FROM information_schema.PLUGINS WHERE PLUGIN_TYPE = 'ENCRYPTION' AND PLUGIN_STATUS "
      "="
      " 'ACTIVE' LIMIT 1");
  if (!keys) return std::unexpected(keys.error());
  if (!keys->empty()) return "its data may be encrypted by " + *keys;
  const auto table = donor.ask(
      "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) AS name, ENGINE, CREATE_OPTIONS FROM"
      " information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN "
      "('performance_schema',"
      " 'information_schema') AND (ENGINE NOT IN ('InnoDB', 'MyISAM', 'Aria',"
      " 'CSV', 'ARCHIVE', 'MRG_MyISAM', 'MEMORY', 'BLACKHOLE') OR CREATE_OPTIONS LIKE '%DATA DIRECTORY%') "
      "LIMIT 1",
      std::chrono::minutes(5));
  if (!table) return std::unexpected(table.error());
  if (table->empty()) return "";
  return concat("mariadb-backup does not copy the table ", table->text(0, {"name"}), " (",
                table->text(0, {"ENGINE"}), " ", table->text(0, {"CREATE_OPTIONS"}), ")");
}

// The agent of one end. The connection is for one order.
class Agent {
 public:
  Agent(const Endpoint& server, const std::vector<conf::HostPort>& addresses, const conf::AuthKeys& keys,
        const mysql::Waker& cancel)
      : server_(server), addresses_(addresses), keys_(keys), cancel_(cancel) {}

  std::expected<void, std::string> open() {
    std::string why = "no address of it is known";
    for (const auto& address : addresses_) {
      auto channel = Channel::connect(address, keys_, cancel_);
      if (channel) {
        channel_ = std::move(*channel);
        return {};
      }
      why = concat(conf::to_string(address), " (tcp): ", channel.error());
    }
    return std::unexpected(concat("the agent of ", server_.name, " is not reached for copies: ", why));
  }

  std::expected<void, std::string> order(const Words& words) {
    if (auto opened = open(); !opened) return opened;
    if (auto sent = channel_->send(words, answer_time); !sent) return std::unexpected(named(sent.error()));
    return {};
  }

  // `failed` is an error, and `progress` is passed over.
  Said hear(core::Duration time) {
    while (true) {
      auto words = channel_->receive_words(time);
      if (!words) return std::unexpected(named(words.error()));
      if (words->verb == "progress") continue;
      if (words->verb == "failed") return std::unexpected(named(words->value("why")));
      return words;
    }
  }
  Said expect(const std::string& verb, core::Duration time) {
    auto words = hear(time);
    if (words && words->verb != verb)
      return std::unexpected(named(concat("says ", words->verb, " where ", verb, " was expected")));
    return words;
  }

  // The facts of a server, of whom it says that they are of this one.
  Said look(const Words& question) {
    if (auto asked = order(question); !asked) return std::unexpected(asked.error());
    auto facts = expect("facts", std::chrono::minutes(5));
    channel_.reset();
    if (facts && facts->value("node") != server_.name)
      return std::unexpected(named("it is the agent of " + facts->value("node")));
    return facts;
  }

  Channel& channel() { return *channel_; }
  bool is_open() const { return channel_.has_value(); }
  void close() { channel_.reset(); }
  std::string named(const std::string& text) const {
    return concat("the agent of ", server_.name, ": ", text);
  }

 private:
  const Endpoint& server_;
  const std::vector<conf::HostPort>& addresses_;
  const conf::AuthKeys& keys_;
  const mysql::Waker& cancel_;
  std::optional<Channel> channel_;
};

struct Facts {
  Variables donor;
  Variables recipient;
  std::uint64_t bytes = 0;   // that a copy of the donor's files needs
  std::uint64_t copied = 0;  // of these
};

// Error: why this way is closed.
std::expected<Facts, NotByAgents> ask_all(Admin& donor, Admin& recipient, const CopyAgents& agents,
                                          const mysql::Waker& cancel) {
  const auto closed = [](const std::string& why, bool busy = false) {
    return std::unexpected(NotByAgents{.why = why, .busy = busy});
  };
  Facts facts;
  for (auto [server, into] : {std::pair{&donor, &facts.donor}, std::pair{&recipient, &facts.recipient}}) {
    auto variables = variables_of(*server);
    if (!variables) return closed(variables.error().text);
    *into = std::move(*variables);
  }
  Agent from(donor.endpoint(), agents.donor, agents.keys, cancel);
  const auto here =
      from.look({.verb = "look",
                 .values = {{"data", value_of(facts.donor, "datadir")}, {"logs", logs_of(facts.donor)}}});
  if (here) facts.bytes = here->number("bytes");
  if (here) facts.copied = here->number("copied");
  Agent onto(recipient.endpoint(), agents.recipient, agents.keys, cancel);
  const auto there = onto.look(
      {.verb = "look",
       .values = {{"data", value_of(facts.recipient, "datadir")}, {"bytes", std::to_string(facts.bytes)}}});
  for (const auto& [agent, said] : {std::pair{&from, &here}, std::pair{&onto, &there}}) {
    if (!*said || (*said)->value("busy").empty()) continue;
    return closed(agent->named("it is at work already: " + (*said)->value("busy")), true);
  }
  if (!here || !there) return closed(here ? there.error() : here.error());
  if (auto why = why_files_do_not_fit(facts.donor, facts.recipient); !why.empty()) return closed(why);
  if (const auto why = here->value("not_from"); !why.empty()) return closed(from.named(why));
  if (const auto why = there->value("not_onto"); !why.empty()) return closed(onto.named(why));
  const std::string series = series_of(value_of(facts.donor, "version"));
  for (const auto& [agent, said] : {std::pair{&from, &here}, std::pair{&onto, &there}}) {
    const std::string version = (*said)->value("version");
    if (series_of(version) == series) continue;
    return closed(agent->named(concat("its mariadb-backup is of ", version, ", and the server of ", series)));
  }
  const auto unfit = why_not_from(donor);
  if (!unfit) return closed(unfit.error().text);
  if (!unfit->empty()) return closed(*unfit);
  return facts;
}

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
  Done said(const Said& words) const {
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
  Agent from_;
  Agent onto_;
  Facts facts_;
  std::string donor_state_;  // gtid_binlog_state a moment before the backup
  std::string position_;     // of the copy
  std::uint64_t bytes_ = 0;
  core::Instant told_{};
  bool was_writable_ = false;
  bool keep_said_ = false;
};

BackupCopy::Done BackupCopy::begin() {
  auto facts = ask_all(donor_, recipient_, *ends_.order.agents, cancel_);
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
  if (auto opened = recipient_.open(); !opened) return opened;
  const auto mark = read_copy_mark(recipient_);
  if (!mark) return std::unexpected(mark.error());
  if (!*mark || (*mark)->whole || (*mark)->donor != donor_.name())
    return std::unexpected(failure("the server that answers does not have the copy"));
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
  if (!done) return done;
  keep_said_ = true;
  if (auto sent = onto_.channel().send({.verb = "keep"}, answer_time); !sent)
    return std::unexpected(failure(onto_.named(sent.error())));
  return said(onto_.expect("kept", answer_time));
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

std::string series_of(const std::string& version) {
  const std::size_t first = version.find('.');
  if (first == std::string::npos) return version;
  const std::size_t second = version.find_first_not_of("0123456789", first + 1);
  return version.substr(0, second);
}

std::string why_files_do_not_fit(const Variables& donor, const Variables& recipient) {
  const std::string series = series_of(value_of(donor, "version"));
  if (series != series_of(value_of(recipient, "version"))) {
    return concat("the servers are of two series, ", value_of(donor, "version"), " and ",
                  value_of(recipient, "version"));
  }
  for (const Variables* server : {&donor, &recipient}) {
    const std::string data = without_end(value_of(*server, "datadir"));
    for (const char* name : {"innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory"}) {
      const std::string value = without_end(value_of(*server, name));
      const bool inside = value.empty() || value == "." || value == data;
      if (!inside) {
        return concat("the ", server == &donor ? "primary" : "replica", "'s ", name, " is ", value,
                      ", outside of its data folder");
      }
    }
  }
  for (const char* name : {"innodb_page_size", "innodb_data_file_path", "lower_case_table_names"}) {
    if (value_of(donor, name) != value_of(recipient, name)) {
      return concat(name, " is ", value_of(donor, name), " on the primary and ", value_of(recipient, name),
                    " on the replica");
    }
  }
  return "";
}

NotByAgents why_not_by_backup(Admin& donor, Admin& recipient, const CopyAgents& agents,
                              const mysql::Waker& cancel) {
  const auto facts = ask_all(donor, recipient, agents, cancel);
  return facts ? NotByAgents{} : facts.error();
}

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
