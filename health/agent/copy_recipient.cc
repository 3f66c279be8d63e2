#include "health/agent/copy_recipient.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "health/agent/copy_facts.h"
#include "health/agent/file_failure.h"
#include "health/io/system_text.h"
#include "health/mysql/boot_clock.h"
#include "health/mysql/concat.h"
#include "health/setup/copy_marker.h"

namespace pointsman::agent {

namespace fs = std::filesystem;
using copy::Channel;
using copy::Child;
using copy::Words;
using mysql::concat;
using Outcome = std::expected<void, std::string>;

namespace {

constexpr core::Duration longest_stall = std::chrono::minutes(10);
constexpr core::Duration peer_answer_time = std::chrono::seconds(30);
// Between two steps `setup` asks both servers a few things.
constexpr core::Duration decision_time = std::chrono::minutes(10);
constexpr core::Duration between_words = std::chrono::seconds(2);
constexpr std::array<const char*, 2> binlog_infos{"mariadb_backup_binlog_info", "xtrabackup_binlog_info"};

std::string content_of(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::expected<BinlogPosition, std::string> position_in(const fs::path& folder) {
  for (const char* name : binlog_infos) {
    if (fs::exists(folder / name)) return parse_binlog_info(content_of(folder / name));
  }
  return std::unexpected(
      "the copy does not say which position of the binary log it is of; has the primary one?");
}

// What a server finds in its data folder and no backup brings: certificates, and what Debian's package and
// mariadb-upgrade note.
bool belongs_to_the_host(const fs::path& file) {
  const auto name = file.filename();
  return file.extension() == ".pem" || file.extension() == ".flag" || name == "mariadb_upgrade_info" ||
         name == "mysql_upgrade_info";
}

}  // namespace

std::expected<BinlogPosition, std::string> parse_binlog_info(std::string_view text) {
  const std::size_t tab = text.find('\t');
  const auto wrong = [] {
    return std::unexpected(std::string("the backup's binary log position is unreadable"));
  };
  if (tab == std::string_view::npos || tab == 0) return wrong();
  const std::string_view rest = text.substr(tab + 1);
  const std::string_view number = rest.substr(0, rest.find_first_of("\t\n"));
  const bool digits = !number.empty() && number.size() <= 20 &&
                      std::ranges::all_of(number, [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!digits) return wrong();
  return BinlogPosition{.file = std::string(text.substr(0, tab)), .position = std::string(number)};
}

CopyRecipient::CopyRecipient(const conf::AgentConfig& config, int lock_fd, const mysql::Waker& cancel)
    : config_(config), lock_fd_(lock_fd), cancel_(cancel), file_(config.copy.state_dir) {}

Outcome CopyRecipient::receive(Channel& channel, const Words& order) {
  Outcome done;
  try {
    done = steps(channel, order);
  } catch (const std::exception& error) {
    done = std::unexpected(std::string("internal error: ") + error.what());
  }
  if (done) return done;
  // The other side may be gone, or may be writing still: then it hears of it when it looks.
  (void)channel.send({.verb = "failed", .values = {{"why", done.error()}}}, peer_answer_time);
  const Outcome undone = undo();
  const Words last =
      undone ? Words{.verb = "undone"} : Words{.verb = "not_undone", .values = {{"why", undone.error()}}};
  if (channel.send(last, peer_answer_time)) {
    // Closed only when it has heard that: data that nobody reads would make the kernel drop our words.
    while (channel.receive(peer_answer_time)) {
    }
  }
  if (undone) return done;
  return std::unexpected(concat(done.error(), "; and taking it back failed: ", undone.error()));
}

Outcome CopyRecipient::steps(Channel& channel, const Words& order) {
  if (auto begun = begin(order); !begun) return begun;
  if (auto sent = channel.send({.verb = "ready"}, peer_answer_time); !sent) return sent;
  if (auto filled = fill(channel); !filled) return filled;
  if (auto prepared = prepare(channel); !prepared) return prepared;
  const auto position = position_in(folders_.fresh());
  if (!position) return std::unexpected(position.error());
  const Words prepared{.verb = "prepared",
                       .values = {{"file", position->file}, {"position", position->position}}};
  if (auto sent = channel.send(prepared, peer_answer_time); !sent) return sent;
  auto word = channel.receive_words(decision_time);
  if (!word) return std::unexpected(word.error());
  if (word->verb != "swap") return std::unexpected("setup gives up: " + word->value("why"));
  if (auto swapped = swap(); !swapped) return swapped;
  if (auto sent = channel.send({.verb = "swapped"}, peer_answer_time); !sent) return sent;
  word = channel.receive_words(decision_time);
  if (!word) return std::unexpected(word.error());
  if (word->verb != "keep") return std::unexpected("setup gives up: " + word->value("why"));
  if (auto kept = file_.save({CopyState::Stage::keeping, folders_.data()}); !kept) return kept;
  // From here on nothing is taken back, whoever goes away.
  (void)channel.send({.verb = "kept"}, peer_answer_time);
  if (auto gone = recover(); !gone) return std::unexpected(gone.error());
  return {};
}

Outcome CopyRecipient::begin(const Words& order) {
  const auto unfinished = recover();
  if (!unfinished) return std::unexpected(unfinished.error());
  auto server = expected_server(config_, order.value("data"));
  if (!server) return std::unexpected(server.error());
  server_ = std::move(*server);
  donor_ = order.value("donor");
  if (auto why = why_not_replaced(config_, server_, order.number("bytes")); !why.empty())
    return std::unexpected(why);
  folders_ = CopyFolders(server_.data);
  if (auto saved = file_.save({CopyState::Stage::filling, folders_.data()}); !saved) return saved;
  if (::mkdir(folders_.fresh().c_str(), 0700) != 0) return file_failure("cannot make", folders_.fresh());
  return {};
}

Outcome CopyRecipient::write(Child& unpack, std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::send(unpack.data.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) {
      const std::string why = unpack.wait();
      return std::unexpected(why.empty() ? "mbstream ended before the copy did" : why);
    }
    std::array<pollfd, 3> fds{pollfd{unpack.data.get(), POLLOUT, 0},
                              pollfd{unpack.complaints.get(), POLLIN, 0}, pollfd{cancel_.fd(), POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(core::to_ms(longest_stall))) == 0)
      return std::unexpected("the disk takes nothing any more");
    if (fds[2].revents != 0) return std::unexpected("the agent ends");
    unpack.listen();
  }
  return {};
}

Outcome CopyRecipient::fill(Channel& channel) {
  Child unpack;
  const auto started = unpack.start({.argv = {unpack_program(config_), "-x", "-C", folders_.fresh()},
                                     .data = Child::Data::child_reads,
                                     .lock_fd = lock_fd_,
                                     .polite = true});
  if (!started) return started;
  std::uint64_t bytes = 0;
  while (true) {
    auto frame = channel.receive(longest_stall);
    if (!frame) return std::unexpected(frame.error());
    unpack.listen();
    if (frame->kind == Channel::Kind::data) {
      if (auto written = write(unpack, frame->body); !written) return written;
      bytes += frame->body.size();
      continue;
    }
    const auto words = copy::decode(frame->body);
    if (!words) return std::unexpected(words.error());
    if (words->verb != "end") return std::unexpected("setup gives up: " + words->value("why"));
    if (words->number("bytes") != bytes) return std::unexpected("bytes of the copy were lost on the way");
    break;
  }
  ::shutdown(unpack.data.get(), SHUT_WR);
  if (const std::string why = unpack.wait(); !why.empty()) return std::unexpected(why);
  return {};
}

// While it works the other side hears that we live, and may give up.
Outcome CopyRecipient::run_program(Channel& channel, const Child::Program& program) {
  Child child;
  if (auto started = child.start(program); !started) return started;
  while (!child.ended()) {
    std::array<pollfd, 4> fds{pollfd{child.end.get(), POLLIN, 0}, pollfd{child.complaints.get(), POLLIN, 0},
                              pollfd{channel.fd(), POLLIN, 0}, pollfd{cancel_.fd(), POLLIN, 0}};
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(core::to_ms(between_words)));
    child.listen();
    if (fds[3].revents != 0) return std::unexpected("the agent ends");
    if (fds[2].revents != 0 || channel.has_input()) {
      const auto word = channel.receive_words(peer_answer_time);
      return std::unexpected(word ? "setup gives up: " + word->value("why") : word.error());
    }
    if (ready > 0) continue;
    if (auto sent = channel.send({.verb = "progress"}, peer_answer_time); !sent) return sent;
  }
  if (const std::string why = child.wait(); !why.empty()) return std::unexpected(why);
  return {};
}

Outcome CopyRecipient::prepare(Channel& channel) {
  const std::string target = folders_.fresh();
  auto done = run_program(
      channel, {.argv = {backup_program(config_), "--prepare", "--target-dir=" + target, "--use-memory=256M"},
                .lock_fd = lock_fd_,
                .polite = true});
  if (!done) return done;
  if (auto marked = mark_inside(channel); !marked) return marked;
  return give_to_owner();
}

// By the server's own program, without a net: the copy says from the first moment on that it is one, no
// scheduled event of the primary runs on it when it starts, and that the program can read these data is known
// before the old ones make room.
Outcome CopyRecipient::mark_inside(Channel& channel) {
  std::string sql =
      "UPDATE mysql.event SET status = 'SLAVESIDE_DISABLED' WHERE status = 'ENABLED';\n"
      "DROP DATABASE IF EXISTS pointsman_copy;\n";
  const setup::CopyMark mark{.whole = false, .donor = donor_, .event_scheduler = ""};
  for (const std::string& statement : setup::write_mark_statements(mark)) sql += statement + ";\n";
  std::vector<std::string> argv{server_.program,
                                "--defaults-file=" + (folders_.fresh() / "backup-my.cnf").native(),
                                "--datadir=" + folders_.fresh().native(), "--skip-log-bin", "--bootstrap"};
  if (::geteuid() == 0) argv.emplace_back("--user=root");
  return run_program(channel, {.argv = std::move(argv), .lock_fd = lock_fd_, .input = sql, .polite = true});
}

// As the server makes its files; the folder itself is as the old one.
Outcome CopyRecipient::give_to_owner() const {
  struct stat before{};
  if (::stat(folders_.data().c_str(), &before) != 0) return file_failure("cannot look at", folders_.data());
  const auto give = [&](const fs::path& path, mode_t mode) -> Outcome {
    if (::lchown(path.c_str(), before.st_uid, before.st_gid) != 0)
      return file_failure("cannot give away", path);
    if (::chmod(path.c_str(), mode) != 0) return file_failure("cannot set the mode of", path);
    return {};
  };
  std::error_code error;
  for (fs::recursive_directory_iterator at(folders_.fresh(), error), end; !error && at != end;
       at.increment(error)) {
    if (at->is_symlink()) return std::unexpected(concat("the copy has a link: ", at->path().native()));
    const mode_t mode = at->is_directory() ? 0700 : 0660;
    if (auto given = give(at->path(), mode); !given) return given;
  }
  if (error) return std::unexpected(concat("cannot read ", folders_.fresh().native(), ": ", error.message()));
  return give(folders_.fresh(), before.st_mode & 07777U);
}

Outcome CopyRecipient::carry_over() const {
  std::error_code error;
  for (fs::directory_iterator at(folders_.data(), error), end; !error && at != end; at.increment(error)) {
    if (!at->is_regular_file() || at->is_symlink() || !belongs_to_the_host(at->path())) continue;
    const fs::path target = folders_.fresh() / at->path().filename();
    struct stat owner{};
    if (::stat(at->path().c_str(), &owner) != 0) return file_failure("cannot look at", at->path());
    fs::copy_file(at->path(), target, fs::copy_options::overwrite_existing, error);
    if (!error && ::lchown(target.c_str(), owner.st_uid, owner.st_gid) != 0)
      return file_failure("cannot give away", target);
  }
  if (error) return std::unexpected(concat("cannot carry files over: ", error.message()));
  return {};
}

// What mariadb-backup notes for itself; nobody needs it any more.
Outcome CopyRecipient::remove_notes() const {
  std::vector<fs::path> notes;
  std::error_code error;
  for (fs::directory_iterator at(folders_.fresh(), error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    if (name == "backup-my.cnf" || name.starts_with("xtrabackup_") || name.starts_with("mariadb_backup_"))
      notes.push_back(at->path());
  }
  for (const fs::path& note : notes) {
    if (!error) fs::remove(note, error);
  }
  if (error) return std::unexpected(concat("cannot tidy up the copy: ", error.message()));
  return {};
}

Outcome CopyRecipient::swap() {
  if (auto removed = remove_notes(); !removed) return removed;
  if (auto carried = carry_over(); !carried) return carried;
  if (auto saved = file_.save({CopyState::Stage::swapping, folders_.data()}); !saved) return saved;
  ServerControl control(config_, lock_fd_, cancel_);
  if (auto stopped = control.stop(folders_.data()); !stopped) return stopped;
  if (auto swapped = folders_.swap(); !swapped) return swapped;
  return control.start();
}

// `cancel` may have rung; this has to be done all the same.
Outcome CopyRecipient::undo() {
  const mysql::Waker deaf;
  CopyRecipient again(config_, lock_fd_, deaf);
  const auto done = again.recover();
  if (!done) return std::unexpected(done.error());
  return {};
}

std::expected<std::string, std::string> CopyRecipient::recover() {
  const auto found = file_.load();
  if (!found) return std::unexpected(found.error());
  if (!*found) return "";
  CopyState state = **found;
  const CopyFolders folders(state.data);
  Outcome done;
  // Our word was not heard, and `setup` has gone on with this copy, or made it anew, without us. Its last
  // step is to remove the mark, whose schema is a folder.
  if (state.stage == CopyState::Stage::swapping && folders.swapped() && fs::exists(folders.data()) &&
      !fs::exists(folders.data() / setup::mark_schema)) {
    state.stage = CopyState::Stage::keeping;
    done = file_.save(state);
  }
  if (done && state.stage == CopyState::Stage::swapping) {
    ServerControl control(config_, lock_fd_, cancel_);
    if (folders.swapped()) done = control.stop(folders.data());
    if (done) done = folders.swap_back();
    if (done) done = control.start();
  }
  if (done) done = remove_folder(folders.fresh());
  if (done && state.stage == CopyState::Stage::keeping) done = remove_folder(folders.old());
  if (done) done = file_.remove();
  if (!done) return std::unexpected(done.error());
  return state.stage == CopyState::Stage::keeping
             ? concat("the old data of ", state.data, " are removed")
             : concat("an unfinished copy beside ", state.data, " is removed; the server has its own data");
}

}  // namespace pointsman::agent
