#include "tests/testbed/serial_line.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/testbed/files.h"
#include "tests/testbed/pty.h"

namespace pointsman::testbed {

namespace {

using Clock = std::chrono::steady_clock;
using Nanos = std::chrono::nanoseconds;
using Side = SerialLine::Side;

constexpr unsigned bits_per_byte = 10;
constexpr std::size_t max_noise = std::size_t{1} << 20;
// The shortest sleep: at high speeds several bytes are handed over at a time.
constexpr Nanos tick = std::chrono::milliseconds(1);

std::size_t index(Side side) {
  return side == Side::a ? 0 : 1;
}

// One direction. Bytes of `wire` and `noise` leave one after another, each when its time on the wire is over.
struct Direction {
  std::deque<std::uint8_t> wire;
  std::deque<std::uint8_t> noise;
  bool cut = false;
  Clock::time_point byte_began{};  // when the byte that is on the wire now began; meaningless when idle
  SerialLine::Traffic traffic;

  bool idle() const { return wire.empty() && noise.empty(); }
};

timespec to_timespec(Nanos time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return {.tv_sec = static_cast<time_t>(seconds.count()),
          .tv_nsec = static_cast<long>((time - seconds).count())};
}

}  // namespace

class SerialLine::Relay {
 public:
  Relay(Options options, TempDirectory directory)
      : options_(std::move(options)), directory_(std::move(directory)) {}
  ~Relay() {
    thread_.request_stop();
    wake();
    if (thread_.joinable()) thread_.join();
    if (wakeup_ >= 0) ::close(wakeup_);
    std::error_code ignored;
    for (const Side side : {Side::a, Side::b}) std::filesystem::remove(device(side), ignored);
  }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  std::expected<void, std::string> start() {
    wakeup_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wakeup_ < 0)
      return std::unexpected("eventfd: " + std::error_code(errno, std::generic_category()).message());
    for (const Side side : {Side::a, Side::b}) {
      if (auto plugged = plug(side); !plugged) return plugged;
    }
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    return {};
  }

  std::filesystem::path device(Side side) const {
    return (options_.directory.empty() ? directory_.path() : options_.directory) /
           (side == Side::a ? "a" : "b");
  }
  unsigned baud() const { return options_.baud; }

  void set_cut(Side from, bool cut) {
    const std::scoped_lock lock(mutex_);
    directions_[index(from)].cut = cut;
  }

  bool inject(Side to, std::span<const std::uint8_t> bytes) {
    {
      const std::scoped_lock lock(mutex_);
      Direction& direction = directions_[1 - index(to)];
      if (direction.noise.size() + bytes.size() > max_noise) return false;
      if (direction.idle()) direction.byte_began = Clock::now();
      direction.noise.insert(direction.noise.end(), bytes.begin(), bytes.end());
    }
    wake();
    return true;
  }

  void unplug(Side side) {
    std::error_code ignored;
    std::filesystem::remove(device(side), ignored);
    const std::scoped_lock lock(mutex_);
    ends_[index(side)].reset();
    wake();
  }

  std::expected<void, std::string> plug(Side side) {
    auto pty = Pty::create();
    if (!pty) return std::unexpected(pty.error());
    const std::filesystem::path target = pty->device();
    {
      const std::scoped_lock lock(mutex_);
      ends_[index(side)] = std::move(*pty);
    }
    wake();
    return point_symlink(device(side), target);
  }

  Traffic traffic(Side from) const {
    const std::scoped_lock lock(mutex_);
    return directions_[index(from)].traffic;
  }

