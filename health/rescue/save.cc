#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <system_error>
#include <vector>

#include <sys/stat.h>

#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/rescue/binlog_picker.h"
#include "health/rescue/binlog_program.h"
#include "health/rescue/files.h"
#include "health/rescue/record.h"
#include "health/rescue/rescue.h"
#include "health/rescue/server_call.h"

namespace pointsman::rescue {

namespace fs = std::filesystem;
using core::Failure;
using core::Flavour;
using core::GtidSet;
using mysql::concat;

namespace {

constexpr std::size_t max_logs = 200;

std::string utc(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 40> text{};
  const auto length = std::strftime(text.data(), text.size(), format, &parts);
  return {text.data(), length};
}

bool disjoint(const GtidSet& a, const GtidSet& b) {
  return a.minus(b) == a;
}

std::string without_spaces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' && c != '[' && c != ']' && c != '\n') out += c;
  }
  return out;
}

// What was executed before the log `name` began, as it says at its beginning.
std::expected<GtidSet, Failure> state_before(ServerCall& call, Flavour flavour, const std::string& name) {
  const std::string_view event = flavour == Flavour::mariadb ? "Gtid_list" : "Previous_gtids";
  const auto events = call.query(concat("SHOW BINLOG EVENTS IN ", mysql::quote(name), " LIMIT 5"));
  if (!events) return std::unexpected(events.error());
  for (std::size_t row = 0; row < events->rows(); ++row) {
    if (events->text(row, {"Event_type"}) != event) continue;
    return mysql::parse_gtids(flavour, without_spaces(events->text(row, {"Info"})),
                              concat("the GTIDs before ", name), call.session().connection());
  }
  return std::unexpected(unsupported(concat("the binary log ", name, " does not say what was before it")));
}

// The last transactions of its reign that it wrote itself; of one that wrote none the last that it had.
GtidSet last_of_reign(const Order& order, const core::ServerReport& report) {
  const bool mariadb = order.flavour == Flavour::mariadb;
  std::string own;
  std::string all;
  for (const auto& [origin, number] : order.reign.newest()) {
    const auto at = std::to_string(number);
    const auto one = mariadb ? concat(origin, "-", at, "..", at) : concat(origin, ":", at);
    const bool its_own =
        mariadb ? origin.ends_with(concat("-", report.server_id)) : origin == report.server_uuid;
    all += concat(all.empty() ? "" : ",", one);
    if (its_own) own += concat(own.empty() ? "" : ",", one);
  }
  return GtidSet::parse(order.flavour, own.empty() ? all : own).value_or(order.reign);
}

struct Logs {
  std::vector<std::string> names;  // the oldest first
  // The last of the reign came before the first of them began; and before the one before that.
  bool reign_before = false;
  bool reign_long_before = false;
};

// The logs that hold `errant`: back from the newest to the first that began before them.
std::expected<Logs, Failure> find_logs(ServerCall& call, const Order& order, const GtidSet& reign) {
  // On MySQL what is in a log is for the replication account only.
  std::optional<ServerCall> other;
  if (order.flavour == Flavour::mysql) {
    other.emplace(order, order.reader);
    if (auto opened = other->open(); !opened) return std::unexpected(opened.error());
  }
  ServerCall& reader = other ? *other : call;
  const auto table = call.query("SHOW BINARY LOGS");
  if (!table) return std::unexpected(table.error());
  Logs logs;
  auto& names = logs.names;
  for (std::size_t row = table->rows(); row > 0; --row) {
    names.insert(names.begin(), table->text(row - 1, {"Log_name"}));
    const auto before = state_before(reader, order.flavour, names.front());
    if (!before) return std::unexpected(before.error());
    if (!disjoint(order.errant, *before)) {
      if (names.size() == max_logs) break;
      continue;
    }
    logs.reign_before = !reign.empty() && before->contains(reign);
    if (logs.reign_before && row > 1) {
      const auto earlier = state_before(reader, order.flavour, table->text(row - 2, {"Log_name"}));
      if (!earlier) return std::unexpected(earlier.error());
      logs.reign_long_before = earlier->contains(reign);
    }
    return logs;
  }
  if (names.size() == max_logs) {
    return std::unexpected(
        unsupported(concat("the transactions ", order.errant.to_string(), " of ", order.server,
                           " lie further back than ", max_logs, " binary logs")));
  }
  return std::unexpected(
      unsupported(concat("the binary logs of ", order.server, " that had ", order.errant.to_string(),
                         " are purged; what was in them cannot be saved any more")));
}

