#include "health/setup/dump_pipe.h"

#include <array>
#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include "health/copy/child.h"
#include "health/io/system_text.h"
#include "health/mysql/boot_clock.h"
#include "health/mysql/concat.h"

namespace pointsman::setup {
namespace {

using mysql::concat;

using copy::Child;
using io::system_text;

// The bytes between the two, and both ends' complaints.
class Relay {
 public:
  Relay(Child& dump, Child& load, const mysql::Waker& cancel) : dump_(dump), load_(load), cancel_(cancel) {}

  std::expected<DumpScanner, std::string> run(const std::string& before, const DumpPipe::Seen& seen);

 private:
  std::expected<void, std::string> wait();
  void read(const DumpPipe::Seen& seen);
  void write();

  Child& dump_;
  Child& load_;
  const mysql::Waker& cancel_;
  DumpScanner scanner_;
  std::string buffer_;
  std::size_t sent_ = 0;  // of buffer_
  bool end_of_dump_ = false;
  bool loader_left_ = false;
  core::Instant last_move_{};
};

std::expected<void, std::string> Relay::wait() {
  const auto left = last_move_ + DumpPipe::longest_stall - mysql::boot_now();
  if (left <= core::Duration::zero()) {
    return std::unexpected(concat("no byte moved for ", core::to_ms(DumpPipe::longest_stall) / 1000,
                                  " s; a lock on the primary, or a server that hangs"));
  }
  const bool full = !buffer_.empty();
  std::array<pollfd, 5> fds{
      pollfd{cancel_.fd(), POLLIN, 0}, pollfd{full || end_of_dump_ ? -1 : dump_.data.get(), POLLIN, 0},
      pollfd{full ? load_.data.get() : -1, POLLOUT, 0}, pollfd{dump_.complaints.get(), POLLIN, 0},
      pollfd{load_.complaints.get(), POLLIN, 0}};
  if (::poll(fds.data(), fds.size(), static_cast<int>(core::to_ms(left) + 1)) < 0 && errno != EINTR) {
    return std::unexpected("poll: " + system_text(errno));
  }
  if (fds[0].revents != 0) return std::unexpected("given up");
  dump_.listen();
  load_.listen();
  // A loader that fails closes its end; its complaint says why.
  if ((fds[2].revents & (POLLERR | POLLHUP)) != 0) loader_left_ = true;
  return {};
}

void Relay::read(const DumpPipe::Seen& seen) {
  if (!buffer_.empty() || end_of_dump_) return;
  buffer_.resize(DumpPipe::buffer_bytes);
  const ssize_t n = ::recv(dump_.data.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  end_of_dump_ = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
  buffer_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  sent_ = 0;
  if (n <= 0) return;
  last_move_ = mysql::boot_now();
  scanner_.feed(buffer_);
  if (seen) seen(scanner_);
}

void Relay::write() {
  while (sent_ < buffer_.size()) {
    const ssize_t n = ::send(load_.data.get(), buffer_.data() + sent_, buffer_.size() - sent_, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) {
      loader_left_ = true;
      return;
    }
    sent_ += static_cast<std::size_t>(n);
    last_move_ = mysql::boot_now();
  }
  buffer_.clear();
  sent_ = 0;
}

std::expected<DumpScanner, std::string> Relay::run(const std::string& before, const DumpPipe::Seen& seen) {
  last_move_ = mysql::boot_now();
  buffer_ = before;
  while (!loader_left_ && !(end_of_dump_ && buffer_.empty())) {
    if (auto waited = wait(); !waited) return std::unexpected(waited.error());
    write();
    read(seen);
  }
  if (loader_left_) {
    dump_.kill();
    const std::string why = load_.wait();
    return std::unexpected(why.empty() ? "the loader ended before the dump" : why);
  }
  // Only a whole dump may end the loader's input well: at its end it executes what it has.
  if (const std::string why = dump_.wait(); !why.empty()) return std::unexpected(why);
  if (!scanner_.complete()) return std::unexpected("the dump ended without saying that it is complete");
  ::shutdown(load_.data.get(), SHUT_WR);
  // It has the last statements still to execute, and closes its end when it is done.
  while (load_.complaints) {
    if (auto waited = wait(); !waited) return std::unexpected(waited.error());
  }
  if (const std::string why = load_.wait(); !why.empty()) return std::unexpected(why);
  return scanner_;
}

}  // namespace

std::expected<DumpScanner, std::string> DumpPipe::run(const Order& order, const Seen& seen) {
  Child load;
  Child dump;
  const auto start = [](Child& child, const Program& program, Child::Data data) {
    return child.start({.argv = program.argv, .data = data, .options_fd = program.options->fd()});
  };
  if (auto started = start(load, order.load, Child::Data::child_reads); !started)
    return std::unexpected(started.error());
  if (auto started = start(dump, order.dump, Child::Data::child_writes); !started)
    return std::unexpected(started.error());
  return Relay(dump, load, cancel_).run(order.before, seen);
}

}  // namespace pointsman::setup