 private:
  Nanos byte_time() const { return Nanos(1'000'000'000LL * bits_per_byte / options_.baud); }

  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wakeup_, &one, sizeof one);
  }

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::array<pollfd, 3> polled{};
      std::optional<Nanos> sleep;
      {
        const std::scoped_lock lock(mutex_);
        const auto now = Clock::now();
        for (const std::size_t from : {0U, 1U}) {
          take(from, now);
          deliver(from, now);
          const Direction& direction = directions_[from];
          if (!direction.idle()) sleep = tick;
          // poll() with nothing to wait for, not even an end of the other side, where the buffer is full.
          const bool room = direction.wire.size() < options_.buffer;
          polled[from] = {.fd = ends_[from] && room ? ends_[from]->fd() : -1, .events = POLLIN, .revents = 0};
        }
      }
      if (sleep) sleep = std::max(*sleep, byte_time());
      polled[2] = {.fd = wakeup_, .events = POLLIN, .revents = 0};
      // While bytes are on the wire only time passes: new ones wait for the next turn, and do not make more
      // of them.
      const timespec time = to_timespec(sleep.value_or(Nanos(0)));
      ::ppoll(sleep ? polled.data() + 2 : polled.data(), sleep ? 1 : 3, sleep ? &time : nullptr, nullptr);
      std::uint64_t drained = 0;
      [[maybe_unused]] const ssize_t n = ::read(wakeup_, &drained, sizeof drained);
    }
  }

  // From the sender's device into the buffer.
  void take(std::size_t from, Clock::time_point now) {
    Direction& direction = directions_[from];
    if (!ends_[from] || direction.wire.size() >= options_.buffer) return;
    std::array<std::uint8_t, 4096> bytes{};
    const std::size_t room = std::min(options_.buffer - direction.wire.size(), bytes.size());
    const ssize_t n = ::read(ends_[from]->fd(), bytes.data(), room);
    if (n <= 0) return;
    if (direction.idle()) direction.byte_began = now;
    direction.wire.insert(direction.wire.end(), bytes.begin(), bytes.begin() + n);
    direction.traffic.sent += static_cast<std::uint64_t>(n);
  }

  // What has had its time on the wire, to the receiver's device.
  void deliver(std::size_t from, Clock::time_point now) {
    Direction& direction = directions_[from];
    std::array<std::uint8_t, 512> ready{};
    while (!direction.idle()) {
      std::size_t count = 0;
      std::size_t noise = 0;
      while (count < ready.size() && !direction.idle() && direction.byte_began + byte_time() <= now) {
        direction.byte_began += byte_time();
        if (!direction.noise.empty()) {
          ready[count++] = direction.noise.front();
          direction.noise.pop_front();
          ++noise;
          continue;
        }
        const std::uint8_t byte = direction.wire.front();
        direction.wire.pop_front();
        if (direction.cut) {
          ++direction.traffic.cut;
        } else {
          ready[count++] = byte;
        }
      }
      if (count > 0) hand_over(1 - from, direction.traffic, std::span(ready).first(count), noise);
      if (count < ready.size()) return;
    }
  }

  void hand_over(std::size_t to, Traffic& traffic, std::span<const std::uint8_t> bytes, std::size_t noise) {
    ssize_t n = ends_[to] ? ::write(ends_[to]->fd(), bytes.data(), bytes.size()) : 0;
    n = std::max<ssize_t>(n, 0);
    const std::size_t taken = static_cast<std::size_t>(n);
    const std::size_t taken_noise = std::min(taken, noise);  // noise comes first
    traffic.noise += taken_noise;
    traffic.delivered += taken - taken_noise;
    traffic.overrun += bytes.size() - taken;
  }

  const Options options_;
  const TempDirectory directory_;
  int wakeup_ = -1;
  mutable std::mutex mutex_;
  std::array<Direction, 2> directions_;     // by sender; under mutex_
  std::array<std::optional<Pty>, 2> ends_;  // under mutex_; nullopt: unplugged
  std::jthread thread_;
};

SerialLine::SerialLine(std::unique_ptr<Relay> relay) : relay_(std::move(relay)) {}
SerialLine::~SerialLine() = default;

std::expected<std::unique_ptr<SerialLine>, std::string> SerialLine::create(Options options) {
  if (options.baud == 0 || options.buffer == 0) return std::unexpected("a line needs a speed and a buffer");
  TempDirectory directory;
  if (options.directory.empty()) {
    auto made = TempDirectory::create("serial");
    if (!made) return std::unexpected(made.error());
    directory = std::move(*made);
  }
  auto relay = std::make_unique<Relay>(std::move(options), std::move(directory));
  if (auto started = relay->start(); !started) return std::unexpected(started.error());
  return std::unique_ptr<SerialLine>(new SerialLine(std::move(relay)));
}

std::filesystem::path SerialLine::device(Side side) const {
  return relay_->device(side);
}
unsigned SerialLine::baud() const {
  return relay_->baud();
}
void SerialLine::cut(Side from) {
  relay_->set_cut(from, true);
}
void SerialLine::mend(Side from) {
  relay_->set_cut(from, false);
}
void SerialLine::cut() {
  cut(Side::a);
  cut(Side::b);
}
void SerialLine::mend() {
  mend(Side::a);
  mend(Side::b);
}
bool SerialLine::inject(Side to, std::span<const std::uint8_t> noise) {
  return relay_->inject(to, noise);
}
void SerialLine::unplug(Side side) {
  relay_->unplug(side);
}
std::expected<void, std::string> SerialLine::plug(Side side) {
  return relay_->plug(side);
}
SerialLine::Traffic SerialLine::traffic(Side from) const {
  return relay_->traffic(from);
}

double line_load(std::uint64_t bytes, double seconds, unsigned baud) {
  return seconds <= 0 ? 0 : static_cast<double>(bytes) * bits_per_byte / (seconds * baud);
}

}  // namespace pointsman::testbed
