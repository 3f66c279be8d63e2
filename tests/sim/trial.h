#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/random.h"
#include "tests/sim/world.h"

namespace pointsman::sim {

// What was done to one world, by its seed alone, and what came of it: faults, then all of them are healed,
// and the world must serve again.
class Trial {
 public:
  enum class Kind { without_agents, with_agents };

  Trial(Kind kind, std::uint64_t seed, bool story);

  void run();

  const World& world() const { return world_; }
  std::vector<std::string> problems;  // what must not be; empty: all is well
  bool served_by_itself = false;
  std::string needed;  // why an operator was needed

 private:
  std::uint64_t pause();
  std::size_t any() { return random_.below(world_.size()); }
  void do_harm();
  void do_harm_to_hosts();
  void harm_server(std::size_t i);
  void harm_links(std::size_t i);
  void harm_agent(std::size_t i);
  void harm_daemon();
  void spoil(std::size_t i);
  void operate(std::size_t i);
  void heal();
  bool serves() const;
  void act_as_operator();
  void check_loss();
  std::string describe() const;

  Kind kind_;
  World world_;
  Random random_;
  bool forced_ = false;
};

}  // namespace pointsman::sim
