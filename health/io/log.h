#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <expected>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "conf/config.h"

namespace spdlog {
class logger;
namespace details {
class thread_pool;
}
}  // namespace spdlog

namespace pointsman::io {

class LogSink;

// The value of one field. Owns its text, so that fields can be collected before they are written.
class LogValue {
 public:
  LogValue(std::string_view text) : value_(std::string(text)) {}
  LogValue(const char* text) : value_(std::string(text == nullptr ? "" : text)) {}
  LogValue(std::string text) : value_(std::move(text)) {}
  LogValue(bool value) : value_(value) {}
  LogValue(double value) : value_(value) {}
  template <std::signed_integral T>
  LogValue(T value) : value_(std::int64_t{value}) {}
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  LogValue(T value) : value_(std::uint64_t{value}) {}

  void append_text(
      std::string& out) const;  // bare where that is unambiguous, else in double quotes with escapes
  void append_json(std::string& out) const;

 private:
  std::variant<std::string, std::int64_t, std::uint64_t, double, bool> value_;
};

struct LogField {
  std::string_view key;  // a literal: [a-z_]+, and none of time, level, event
  LogValue value;
};

// The log of a daemon or an agent: one line an event, as `TIME LEVEL EVENT key=value ...` or as one JSON
// object.
//
//   log.info("verdict", {{"backend", "dbserv1"}, {"epoch", 4}, {"verdict", "crashed"}, {"why", why}});
//   2026-01-02T03:04:05.678Z info    verdict backend=dbserv1 epoch=4 verdict=crashed why="refused twice"
//
// Handed to each object by reference; usable from every thread. A call never blocks on the file or the
// terminal and never throws: lines go through a queue of `queue_limit` lines to one writing thread, and when
// that cannot keep up (a full pipe, a stalled disk) the oldest are dropped and counted. `error` is for what a
// person must act on.
class Log {
 public:
  using Fields = std::initializer_list<LogField>;

  static constexpr std::size_t queue_limit = 8192;  // lines
  static constexpr std::size_t line_limit = 65536;  // bytes; a longer line is cut

  // Error: the file cannot be opened; says which and why.
  static std::expected<std::unique_ptr<Log>, std::string> open(const conf::Log& options);
  // Writes what is queued, but waits no more for a reader that does not take it.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void write(conf::LogLevel level, std::string_view event, std::span<const LogField> fields) noexcept;

  void trace(std::string_view event, Fields fields = {}) noexcept {
    write(conf::LogLevel::trace, event, fields);
  }
  void debug(std::string_view event, Fields fields = {}) noexcept {
    write(conf::LogLevel::debug, event, fields);
  }
  void info(std::string_view event, Fields fields = {}) noexcept {
    write(conf::LogLevel::info, event, fields);
  }
  void warn(std::string_view event, Fields fields = {}) noexcept {
    write(conf::LogLevel::warn, event, fields);
  }
  void error(std::string_view event, Fields fields = {}) noexcept {
    write(conf::LogLevel::error, event, fields);
  }

  // Saves the making of expensive fields.
  bool enabled(conf::LogLevel level) const noexcept;
  void set_level(conf::LogLevel level) noexcept;
  // The file was renamed by a log rotation: the next line opens it anew. Nothing to do on standard error.
  void reopen() noexcept;

  std::uint64_t dropped_total() const noexcept;  // lines lost to a full queue or a failed write

 private:
  Log(const conf::Log& options, std::shared_ptr<LogSink> sink);

  const conf::LogFormat format_;
  std::shared_ptr<LogSink> sink_;
  std::shared_ptr<spdlog::details::thread_pool> writer_;
  std::shared_ptr<spdlog::logger> logger_;
  std::atomic<std::uint64_t> failed_total_{0};
};

}  // namespace pointsman::io
