#pragma once

#include <expected>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "bench/chaos_disk.h"
#include "bench/chaos_keeper.h"
#include "bench/chaos_plan.h"
#include "bench/chaos_witness.h"
#include "bench/stage.h"

namespace pointsman::bench {

// What happened, for who has to understand it afterwards.
struct ChaosMoment {
  Moment at;
  std::string what;
};

// Does to an installation what a plan says, and undoes it. One thread.
class Nemesis {
 public:
  using Outcome = std::expected<void, std::string>;

  Nemesis(Stage& stage, SmallDisk& disk);

  // All faults of a round, each for its time; returns when the last one is over. Then nothing is cut, frozen,
  // full or dead that was so by it, and what else died meanwhile is being started. Error: of the test's own
  // means, not of what is tested.
  Outcome strike(const RoundPlan& plan, std::size_t primary);
  // What happened since the last call, in no order.
  std::vector<ChaosMoment> take_story();

 private:
  Outcome begin(const Fault& fault, std::size_t db);
  Outcome end(const Fault& fault, std::size_t db);
  Outcome revive();
  void order_switchover();
  void tell(const std::string& what) { story_.push_back({Clock::now(), what}); }

  Stage& stage_;
  SmallDisk& disk_;
  std::vector<std::unique_ptr<Keeper>> keepers_;
  std::vector<ChaosMoment> story_;
  std::future<std::string> command_;  // a switchover; its answer
};

}  // namespace pointsman::bench
