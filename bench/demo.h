#pragma once

#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/demo_board.h"
#include "bench/gap.h"
#include "bench/stage.h"
#include "bench/stop_signal.h"

namespace pointsman::bench {

struct DemoOptions {
  testbed::Product product = testbed::Product::mariadb;
  double seconds = 25;  // about how long the show takes; the database servers' own times come on top
  unsigned clients = 4;
  bool stay = false;
  bool plain = false;
};

// The main job, shown: two servers with agents and both links, writers, the death of the primary, its return,
// a planned change back, a cut serial line, a primary that hangs. Tells the board what happens and measures
// it. One thread.
class Demo {
 public:
  Demo(DemoOptions options, StopSignal& stop, View& view) : options_(options), stop_(stop), view_(view) {}
  ~Demo();

  // Exit status: 0, 1 when a row is missing, 130 when it was interrupted. Error: what did not work.
  std::expected<int, std::string> run();

 private:
  using Outcome = std::expected<void, std::string>;
  static constexpr unsigned the_run = 1;  // all rows of the demo
  static constexpr std::chrono::seconds settle_timeout{60};
  enum Chapters : std::size_t { steady, crash, comeback, switchover, cut, hang, check };

  struct Measured {
    std::string what;  // "kill -9"
    std::string from;
    std::string to;
    double gap_ms = 0;
    nlohmann::json change;
  };

  Outcome set_up();
  Outcome tell();
  Outcome tell_steady();
  Outcome tell_crash();
  Outcome tell_comeback();
  Outcome tell_switchover();
  Outcome tell_cut();
  Outcome tell_hang();
  Outcome tell_check();
  Outcome stay();

  void pause(double share);  // of the whole show
  Outcome wait_for_commits(Moment after);
  Outcome wait_for_small_lag(std::size_t primary);
  Outcome wait_for_end(std::size_t server);
  Outcome start_again(std::size_t server);
  Outcome settle(std::size_t chapter, std::size_t returning);
  std::string links_text();
  std::expected<Measured, std::string> measure(std::size_t chapter, const char* what, std::size_t from,
                                               Moment event);
  std::string zoom(const std::vector<std::vector<Commit>>& commits, const Gap& gap) const;
  std::expected<std::string, std::string> hints() const;
  std::string summary() const;
  testbed::Server& server(std::size_t i) { return stage_->cluster().server(i); }
  const std::string& name(std::size_t i) { return server(i).name(); }

  DemoOptions options_;
  StopSignal& stop_;
  View& view_;
  testbed::TempDirectory directory_;
  std::unique_ptr<Stage> stage_;
  std::vector<std::unique_ptr<Writer>> writers_;
  std::unique_ptr<Board> board_;
  std::size_t primary_ = 0;
  std::vector<Measured> measured_;
  std::size_t acknowledged_ = 0;
  std::vector<std::size_t> missing_;  // of each server
};

// "fence 0.3, promote 6.8 = 7.4 ms": the steps of a change, as `pointsman events --json` gives them. Pure.
std::string describe_steps(const nlohmann::json& change);

}  // namespace pointsman::bench
