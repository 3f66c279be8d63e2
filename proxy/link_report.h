#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string>

#include "health/core/frame.h"
#include "health/core/time.h"
#include "health/io/link_stats.h"

// What the links to the agents have done, for `status` and the metrics. Plain data of the control loop's
// thread; counters only grow. A link's state is the core's to say.
namespace pointsman::proxy {

// How evenly frames come over one link: what the heartbeat's times can be sized by.
class LinkPace {
 public:
  // A frame that counted as life. It is late when it comes more than `warntime` after the one before; a link
  // that was silent for `deadtime` was dead, and comes up with it.
  void on_frame(core::Instant now, core::Duration warntime, core::Duration deadtime) {
    if (last_) {
      const core::Duration gap = now - *last_;
      if (gap > warntime) ++late_;
      longest_gap_ = gap < deadtime ? std::max(longest_gap_, gap) : core::Duration::zero();
    }
    last_ = now;
  }

  std::uint64_t late() const { return late_; }
  // Between two frames, since the link came up.
  core::Duration longest_gap() const { return longest_gap_; }

 private:
  std::optional<core::Instant> last_;
  std::uint64_t late_ = 0;
  core::Duration longest_gap_{};
};

// How many of an agent's frames never counted, on all its links together: its numbers have gaps.
class LostFrames {
 public:
  // A frame may come so many numbers later than its successors: a serial line is slow.
  static constexpr std::uint32_t patience = 64;

  // A frame that counted. What a session sent before its first one that counted is not known.
  void on_frame(std::uint32_t seq, bool new_session) {
    if (new_session || !seen_) {
      highest_ = seq;
      seen_ = ~std::uint64_t{0};
    } else if (seq <= highest_) {
      if (highest_ - seq < patience) *seen_ |= std::uint64_t{1} << (highest_ - seq);
    } else {
      advance(seq - highest_);
      highest_ = seq;
    }
  }
  std::uint64_t count() const { return count_; }

 private:
  void advance(std::uint32_t by) {
    const std::uint32_t leaving = std::min(by, patience);
    const std::uint64_t gone = *seen_ >> (patience - leaving);
    count_ += by - static_cast<unsigned>(std::popcount(gone));
    *seen_ = (by < patience ? *seen_ << by : 0) | 1U;
  }

  std::uint32_t highest_ = 0;
  std::optional<std::uint64_t> seen_;  // bit i: the frame highest_ - i came; nullopt: none came yet
  std::uint64_t count_ = 0;
};

// One link to one agent.
struct LinkReport {
  struct Line {  // serial only
    std::string device;
    std::string words;  // its state
    io::LinkStats stats;
  };

  std::uint64_t sent = 0;  // frames; over UDP one for each address of the agent
  std::uint64_t received = 0;
  std::array<std::uint64_t, core::frame_refusals> refused{};
  std::uint64_t late = 0;
  core::Duration longest_gap{};
  std::string last_error{};  // "": none ever
  std::optional<Line> line{};
};

// The UDP port that all agents share, and what came from nobody known on either kind of link.
struct HeartbeatPortReport {
  bool bound = false;
  io::LinkStats stats{};
  std::uint64_t receive_drops = 0;  // by the kernel: its buffer was full
  std::array<std::array<std::uint64_t, core::frame_refusals>, core::link_kinds> unknown{};
};

}  // namespace pointsman::proxy
