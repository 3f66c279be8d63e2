#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "tests/sim/random.h"
#include "tests/sim/timeline.h"

namespace pointsman::sim {

// What a wire does to what is sent on it; in thousandths.
struct WireFaults {
  unsigned lost = 0;
  unsigned doubled = 0;
  unsigned damaged = 0;
  unsigned late = 0;  // by up to `latest`
  core::Duration latest{};
};

// One direction of one link between proxy and agent. Of kind serial it keeps the order, however late
// something is.
class Wire {
 public:
  using Deliver = std::function<void(const std::vector<std::uint8_t>&)>;

  Wire(Timeline& time, Random& random, core::Duration takes, bool in_order, Deliver deliver)
      : time_(&time), random_(&random), takes_(takes), in_order_(in_order), deliver_(std::move(deliver)) {}

  void send(std::vector<std::uint8_t> bytes) {
    if (cut_ || hits(faults_.lost)) return;
    if (hits(faults_.damaged)) damage(bytes);
    if (hits(faults_.doubled)) put(bytes);
    put(std::move(bytes));
  }
  void cut(bool on) { cut_ = on; }
  bool is_cut() const { return cut_; }
  void set(const WireFaults& faults) { faults_ = faults; }

 private:
  bool hits(unsigned thousandths) { return thousandths > 0 && random_->below(1000) < thousandths; }

  void put(std::vector<std::uint8_t> bytes) {
    core::Instant at = time_->now() + takes_ + takes_ * static_cast<std::int64_t>(random_->below(100)) / 500;
    if (hits(faults_.late)) at += faults_.latest * static_cast<std::int64_t>(random_->below(1000)) / 1000;
    if (in_order_) at = last_ = std::max(at, last_);
    // What is on its way when a line is cut is lost with it.
    time_->at(at, [this, bytes = std::move(bytes)] {
      if (!cut_) deliver_(bytes);
    });
  }

  void damage(std::vector<std::uint8_t>& bytes) {
    const std::uint64_t how = random_->below(3);
    if (how == 0) bytes.resize(random_->below(bytes.size()));
    if (how == 1) bytes.insert(bytes.begin(), static_cast<std::uint8_t>(random_->below(256)));
    if (how == 2) bytes[random_->below(bytes.size())] ^= static_cast<std::uint8_t>(1 + random_->below(255));
  }

  Timeline* time_;
  Random* random_;
  core::Duration takes_;
  bool in_order_;
  Deliver deliver_;
  bool cut_ = false;
  WireFaults faults_;
  core::Instant last_;
};

}  // namespace pointsman::sim
