#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <uv.h>

#include "health/core/cobs.h"
#include "health/io/descriptor.h"
#include "health/io/handle.h"
#include "health/io/link_stats.h"
#include "health/io/loop.h"
#include "health/io/timer.h"

namespace pointsman::io {

// One serial line for heartbeats: raw, 8N1, without flow control, framed by COBS.
//
// Used on its loop's thread; a callback may destroy it. Nothing here waits, whatever the line does:
// * A device that is not there, is no serial line, belongs to another process or goes away makes the link
//   `down`, with the reason in stats().last_error; it is tried again every second.
// * The kernel's transmit buffer would hold seconds of heartbeats at serial speeds, and old heartbeats are
// what
//   nobody needs. So a frame is written only when the one before has left; at most one more waits, and a
//   newer one replaces it (dropped_late).
// * At most max_read bytes are taken in one iteration, so that a babbling device slows the loop and does not
//   stop it.
//
// The device is opened for this process alone: TIOCEXCL, and flock(), which root obeys too.
class SerialLink {
 public:
  static constexpr std::size_t max_read = 4096;  // bytes
  static constexpr core::Duration reopen_after = std::chrono::seconds(1);
  static constexpr core::Duration blocked_after = std::chrono::seconds(1);

  enum class State {
    down,  // no device
    up,
    blocked,  // open, but nothing could be written for blocked_after
  };

  struct Callbacks {
    // A frame's bytes, at most max_frame, good or bad; gone when the callback returns.
    std::function<void(std::span<const std::uint8_t> frame)> on_frame;
    // state() changed. Always called from the top of the loop, never from inside a call; two changes in one
    // iteration make one call. May be empty.
    std::function<void()> on_change;
  };

  // Opens the device at once; that it could not is no error, but the state `down`. `baud` is one of
  // serial_rates(). `given`: the device as another process had it open, which nobody else could open.
  SerialLink(Loop& loop, std::string device, unsigned baud, Callbacks callbacks, Descriptor given = {});
  ~SerialLink();
  SerialLink(const SerialLink&) = delete;
  SerialLink& operator=(const SerialLink&) = delete;

  // Sends the frame as soon as the line is free, unless a newer one comes first. At most max_frame bytes.
  void send(std::span<const std::uint8_t> frame);

  // Reads and writes nothing meanwhile: another process does, by the same opening of the device.
  void pause();
  void resume();
  // Paused for good: the device goes on as it is when this is destroyed.
  void leave() { left_ = true; }
  int fd() const { return fd_; }  // -1: down

  State state() const;
  // "up", "down: /dev/ttyS0: no such file or directory", "blocked: nothing could be written for 1 s".
  std::string words() const;
  const std::string& device() const { return device_; }
  unsigned baud() const { return baud_; }
  const LinkStats& stats() const { return stats_; }

 private:
  using Bytes = std::vector<std::uint8_t>;

  static void on_poll(uv_poll_t* handle, int status, int events);
  void open();
  void go_down(const std::string& why);
  bool watch(int events);
  void receive();
  // Puts `frame` on the line; `delimit`: with a zero in front, which ends whatever noise came while it was
  // idle.
  void begin(std::span<const std::uint8_t> frame, bool delimit);
  void pump();
  void line_may_be_free();
  void progress();
  void stuck();
  core::Duration time_on_line(std::size_t bytes) const;

  Loop& loop_;
  const std::string device_;
  const unsigned baud_;
  std::shared_ptr<const Callbacks> callbacks_;  // shared with a call that runs while this is destroyed
  int fd_ = -1;
  Handle<uv_poll_t> poll_;
  std::shared_ptr<core::CobsDecoder> decoder_;  // likewise; a new one for each opening

  Bytes out_;                     // the encoded frame that is being written; empty: none
  std::size_t written_ = 0;       // of out_
  std::optional<Bytes> waiting_;  // the frame after it
  std::size_t queued_ = 0;        // bytes that the kernel still had when we looked last
  bool blocked_ = false;
  bool was_open_ = false;
  bool paused_ = false;
  bool left_ = false;
  Descriptor given_;

  Timer reopen_;
  Timer line_free_;  // active while what was written is on its way
  Timer stuck_;      // active while nothing moves
  Timer changed_;
  LinkStats stats_;
};

const char* to_string(SerialLink::State state);

// All usual rates, 1200 to 921600 baud.
std::span<const unsigned> serial_rates();

// Opens `device` as a raw 8N1 line of this process alone. Error: a sentence that names the device. Used by
// SerialLink, and by tests that play its other end.
std::expected<int, std::string> open_serial(const std::string& device, unsigned baud);
// The same with one that is open already, by the process that gave it to us. Closed on an error.
std::expected<int, std::string> adopt_serial(Descriptor open, const std::string& device, unsigned baud);

}  // namespace pointsman::io
