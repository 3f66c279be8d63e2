#pragma once

#include <algorithm>
#include <array>
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
