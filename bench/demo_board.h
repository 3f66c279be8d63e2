#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/demo_scene.h"
#include "bench/demo_view.h"
#include "bench/writer.h"

namespace pointsman::bench {

// Watches the writers and the daemon ten times a second on a thread of its own and shows what it sees,
// together with what the story tells it. The story's calls may come from any thread.
class Board {
 public:
  struct Options {
    std::string product;
    std::string address;
    std::string admin_socket;
    std::vector<ServerSight> servers;
    std::vector<std::string> chapters;
  };

  // `view` and `writers` outlive it.
  Board(View& view, std::vector<const Writer*> writers, Options options);
  ~Board();  // stop()
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  void begin(std::size_t chapter, const std::string& now);
  void note(std::size_t chapter, const std::string& text);
  void finish(std::size_t chapter, const std::string& result, bool well = true);
  void now(const std::string& text);   // what happens at this moment
  void mark(const std::string& text);  // at this place of the chart
  void set_pid(std::size_t server, int pid);
  // The story is over; `text` is printed above what is shown.
  void stay(const std::string& text);

  // Shows everything a last time.
  void stop();
  bool unicode() const { return view_.unicode(); }

 private:
  void watch(const std::stop_token& stop);
  void sample();
  void take_status(const nlohmann::json& status);
  double elapsed() const { return to_ms(Clock::now() - began_) / 1000; }

  View& view_;
  const std::vector<const Writer*> writers_;
  const std::string admin_socket_;
  const Moment began_ = Clock::now();
  std::mutex mutex_;
  std::condition_variable_any wake_;
  Scene scene_;
  std::jthread thread_;
};

// "follows db1, lag 3 ms", "probe 0.4 ms, 4 sessions": a line about one backend of the daemon's status. Pure.
std::string describe_backend(const nlohmann::json& backend);
// Its links that are not off. Pure.
std::vector<LinkSight> links_of(const nlohmann::json& backend);
// "udp alive, serial dead". Pure.
std::string describe_links(const std::vector<LinkSight>& links);

}  // namespace pointsman::bench
