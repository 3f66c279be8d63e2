#include "health/io/serial_link.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "health/io/clock.h"
#include "health/io/system_text.h"

namespace pointsman::io {

namespace {

constexpr unsigned bits_per_byte = 10;  // start, 8 data, stop

struct Rate {
  unsigned baud;
  speed_t code;
};

constexpr std::array rates{
    Rate{1200, B1200},     Rate{2400, B2400},     Rate{4800, B4800},     Rate{9600, B9600},
    Rate{19200, B19200},   Rate{38400, B38400},   Rate{57600, B57600},   Rate{115200, B115200},
    Rate{230400, B230400}, Rate{460800, B460800}, Rate{921600, B921600},
};

// Raw 8N1, modem lines ignored, no flow control of either kind.
termios raw_8n1(termios mode, speed_t speed) {
  ::cfmakeraw(&mode);
  mode.c_iflag &= ~static_cast<tcflag_t>(IXON | IXOFF | IXANY | INPCK | IGNPAR);
  mode.c_iflag |= IGNBRK;  // a break is noise
  mode.c_cflag &= ~static_cast<tcflag_t>(CSTOPB | PARENB | CRTSCTS | HUPCL);
  mode.c_cflag |= CS8 | CLOCAL | CREAD;
  mode.c_cc[VMIN] = 1;  // with O_NONBLOCK: "nothing there" is EAGAIN, and 0 is a hangup
  mode.c_cc[VTIME] = 0;
  ::cfsetispeed(&mode, speed);
  ::cfsetospeed(&mode, speed);
  return mode;
}

// The reason, or nullopt when the line is ready.
std::optional<std::string> prepare(int fd, const Rate& rate) {
  termios mode{};
  if (::tcgetattr(fd, &mode) != 0) {
    return errno == ENOTTY || errno == EINVAL ? "not a serial line" : system_text(errno);
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? "in use by another process" : "cannot lock: " + system_text(errno);
  }
  const termios wanted = raw_8n1(mode, rate.code);
  if (::tcsetattr(fd, TCSANOW, &wanted) != 0) return "cannot set the line: " + system_text(errno);
  // tcsetattr() is content when it could do anything of what it was asked for.
  if (::tcgetattr(fd, &mode) != 0) return system_text(errno);
  if (::cfgetospeed(&mode) != rate.code) return "the device cannot do " + std::to_string(rate.baud) + " baud";
  if (::ioctl(fd, TIOCEXCL) != 0) return "cannot get it for this process alone: " + system_text(errno);
  ::tcflush(fd, TCIFLUSH);  // what came while nobody listened is old
  return std::nullopt;
}

// Bytes that the kernel has taken and the device has not sent. Pseudo-terminals say 0.
std::size_t queued_in_kernel(int fd) {
  int queued = 0;
  return ::ioctl(fd, TIOCOUTQ, &queued) == 0 && queued > 0 ? static_cast<std::size_t>(queued) : 0;
}

}  // namespace

const char* to_string(SerialLink::State state) {
  switch (state) {
    case SerialLink::State::down:
      return "down";
    case SerialLink::State::up:
      return "up";
    case SerialLink::State::blocked:
      return "blocked";
  }
  return "?";
}

std::span<const unsigned> serial_rates() {
  static constexpr auto list = [] {
    std::array<unsigned, rates.size()> bauds{};
    std::ranges::transform(rates, bauds.begin(), &Rate::baud);
    return bauds;
  }();
  return list;
}

std::expected<int, std::string> open_serial(const std::string& device, unsigned baud) {
  Descriptor opened(::open(device.c_str(), O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!opened) {
    return std::unexpected(device + ": " +
                           (errno == EBUSY ? "in use by another process" : system_text(errno)));
  }
  return adopt_serial(std::move(opened), device, baud);
}

std::expected<int, std::string> adopt_serial(Descriptor open, const std::string& device, unsigned baud) {
  const auto* rate = std::ranges::find(rates, baud, &Rate::baud);
  if (rate == rates.end()) {
    return std::unexpected(device + ": no serial line has " + std::to_string(baud) + " baud");
  }
  if (const auto fault = prepare(open.get(), *rate)) return std::unexpected(device + ": " + *fault);
  return open.release();
}

SerialLink::SerialLink(Loop& loop, std::string device, unsigned baud, Callbacks callbacks, Descriptor given)
    : loop_(loop),
      device_(std::move(device)),
      baud_(baud),
      callbacks_(std::make_shared<const Callbacks>(std::move(callbacks))),
      given_(std::move(given)),
      reopen_(loop, [this] { open(); }),
      line_free_(loop, [this] { line_may_be_free(); }),
      stuck_(loop,
             [this] {
               blocked_ = true;
               stats_.last_error = device_ + ": nothing could be written for 1 s";
               stats_.last_error_at = now();
               changed_.start_after(core::Duration::zero());
             }),
      changed_(loop, [shared = callbacks_] {
        if (shared->on_change) shared->on_change();
      }) {
  open();
}

SerialLink::~SerialLink() {
  if (fd_ < 0) return;
  if (!left_) {
    go_down("closed");
    return;
  }
  poll_.reset();  // libuv forgets the descriptor at once; only then may it be closed
  ::close(fd_);
}

void SerialLink::pause() {
  paused_ = true;
  if (poll_) uv_poll_stop(poll_.get());
  for (Timer* timer : {&reopen_, &line_free_, &stuck_}) timer->stop();
}

void SerialLink::resume() {
  if (!std::exchange(paused_, false)) return;
  // Where it stood is not known any more: from the beginning, as after a loss of the device.
  if (fd_ >= 0) return go_down(device_ + ": was another process's for a moment");
  reopen_.start_after(core::Duration::zero());
}

void SerialLink::open() {
  const auto opened = given_ ? adopt_serial(std::move(given_), device_, baud_) : open_serial(device_, baud_);
  if (!opened) return go_down(opened.error());
  fd_ = *opened;
  auto made = make_handle<uv_poll_t>(this, [&](uv_poll_t* h) { return uv_poll_init(loop_.raw(), h, fd_); });
  if (!made) return go_down(device_ + ": " + uv_strerror(made.error()));
  poll_ = std::move(*made);
  decoder_ = std::make_shared<core::CobsDecoder>();
  if (!watch(UV_READABLE)) return go_down(device_ + ": cannot be polled");
  if (std::exchange(was_open_, true)) ++stats_.reopened;
  changed_.start_after(core::Duration::zero());
}

void SerialLink::go_down(const std::string& why) {
  if (fd_ >= 0) {
    poll_.reset();  // libuv forgets the descriptor at once; only then may it be closed
    // close() would wait, up to half a minute, for a line that takes nothing.
    if (queued_in_kernel(fd_) > 0) ::tcflush(fd_, TCOFLUSH);
    ::ioctl(fd_, TIOCNXCL);  // a pseudo-terminal's other end keeps it alive, and with it this mark
    ::close(std::exchange(fd_, -1));
    changed_.start_after(core::Duration::zero());
  }
  stats_.last_error = why;
  stats_.last_error_at = now();
  stats_.dropped_late += (out_.empty() ? 0U : 1U) + (waiting_ ? 1U : 0U);
  decoder_.reset();
  out_.clear();
  waiting_.reset();
  queued_ = 0;
  blocked_ = false;
  line_free_.stop();
  stuck_.stop();
  reopen_.start_after(reopen_after);
}

bool SerialLink::watch(int events) {
  return uv_poll_start(poll_.get(), events, &SerialLink::on_poll) == 0;
}

SerialLink::State SerialLink::state() const {
  if (fd_ < 0) return State::down;
  return blocked_ ? State::blocked : State::up;
}

std::string SerialLink::words() const {
  switch (state()) {
    case State::down:
      return "down: " + stats_.last_error;
    case State::up:
      return "up";
    case State::blocked:
      return "blocked: " + device_ + ": nothing could be written for 1 s";
  }
  return "?";
}

core::Duration SerialLink::time_on_line(std::size_t bytes) const {
  return std::chrono::nanoseconds(std::int64_t{1'000'000'000} * bits_per_byte *
                                  static_cast<std::int64_t>(bytes) / baud_);
}

void SerialLink::send(std::span<const std::uint8_t> frame) {
  if (paused_) return;
  if (fd_ < 0 || frame.size() > max_frame) {
    ++stats_.dropped_late;
    return;
  }
  const bool in_flight = !out_.empty() && written_ > 0;
  if (in_flight || line_free_.active()) {
    if (waiting_) ++stats_.dropped_late;
    waiting_.emplace(frame.begin(), frame.end());
    return;
  }
  if (!out_.empty()) ++stats_.dropped_late;  // nothing of it has gone out: the newer one takes its place
  begin(frame, true);
}

void SerialLink::begin(std::span<const std::uint8_t> frame, bool delimit) {
  out_ = core::cobs_encode(frame, delimit);
  written_ = 0;
  pump();
}

void SerialLink::pump() {
  const ssize_t n = ::write(fd_, out_.data() + written_, out_.size() - written_);
  if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    return go_down(device_ + ": cannot write: " + system_text(errno));
  }
  if (n > 0) {
    written_ += static_cast<std::size_t>(n);
    stats_.bytes_out += static_cast<std::uint64_t>(n);
    progress();
  }
  if (written_ < out_.size()) {
    stuck();  // until the next byte goes
    if (!watch(UV_READABLE | UV_WRITABLE)) go_down(device_ + ": cannot be polled");
    return;
  }
  ++stats_.frames_out;
  queued_ = out_.size();
  line_free_.start_after(time_on_line(out_.size()));
  out_.clear();
  if (!watch(UV_READABLE)) go_down(device_ + ": cannot be polled");
}

void SerialLink::line_may_be_free() {
  const std::size_t queued = queued_in_kernel(fd_);
  if (queued > 0) {
    if (queued < queued_) {
      progress();
    } else {
      stuck();
    }
    queued_ = queued;
    line_free_.start_after(time_on_line(queued));
    return;
  }
  progress();
  if (!waiting_) return;
  const Bytes frame = std::move(*waiting_);
  waiting_.reset();
  begin(frame, false);
}

void SerialLink::progress() {
  stuck_.stop();
  if (!std::exchange(blocked_, false)) return;
  changed_.start_after(core::Duration::zero());
}

void SerialLink::stuck() {
  if (!blocked_ && !stuck_.active()) stuck_.start_after(blocked_after);
}

void SerialLink::on_poll(uv_poll_t* handle, int status, int events) {
  auto* self = static_cast<SerialLink*>(handle->data);
  if (self == nullptr) return;
  // libuv reports a hangup as an error, or as readable; reading tells which words fit.
  if (status < 0 || (events & UV_READABLE) != 0) self->receive();
  if (handle->data == nullptr) return;
  if (status < 0) return self->go_down(self->device_ + ": the device is gone");
  if ((events & UV_WRITABLE) != 0 && !self->out_.empty()) self->pump();
}

void SerialLink::receive() {
  std::array<std::uint8_t, max_read> bytes{};
  const ssize_t n = ::read(fd_, bytes.data(), bytes.size());
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (n < 0 && errno != EIO) return go_down(device_ + ": cannot read: " + system_text(errno));
  if (n <= 0) return go_down(device_ + ": the device is gone");
  stats_.bytes_in += static_cast<std::uint64_t>(n);

  const std::shared_ptr<const Callbacks> callbacks = callbacks_;
  const std::shared_ptr<core::CobsDecoder> decoder = decoder_;
  const uv_poll_t* alive = poll_.get();
  const core::CobsDecoder::Counters before = decoder->counters();
  decoder->feed(std::span(bytes).first(static_cast<std::size_t>(n)),
                [&](std::span<const std::uint8_t> frame) {
                  if (alive->data == nullptr) return;  // an earlier frame ended this link, or its line
                  ++stats_.frames_in;
                  callbacks->on_frame(frame);
                });
  if (alive->data == nullptr) return;
  stats_.noise += decoder->counters().malformed - before.malformed;
  stats_.oversized += decoder->counters().oversized - before.oversized;
  stats_.noise_bytes += decoder->counters().noise_bytes - before.noise_bytes;
}

}  // namespace pointsman::io
