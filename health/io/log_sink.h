#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <string>

#include <spdlog/sinks/base_sink.h>

namespace pointsman::io {

// Writes formatted lines to a file or to standard error. Unlike spdlog's own sinks it does not wait for ever
// for a pipe whose reader has stopped, survives a closed one, and can open its file anew after a rotation.
// Used by the log's writing thread; the three public functions by any.
class LogSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // `file` empty: standard error. Error: what was tried and what the system said.
  static std::expected<std::shared_ptr<LogSink>, std::string> open(const std::string& file);
  LogSink(std::string file, int fd);
  ~LogSink() override;

  void reopen() { reopen_ = true; }
  void stop_waiting() { patient_ = false; }  // from now on a pipe that takes nothing costs its lines at once
  std::uint64_t dropped_total() const { return dropped_total_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}
  void open_anew();

  const std::string file_;
  int fd_;  // 2 is never closed
  std::atomic<bool> reopen_{false};
  std::atomic<bool> patient_{true};
  std::atomic<std::uint64_t> dropped_total_{0};
};

}  // namespace pointsman::io
