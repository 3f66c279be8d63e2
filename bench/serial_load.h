#pragma once

#include <chrono>
#include <expected>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/stage.h"

// How much of a serial line heartbeats take, counted on the line.
namespace pointsman::bench {

struct SerialLoadOptions {
  testbed::Product product = testbed::Product::mariadb;
  std::chrono::seconds time{10};  // of each phase
  unsigned clients = 4;           // writers in the second phase
  std::filesystem::path work_directory{};
};

// One direction of one line in one phase.
struct LineLoad {
  std::string line;      // "db1 -> proxy"
  bool writing = false;  // or idle
  double bytes_per_second = 0;
  double frames_per_second = 0;
  double share = 0;  // of the direction's capacity; 1: full
};

inline constexpr double highest_line_load = 0.6;

std::expected<std::vector<LineLoad>, std::string> measure_serial_load(
    const SerialLoadOptions& options, const Setup& setup, const std::function<bool()>& stop,
    const std::function<void(const std::string&)>& progress);

std::string serial_load_text(const Setup& setup, const std::vector<LineLoad>& loads);
nlohmann::json to_json(const LineLoad& load);

}  // namespace pointsman::bench
