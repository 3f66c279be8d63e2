#include "health/io/serial_link.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "tests/io/loop_until.h"
#include "tests/testbed/files.h"
#include "tests/testbed/pty.h"
#include "tests/testbed/serial_line.h"

namespace pointsman::io {
namespace {

using namespace std::chrono_literals;
using testbed::Pty;
using testbed::SerialLine;
using Bytes = std::vector<std::uint8_t>;
using State = SerialLink::State;

constexpr unsigned fastest = 921600;

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

// Bytes as a device that has lost its senses sends them, the same in every run.
Bytes random_bytes(std::size_t count) {
  std::minstd_rand random(7);
  Bytes bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random() >> 8U);
  return bytes;
}

struct Seen {
  std::vector<Bytes> frames;
  int changes = 0;

  SerialLink::Callbacks callbacks() {
    return {.on_frame = [this](std::span<const std::uint8_t> f) { frames.emplace_back(f.begin(), f.end()); },
            .on_change = [this] { ++changes; }};
  }
};

Pty must_pty() {
  auto pty = Pty::create();
  if (!pty) ADD_FAILURE() << pty.error();
  return pty ? std::move(*pty) : Pty();
}

void put(const Pty& pty, const Bytes& bytes) {
  ASSERT_EQ(write(pty.fd(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
}

// All that has come out at the far end, decoded; bytes come and go as the loop runs.
class FarEnd {
 public:
  explicit FarEnd(const Pty& pty) : pty_(&pty) {}
  const std::vector<Bytes>& frames() {
    Bytes bytes(65536);
    for (ssize_t n = 0; (n = read(pty_->fd(), bytes.data(), bytes.size())) > 0;) {
      decoder_.feed(std::span(bytes).first(static_cast<std::size_t>(n)),
                    [this](std::span<const std::uint8_t> f) { frames_.emplace_back(f.begin(), f.end()); });
    }
    return frames_;
  }

 private:
  const Pty* pty_;
  core::CobsDecoder decoder_;
  std::vector<Bytes> frames_;
};

// Two hosts and a cable at Heartbeat's usual speed: every frame arrives, and nothing else.
TEST(SerialLink, CarriesFramesBothWays) {
  auto line = SerialLine::create();
  ASSERT_TRUE(line) << line.error();
  Loop loop;
  Seen a_seen;
  Seen b_seen;
  SerialLink a(loop, (*line)->device(SerialLine::Side::a), 19200, a_seen.callbacks());
  SerialLink b(loop, (*line)->device(SerialLine::Side::b), 19200, b_seen.callbacks());
  ASSERT_EQ(a.state(), State::up) << a.words();
  const Bytes with_zeros{0, 0, 1, 0};
  const Bytes longest = random_bytes(core::max_frame);
  a.send(with_zeros);
  b.send(bytes_of("from b"));
  run_until(loop, [&] { return a_seen.frames.size() == 1 && b_seen.frames.size() == 1; });
  a.send(longest);
  run_until(loop, [&] { return b_seen.frames.size() == 2; });
  EXPECT_EQ(b_seen.frames.at(0), with_zeros);
  EXPECT_EQ(b_seen.frames.at(1), longest);
  EXPECT_EQ(a_seen.frames.at(0), bytes_of("from b"));
  EXPECT_EQ(a.stats().frames_out, 2U);
  EXPECT_EQ(b.stats().frames_in, 2U);
  EXPECT_EQ(b.stats().noise, 0U);
  EXPECT_EQ(b.stats().bytes_in, a.stats().bytes_out);
  EXPECT_EQ(a.stats().dropped_late, 0U);
}

// At start there is no device; it is made later.
TEST(SerialLink, WaitsForADeviceThatIsNotThere) {
  const auto folder = testbed::TempDirectory::create("serial");
  ASSERT_TRUE(folder);
  const auto device = folder->path() / "ttyS9";
  Loop loop;
  Seen seen;
  SerialLink link(loop, device, 19200, seen.callbacks());
  EXPECT_EQ(link.state(), State::down);
  EXPECT_EQ(link.words(), "down: " + device.string() + ": No such file or directory");
  link.send(bytes_of("nobody will see this"));
  EXPECT_EQ(link.stats().dropped_late, 1U);
  const Pty pty = must_pty();
  ASSERT_TRUE(testbed::point_symlink(device, pty.device()));
  run_until(loop, [&] { return link.state() == State::up; });
  run_until(loop, [&] { return seen.changes == 1; });
  EXPECT_EQ(link.stats().reopened, 0U);
  link.send(bytes_of("hello"));
  FarEnd far(pty);
  run_until(loop, [&] { return !far.frames().empty(); });
  EXPECT_EQ(far.frames().at(0), bytes_of("hello"));
}

// The adapter is pulled out while a frame is half received, and comes back as another device under its old
// name.
TEST(SerialLink, SurvivesADeviceThatGoesAndReturns) {
  const auto folder = testbed::TempDirectory::create("serial");
  ASSERT_TRUE(folder);
  const auto device = folder->path() / "ttyUSB0";
  Loop loop;
  Seen seen;
  auto first = std::make_unique<Pty>(must_pty());
  ASSERT_TRUE(testbed::point_symlink(device, first->device()));
  SerialLink link(loop, device, 19200, seen.callbacks());
  ASSERT_EQ(link.state(), State::up) << link.words();
  put(*first, {7, 'h', 'a', 'l', 'f'});
  run_until(loop, [&] { return link.stats().bytes_in == 5; });
  first.reset();
  run_until(loop, [&] { return link.state() == State::down; });
  EXPECT_EQ(link.words(), "down: " + device.string() + ": the device is gone");

  const Pty second = must_pty();
  ASSERT_TRUE(testbed::point_symlink(device, second.device()));
  run_until(loop, [&] { return link.state() == State::up; });
  EXPECT_EQ(link.stats().reopened, 1U);
  put(second, core::cobs_encode(bytes_of("whole")));
  run_until(loop, [&] { return !seen.frames.empty(); });
  EXPECT_EQ(seen.frames.at(0), bytes_of("whole"));
  EXPECT_GE(seen.changes, 2);
}

// The device goes while this side writes and the loop has not heard of it.
TEST(SerialLink, SurvivesWritingToADeviceThatIsGone) {
  Loop loop;
  Seen seen;
  auto pty = std::make_unique<Pty>(must_pty());
  SerialLink link(loop, pty->device(), 19200, seen.callbacks());
  ASSERT_EQ(link.state(), State::up) << link.words();
  pty.reset();
  link.send(bytes_of("x"));
  EXPECT_EQ(link.state(), State::down);
  EXPECT_TRUE(link.stats().last_error.contains("cannot write")) << link.stats().last_error;
}

// Nobody reads at the far end, and frames are sent at ten times what the line carries. No send waits, the
// newest replace the older ones, the link says that it is blocked; and when the reader is back, the newest
// frame comes.
TEST(SerialLink, NeverWaitsForALineThatNobodyReads) {
  Loop loop;
  Seen seen;
  const Pty pty = must_pty();
  SerialLink link(loop, pty.device(), fastest, seen.callbacks());
  ASSERT_EQ(link.state(), State::up) << link.words();
  unsigned sent = 0;
  core::Duration longest_send{};
  Timer feeder(loop, [&] {
    for (int i = 0; i < 10; ++i) {
      Bytes frame(100, 'x');
      ++sent;
      std::copy_n(reinterpret_cast<const std::uint8_t*>(&sent), sizeof sent, frame.begin());
      const auto before = now();
      link.send(frame);
      longest_send = std::max(longest_send, now() - before);
    }
  });
  Pulse pulse(loop);
  feeder.start_every(1ms);
  run_until(loop, [&] { return link.state() == State::blocked; });
  run_until(loop, [&] { return seen.changes == 2; });  // up, blocked
  feeder.stop();
  EXPECT_EQ(link.words(), "blocked: " + pty.device().string() + ": nothing could be written for 1 s");
  EXPECT_GT(link.stats().dropped_late, 1000U);
  EXPECT_LT(longest_send, responsive);
  EXPECT_LT(pulse.worst(), responsive);

  const Bytes newest = bytes_of("newest");
  link.send(newest);
  FarEnd far(pty);
  run_until(loop, [&] { return !far.frames().empty() && far.frames().back() == newest; });
  EXPECT_EQ(link.state(), State::up);
  run_until(loop, [&] { return seen.changes == 3; });
  EXPECT_EQ(link.stats().frames_out, far.frames().size());
  EXPECT_EQ(link.stats().frames_out + link.stats().dropped_late, sent + 1U);
}

// The cable is slower than the frames come: what arrives is never older than what two frames take, as the
// kernel's buffer is not allowed to fill.
TEST(SerialLink, SendsTheNewestAndKeepsNoBacklog) {
  Loop loop;
  Seen seen;
  const Pty pty = must_pty();
  SerialLink link(loop, pty.device(), 9600, seen.callbacks());
  for (std::uint8_t i = 1; i <= 20; ++i) link.send(Bytes(100, i));
  FarEnd far(pty);
  run_until(loop, [&] { return far.frames().size() == 2; });
  EXPECT_EQ(far.frames().at(0), Bytes(100, 1));
  EXPECT_EQ(far.frames().at(1), Bytes(100, 20));
  EXPECT_EQ(link.stats().dropped_late, 18U);
}

// Noise while the line is idle costs nothing, noise inside a frame costs that frame: the next ones are read.
TEST(SerialLink, ResynchronisesAfterNoise) {
  auto line = SerialLine::create({.baud = fastest});
  ASSERT_TRUE(line) << line.error();
  Loop loop;
  Seen a_seen;
  Seen b_seen;
  SerialLink a(loop, (*line)->device(SerialLine::Side::a), fastest, a_seen.callbacks());
  SerialLink b(loop, (*line)->device(SerialLine::Side::b), fastest, b_seen.callbacks());
  const Bytes noise = bytes_of("~~~");
  ASSERT_TRUE((*line)->inject(SerialLine::Side::b, noise));
  run_until(loop, [&] { return b.stats().bytes_in == noise.size(); });
  a.send(bytes_of("after noise"));
  run_until(loop, [&] { return !b_seen.frames.empty(); });
  EXPECT_EQ(b_seen.frames.back(), bytes_of("after noise"));
  EXPECT_EQ(b.stats().noise, 1U);

  const Bytes broken{5, 'a', 'b', 0, 9, 'c', 0};  // two frames that end too early
  ASSERT_TRUE((*line)->inject(SerialLine::Side::b, broken));
  run_until(loop, [&] { return b.stats().noise == 3; });
  a.send(bytes_of("again"));
  run_until(loop, [&] { return b_seen.frames.size() == 2; });
  EXPECT_EQ(b_seen.frames.back(), bytes_of("again"));
}

// Thousands of bytes without a delimiter, from a device of the wrong speed: counted once, never kept.
TEST(SerialLink, DropsWhatIsLongerThanAFrame) {
  Loop loop;
  Seen seen;
  const Pty pty = must_pty();
  SerialLink link(loop, pty.device(), 19200, seen.callbacks());
  put(pty, Bytes(3000, 'x'));
  put(pty, {0});
  put(pty, core::cobs_encode(bytes_of("fine")));
  run_until(loop, [&] { return !seen.frames.empty(); });
  EXPECT_EQ(seen.frames.at(0), bytes_of("fine"));
  EXPECT_EQ(link.stats().oversized, 1U);
  EXPECT_EQ(link.stats().bytes_in, 3000U + 1 + 6);
  link.send(Bytes(core::max_frame + 1, 'x'));
  EXPECT_EQ(link.stats().dropped_late, 1U);
  EXPECT_EQ(link.stats().bytes_out, 0U);
}

// The device babbles as fast as the kernel can carry it. A timer of the same loop goes on firing, and frames
// go out.
TEST(SerialLink, LoopStaysResponsiveWhenTheDeviceBabbles) {
  Loop loop;
  Seen seen;
  const Pty pty = must_pty();
  SerialLink link(loop, pty.device(), 19200, seen.callbacks());
  std::atomic<bool> stop = false;
  const std::jthread babbler([&] {
    const Bytes noise = random_bytes(16384);
    pollfd item{.fd = pty.fd(), .events = POLLOUT, .revents = 0};
    while (!stop) {
      if (write(pty.fd(), noise.data(), noise.size()) <= 0) poll(&item, 1, 100);
    }
  });
  Pulse pulse(loop);
  run_until(loop, [&] { return pulse.beats() == 50; });
  link.send(bytes_of("still here"));
  run_until(loop, [&] { return pulse.beats() == 100 && link.stats().frames_out == 1; });
  stop = true;
  EXPECT_LT(pulse.worst(), responsive);
  EXPECT_GT(link.stats().bytes_in, 100'000U);
  EXPECT_GT(link.stats().noise + link.stats().oversized, 100U);
  EXPECT_EQ(link.state(), State::up);
  RecordProperty("worst_delay_us", std::to_string(pulse.worst().count() / 1000));
  RecordProperty("bytes_in", std::to_string(link.stats().bytes_in));
}

// Two programs on one line would each take a part of the other's frames.
TEST(SerialLink, HasTheDeviceForItself) {
  Loop loop;
  Seen seen;
  const Pty pty = must_pty();
  auto first = std::make_unique<SerialLink>(loop, pty.device(), 19200, seen.callbacks());
  ASSERT_EQ(first->state(), State::up) << first->words();
  SerialLink second(loop, pty.device(), 19200, seen.callbacks());
  EXPECT_EQ(second.words(), "down: " + pty.device().string() + ": in use by another process");
  first.reset();
  run_until(loop, [&] { return second.state() == State::up; });
}

// A path that names something else is said to do so, and is not read.
TEST(SerialLink, RefusesWhatIsNoSerialLine) {
  const auto folder = testbed::TempDirectory::create("serial");
  ASSERT_TRUE(folder);
  const std::string file = folder->path() / "file";
  std::ofstream(file) << "x";
  const std::string fifo = folder->path() / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string& path : {std::string("/dev/null"), file, fifo}) {
    EXPECT_EQ(open_serial(path, 19200).error(), path + ": not a serial line");
  }
  EXPECT_EQ(open_serial(folder->path(), 19200).error(), folder->path().string() + ": Is a directory");
  EXPECT_EQ(open_serial("/dev/null", 12345).error(), "/dev/null: no serial line has 12345 baud");
}

// At every rate the line is raw, 8N1 and at that rate.
TEST(SerialLink, SetsTheLine) {
  const Pty pty = must_pty();
  const std::vector<speed_t> codes{B1200,  B2400,   B4800,   B9600,   B19200, B38400,
                                   B57600, B115200, B230400, B460800, B921600};
  ASSERT_EQ(serial_rates().size(), codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto fd = open_serial(pty.device(), serial_rates()[i]);
    ASSERT_TRUE(fd) << fd.error();
    termios mode{};
    ASSERT_EQ(tcgetattr(*fd, &mode), 0);
    EXPECT_EQ(cfgetospeed(&mode), codes[i]);
    EXPECT_EQ(mode.c_cflag & (CSIZE | CSTOPB | PARENB | CLOCAL | CREAD | CRTSCTS),
              static_cast<tcflag_t>(CS8 | CLOCAL | CREAD));
    EXPECT_EQ(mode.c_lflag & (ICANON | ECHO | ISIG), 0U);
    EXPECT_EQ(mode.c_iflag & (IXON | IXOFF | ICRNL | ISTRIP), 0U);
    EXPECT_EQ(mode.c_oflag & OPOST, 0U);
    close(*fd);
  }
}

// Destroyed in each of its callbacks; the rest of what was read with the first frame goes nowhere.
TEST(SerialLink, MayBeDestroyedInItsCallbacks) {
  Loop loop;
  int called = 0;
  std::unique_ptr<SerialLink> link;
  const auto destroy = [&, big = std::string(200, 'x')] {
    ++called;
    link.reset();
    EXPECT_EQ(big.size(), 200U);  // the closure lives on
  };
  const Pty pty = must_pty();
  link = std::make_unique<SerialLink>(
      loop, pty.device(), 19200,
      SerialLink::Callbacks{.on_frame = [destroy](std::span<const std::uint8_t>) { destroy(); },
                            .on_change = {}});
  for (int i = 0; i < 3; ++i) put(pty, core::cobs_encode(bytes_of("x")));
  run_until(loop, [&] { return called == 1; });
  link = std::make_unique<SerialLink>(
      loop, pty.device(), 19200,
      SerialLink::Callbacks{.on_frame = {}, .on_change = [destroy] { destroy(); }});
  run_until(loop, [&] { return called == 2; });
}

}  // namespace
}  // namespace pointsman::io