// One attempt to save, in a directory of its own that is gone again unless it was finished.
class Attempt {
 public:
  Attempt(const Order& order, ServerCall& call, const BinlogProgram& program)
      : order_(order), call_(call), program_(program) {}
  ~Attempt() {
    std::error_code ignored;
    if (!directory_.empty()) fs::remove_all(directory_, ignored);
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  std::expected<Saved, Failure> save();

 private:
  std::expected<void, Failure> begin();
  std::expected<void, Failure> fetch(const core::ServerReport& report);
  std::expected<Logs, Failure> read_logs(BinlogPicker& picker, const core::ServerReport& report);
  std::expected<void, Failure> check_reign(const BinlogPicker& picker, const Logs& logs) const;
  std::expected<void, Failure> check(const BinlogPicker& picker) const;
  std::expected<void, Failure> decode();
  std::expected<Saved, Failure> finish();
  void reached(Stage stage) const {
    if (order_.progress) order_.progress(stage);
  }
  Failure about(const std::string& text) const {
    return unsupported("the binary log of " + order_.server + ": " + text);
  }

  const Order& order_;
  ServerCall& call_;
  const BinlogProgram& program_;
  fs::path directory_;
  Record record_;
};

std::expected<Saved, Failure> Attempt::save() {
  if (auto begun = begin(); !begun) return std::unexpected(begun.error());
  const auto report = call_.report();
  if (!report) return std::unexpected(report.error());
  if (!report->executed.contains(order_.errant)) {
    return std::unexpected(unsupported(order_.server + " does not have " +
                                       order_.errant.minus(report->executed).to_string() + " any more"));
  }
  if (auto done = fetch(*report); !done) return std::unexpected(done.error());
  reached(Stage::fetched);
  if (auto done = decode(); !done) return std::unexpected(done.error());
  reached(Stage::decoded);
  auto saved = finish();
  if (saved) reached(Stage::saved);
  return saved;
}

std::expected<void, Failure> Attempt::begin() {
  const auto root = rescue_root(order_.state_dir);
  if (auto made = make_directory(root); !made) return made;
  if (auto synced = sync_directory(order_.state_dir); !synced) return synced;
  const auto path = root / ("." + file_name(order_.server) + ".unfinished");
  std::error_code error;
  fs::remove_all(path, error);
  directory_ = path;
  return make_directory(path);
}

std::expected<void, Failure> Attempt::fetch(const core::ServerReport& report) {
  auto file =
      LimitedFile::create(directory_ / binlog_name, {order_.limits.saved_bytes, order_.limits.spare_bytes});
  if (!file) return std::unexpected(file.error());
  std::expected<void, Failure> written;
  BinlogPicker picker(order_.flavour, order_.errant,
                      [&](std::string_view bytes) -> std::expected<void, std::string> {
                        written = file->write(bytes);
                        if (!written) return std::unexpected(written.error().text);
                        return {};
                      });
  auto fetched = read_logs(picker, report);
  if (!written) return written;
  if (!fetched) return std::unexpected(fetched.error());
  if (auto same_run = check_reign(picker, *fetched); !same_run) return same_run;
  if (auto whole = check(picker); !whole) return whole;
  record_.transactions = picker.transactions();
  record_.bytes = picker.bytes();
  record_.why_not = picker.why_not();
  record_.tables = picker.tables();
  return file->sync();
}

// The programs have whole logs only, which may be a thousand times what we want. So they write into named
// pipes, one for each log, and nothing else of them touches the disk. What came after the wanted is read for
// the sake of the verdict on an undo. Only for transactions with a tag MySQL's server is told what we have,
// and leaves it out.
std::expected<Logs, Failure> Attempt::read_logs(BinlogPicker& picker, const core::ServerReport& report) {
  auto found = find_logs(call_, order_, last_of_reign(order_, report));
  if (!found) return found;
  const auto* logs = &found->names;
  std::vector<std::string> arguments{"--raw", "--result-file=" + (directory_ / "pipe-").string()};
  if (order_.flavour == Flavour::mysql) {
    const auto own = program_.is_mysqls(call_.soon(), order_.stop);
    if (!own) return std::unexpected(own.error());
    if (!*own)
      return std::unexpected(about(program_.path() +
                                   " is MariaDB's, which does not read from a MySQL server; "
                                   "Oracle's mysql-client has the right one"));
  }
  if (BinlogPicker::has_tags(order_.errant)) {
    arguments.emplace_back("--read-from-remote-source=BINLOG-DUMP-GTIDS");
    arguments.push_back("--exclude-gtids=" + report.executed.minus(order_.errant).to_string());
  } else {
    arguments.emplace_back("--read-from-remote-server");
  }
  arguments.insert(arguments.end(), logs->begin(), logs->end());
  BinlogProgram::Run run{.arguments = std::move(arguments),
                         .options = connection_options(order_.address, order_.reader, order_.flavour),
                         .deadline = call_.deadline(),
                         .silence = order_.limits.silence,
                         .stop = order_.stop};
  for (const auto& log : *logs) {
    run.pipes.push_back(directory_ / ("pipe-" + log));
    if (log.find('/') != std::string::npos || ::mkfifo(run.pipes.back().c_str(), 0600) != 0)
      return std::unexpected(about("no pipe for " + log + ": " + std::strerror(errno)));
  }
  std::size_t current = 0;
  const auto done =
      program_.run(run, [&](std::size_t source, std::string_view bytes) -> std::expected<void, Failure> {
        for (; current < source; ++current) {
          if (auto ended = picker.end_file(); !ended) return std::unexpected(about(ended.error()));
        }
        if (auto fed = picker.feed(bytes); !fed) return std::unexpected(about(fed.error()));
        return {};
      });
  for (const auto& pipe : run.pipes) {
    std::error_code ignored;
    fs::remove(pipe, ignored);
  }
  if (!done) return std::unexpected(done.error());
  if (current + 1 != logs->size()) return std::unexpected(about("nothing was read of " + logs->back()));
  if (auto ended = picker.end_file(); !ended) return std::unexpected(about(ended.error()));
  return found;
}

std::expected<void, Failure> Attempt::check_reign(const BinlogPicker& picker, const Logs& logs) const {
  if (order_.not_if_shut_down && order_.flavour == Flavour::mariadb && picker.shut_down_after())
    return std::unexpected(unsupported(
        concat(order_.server, " was shut down after ", order_.errant.to_string(),
               ", and a MariaDB then answers some of the commits that wait for a replica: they may have been "
               "acknowledged")));
  if (order_.reign.empty()) return {};
  const bool later_run = picker.started_between() || (logs.reign_before && picker.begins_with_start());
  if (later_run)
    return std::unexpected(unsupported(
        concat("some of ", order_.errant.to_string(), " were written after ", order_.server,
               " had been started again, by somebody who wrote there: they may have been acknowledged")));
  if (logs.reign_long_before)
    return std::unexpected(unsupported(concat("whether ", order_.errant.to_string(), " were written before ",
                                              order_.server, " was started again cannot be told")));
  return {};
}

std::expected<void, Failure> Attempt::check(const BinlogPicker& picker) const {
  const auto& errant = order_.errant;
  if (order_.flavour == Flavour::mysql) {
    if (picker.transactions() == errant.count()) return {};
    return std::unexpected(about(concat(picker.transactions(), " of the ", errant.count(), " transactions ",
                                        errant.to_string(), " were found")));
  }
  // MariaDB's sets have numbers that other servers used. But a server's last one in a domain exists.
  const auto found = picker.found().newest();
  for (const auto& last : errant.newest()) {
    if (std::ranges::find(found, last) != found.end()) continue;
    return std::unexpected(about(concat(last.first, "-", last.second,
                                        " is not in it; was it written with sql_log_bin = 0, or replicated "
                                        "without log_slave_updates?")));
  }
  return {};
}

std::expected<void, Failure> Attempt::decode() {
  auto file =
      LimitedFile::create(directory_ / sql_name, {order_.limits.saved_bytes, order_.limits.spare_bytes});
  if (!file) return std::unexpected(file.error());
  const BinlogProgram::Run run{
      .arguments = {"--base64-output=decode-rows", "-v", (directory_ / binlog_name).string()},
      .deadline = call_.deadline(),
      .stop = order_.stop};
  if (auto done = program_.run(run, [&](std::size_t, std::string_view bytes) { return file->write(bytes); });
      !done) {
    return done;
  }
  return file->sync();
}

// The name by which it is found appears when everything in it is on the disk.
std::expected<Saved, Failure> Attempt::finish() {
  record_.directory = directory_;
  record_.server = order_.server;
  record_.flavour = order_.flavour;
  record_.saved_at = utc("%Y-%m-%dT%H:%M:%SZ");
  record_.errant = order_.errant;
  if (auto stored = store(record_); !stored) return std::unexpected(stored.error());
  const auto root = directory_.parent_path();
  const auto base = root / (file_name(order_.server) + "-" + utc("%Y%m%dT%H%M%SZ"));
  fs::path path = base;
  for (unsigned again = 2; fs::exists(path); ++again) path = base.string() + "-" + std::to_string(again);
  if (::rename(directory_.c_str(), path.c_str()) != 0)
    return std::unexpected(unsupported("cannot rename to " + path.string() + ": " + std::strerror(errno)));
  record_.directory = path;
  directory_.clear();
  if (auto synced = sync_directory(root); !synced) return std::unexpected(synced.error());
  return record_.saved();
}

// Of the same transactions, not taken back yet; the undo of a call that was killed comes on top of them.
std::optional<Saved> saved_before(const std::vector<Record>& records, const Order& order) {
  using Phase = Record::Phase;
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    if (record->phase == Phase::done || record->phase == Phase::settled) continue;
    auto known = record->errant;
    if (record->phase == Phase::undoing || record->phase == Phase::undone)
      known = known.united(marker_set(record->marker));
    if (order.errant == record->errant || order.errant == known) return record->saved();
  }
  return std::nullopt;
}

}  // namespace

std::expected<Saved, Failure> save(const Order& order) {
  if (order.errant.empty()) return std::unexpected(unsupported("nothing to save: no errant transactions"));
  const auto records = list(order.state_dir, order.server);
  if (!records) return std::unexpected(records.error());
  if (auto saved = saved_before(*records, order)) return std::move(*saved);
  const auto program = BinlogProgram::find(order.binlog_program, order.flavour);
  if (!program) return std::unexpected(program.error());
  ServerCall call(order);
  if (auto opened = call.open(); !opened) return std::unexpected(opened.error());
  return Attempt(order, call, *program).save();
}

}  // namespace pointsman::rescue
