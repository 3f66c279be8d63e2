#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/gap.h"
#include "bench/stage.h"

// Whether a loaded machine is taken for a dead one: a whole installation that is well, all cores busy, and
// nobody may be declared anything else than up.
namespace pointsman::bench {

struct FalseDeathOptions {
  testbed::Product product = testbed::Product::mariadb;
  std::chrono::seconds time{600};
  bool load = true;
  bool flood = false;    // of datagrams on the daemon's heartbeat port, as fast as one thread sends
  unsigned threads = 0;  // that do nothing but compute; 0: one a core
  unsigned clients = 0;  // writers through the proxy beside them
  Wishes wishes{};       // on top of setup_for_heartbeats(fast_times)
  std::filesystem::path work_directory{};
};

// What the frames of one link did, seen by asking the daemon for status many times a second: when did the
// last one come, and how many were there. Pure.
class LinkWatch {
 public:
  explicit LinkWatch(Span late_after) : late_after_(late_after) {}

  // At `now` the daemon had counted `received` frames, the last one `age` ago.
  void see(Moment now, std::uint64_t received, Span age);

  std::uint64_t frames() const { return frames_; }
  std::uint64_t late() const { return late_; }  // came more than late_after after the one before
  const std::vector<double>& gaps_ms() const { return gaps_ms_; }
  double longest_ms() const { return longest_ms_; }

 private:
  Span late_after_;
  std::optional<Moment> last_;  // when the last frame came
  std::uint64_t received_ = 0;
  std::uint64_t frames_ = 0;
  std::uint64_t late_ = 0;
  double longest_ms_ = 0;
  std::vector<double> gaps_ms_;  // between two frames of which no other came between
};

struct FalseDeathResult {
  double watched_s = 0;
  std::uint64_t polls = 0;
  std::vector<double> polls_ms{};  // how long the daemon took to answer
  std::uint64_t flooded = 0;       // datagrams that were sent
  std::uint64_t refused = 0;       // frames that the daemon read and refused, as it said last
  double longest_poll_ms = 0;      // between two answers of the daemon; shorter gaps than this may be missed
  std::map<std::string, LinkWatch> links;  // "db1 udp"
  std::vector<nlohmann::json> verdicts;    // the daemon's events of these kinds, from begin to end
  std::vector<nlohmann::json> link_changes;
  std::vector<nlohmann::json> failovers;
  std::map<std::string, std::size_t> leases_lost;  // of each agent: how often it stopped the writes
  double longest_pause_ms = 0;                     // with writers: without a commit of any of them
  std::string error;                               // "": ran to its end
};

// One thread. `stop`: true to end at once.
FalseDeathResult watch_for_false_death(const FalseDeathOptions& options, const Setup& setup,
                                       const std::function<bool()>& stop,
                                       const std::function<void(const std::string&)>& progress);

std::string false_death_text(const FalseDeathOptions& options, const Setup& setup,
                             const FalseDeathResult& result);
nlohmann::json to_json(const FalseDeathResult& result);

// "": nobody was taken for what he was not.
std::string why_false_death(const FalseDeathResult& result);

}  // namespace pointsman::bench
