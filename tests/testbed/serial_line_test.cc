#include "tests/testbed/serial_line.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

namespace pointsman::testbed {
namespace {

using Clock = std::chrono::steady_clock;
using Side = SerialLine::Side;

constexpr Millis plenty{20000};

// A program that has one of the devices open.
class Open {
 public:
  explicit Open(const std::filesystem::path& device)
      : fd_(::open(device.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) {
    EXPECT_GE(fd_, 0) << device;
  }
  ~Open() { ::close(fd_); }
  Open(const Open&) = delete;
  Open& operator=(const Open&) = delete;

  // How many bytes the device took.
  std::size_t send(const std::string& text) const {
    const ssize_t n = ::write(fd_, text.data(), text.size());
    return n < 0 ? 0 : static_cast<std::size_t>(n);
  }
  // Reads until there are `count` bytes.
  std::string receive(std::size_t count) const {
    std::string text;
    const auto deadline = Clock::now() + plenty;
    while (text.size() < count && Clock::now() < deadline) {
      pollfd item{.fd = fd_, .events = POLLIN, .revents = 0};
      ::poll(&item, 1, 100);
      std::string part(count - text.size(), '\0');
      const ssize_t n = ::read(fd_, part.data(), part.size());
      if (n > 0) text.append(part, 0, static_cast<std::size_t>(n));
    }
    return text;
  }
  // Waits for the hangup.
  bool ends() const {
    pollfd item{.fd = fd_, .events = POLLIN, .revents = 0};
    return ::poll(&item, 1, static_cast<int>(plenty.count())) == 1 && (item.revents & POLLHUP) != 0;
  }

 private:
  int fd_;
};

std::unique_ptr<SerialLine> must_make(SerialLine::Options options) {
  auto line = SerialLine::create(std::move(options));
  if (!line) ADD_FAILURE() << line.error();
  return line ? std::move(*line) : nullptr;
}

void wait_for(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + plenty;
  while (!condition()) {
    ASSERT_LT(Clock::now(), deadline);
    ::usleep(1000);
  }
}

// Bytes of every value go through unchanged, both ways at the same time.
TEST(SerialLine, CarriesEveryByteBothWays) {
  const auto line = must_make({.baud = 115200});
  const Open a(line->device(Side::a));
  const Open b(line->device(Side::b));
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(a.send(all), all.size());
  EXPECT_EQ(b.send(all + "!"), all.size() + 1);
  EXPECT_EQ(b.receive(all.size()), all);
  EXPECT_EQ(a.receive(all.size() + 1), all + "!");
  EXPECT_EQ(line->traffic(Side::a).delivered, all.size());
  EXPECT_EQ(line->traffic(Side::b).sent, all.size() + 1);
}

// A byte takes ten bits: nothing arrives sooner than the line allows, and on an idle machine not much later.
TEST(SerialLine, TakesTheTimeOfARealLine) {
  const auto line = must_make({.baud = 19200});
  const Open a(line->device(Side::a));
  const Open b(line->device(Side::b));
  const std::string text(192, 'x');
  const auto began = Clock::now();
  a.send(text);
  EXPECT_EQ(b.receive(text.size()), text);
  const auto took = Clock::now() - began;
  EXPECT_GE(took, Millis(100));
  EXPECT_LT(took, Millis(1000));
  EXPECT_NEAR(line_load(192, 0.1, 19200), 1.0, 0.001);
  EXPECT_NEAR(line_load(96, 0.1, 19200), 0.5, 0.001);
}

// One wire is cut, the other carries on; what was sent meanwhile is gone.
TEST(SerialLine, CutsOneWire) {
  const auto line = must_make({.baud = 115200});
  const Open a(line->device(Side::a));
  const Open b(line->device(Side::b));
  line->cut(Side::a);
  a.send("lost");
  b.send("seen");
  EXPECT_EQ(a.receive(4), "seen");
  wait_for([&] { return line->traffic(Side::a).cut == 4; });
  line->mend(Side::a);
  a.send("back");
  EXPECT_EQ(b.receive(4), "back");
  EXPECT_EQ(line->traffic(Side::a).sent, 8U);
  EXPECT_EQ(line->traffic(Side::a).delivered, 4U);
}

// Noise comes out where it was told to, even of a cut wire.
TEST(SerialLine, InjectsNoise) {
  const auto line = must_make({.baud = 115200});
  const Open b(line->device(Side::b));
  line->cut();
  const std::array<std::uint8_t, 3> noise{'n', 'o', 'i'};
  EXPECT_TRUE(line->inject(Side::b, noise));
  EXPECT_EQ(b.receive(3), "noi");
  EXPECT_EQ(line->traffic(Side::a).noise, 3U);
  EXPECT_FALSE(line->inject(Side::b, std::vector<std::uint8_t>((1U << 20U) + 1)));
}

// A sender that never stops is told by its device in the end: what waits is bounded.
TEST(SerialLine, BuffersABoundedAmount) {
  const auto line = must_make({.baud = 1200, .buffer = 100});
  const Open a(line->device(Side::a));
  std::size_t taken = 0;
  wait_for([&] {
    const std::size_t n = a.send(std::string(4096, 'x'));
    taken += n;
    return n == 0;
  });
  EXPECT_LT(taken, 1U << 20U);
}

// Pulled and plugged in again: who had it open sees the end, and the same path leads to the device that came
// back.
TEST(SerialLine, KeepsItsPathOverUnplugging) {
  const auto line = must_make({.baud = 115200});
  const auto path = line->device(Side::a);
  {
    const Open a(path);
    line->unplug(Side::a);
    EXPECT_TRUE(a.ends());
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  ASSERT_TRUE(line->plug(Side::a));
  const Open a(path);
  const Open b(line->device(Side::b));
  a.send("back");
  EXPECT_EQ(b.receive(4), "back");
}

// The folder of the caller's choice holds the devices, and is clean afterwards.
TEST(SerialLine, LivesInAGivenFolder) {
  const auto folder = TempDirectory::create("test");
  ASSERT_TRUE(folder);
  {
    const auto line = must_make({.directory = folder->path()});
    EXPECT_EQ(line->device(Side::b), folder->path() / "b");
    EXPECT_TRUE(std::filesystem::exists(folder->path() / "a"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder->path()));
}

}  // namespace
}  // namespace pointsman::testbed
