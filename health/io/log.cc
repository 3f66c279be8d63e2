#include "health/io/log.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <csignal>
#include <utility>

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/pattern_formatter.h>

#include "health/io/log_sink.h"

namespace pointsman::io {
namespace {

spdlog::level::level_enum to_spdlog(conf::LogLevel level) {
  switch (level) {
    case conf::LogLevel::trace:
      return spdlog::level::trace;
    case conf::LogLevel::debug:
      return spdlog::level::debug;
    case conf::LogLevel::info:
      return spdlog::level::info;
    case conf::LogLevel::warn:
      return spdlog::level::warn;
    case conf::LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

template <typename Number>
void append_number(std::string& out, Number value) {
  std::array<char, 64> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc{}) out.append(digits.data(), end);
}

// JSON's escapes; the text format borrows them. Bytes that are not ASCII pass, since servers' messages are
// UTF-8.
void append_quoted(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += hex[byte >> 4U];
      out += hex[byte & 0xfU];
    } else {
      out += c;
    }
  }
  out += '"';
}

bool reads_bare(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 &&
        std::string_view("-_.:/,+@[]").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

// Signals are the control loop's; and a write to a closed pipe must come back as EPIPE, not kill the daemon.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

std::string body_text(std::string_view event, std::span<const LogField> fields) {
  std::string line(event);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    field.value.append_text(line);
  }
  if (line.size() > Log::line_limit) {
    line.resize(Log::line_limit);
    line += "...";
  }
  return line;
}

// The rest of an object whose head the pattern writes.
std::string body_json(std::string_view event, std::span<const LogField> fields) {
  std::string line = "\"event\":";
  append_quoted(line, event);
  for (const LogField& field : fields) {
    const std::size_t whole = line.size();
    line += ',';
    append_quoted(line, field.key);
    line += ':';
    field.value.append_json(line);
    if (line.size() > Log::line_limit) {  // cut between fields, so that the line stays JSON
      line.resize(whole);
      line += ",\"cut\":true";
      break;
    }
  }
  return line + '}';
}

}  // namespace

void LogValue::append_text(std::string& out) const {
  if (const auto* text = std::get_if<std::string>(&value_); text != nullptr && reads_bare(*text)) {
    out += *text;
  } else {
    append_json(out);
  }
}

void LogValue::append_json(std::string& out) const {
  std::visit(
      [&out](const auto& value) {
        using T = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::same_as<T, std::string>) {
          append_quoted(out, value);
        } else if constexpr (std::same_as<T, bool>) {
          out += value ? "true" : "false";
        } else if constexpr (std::same_as<T, double>) {
          if (std::isfinite(value)) {
            append_number(out, value);
          } else {
            out += "null";  // JSON has no infinity
          }
        } else {
          append_number(out, value);
        }
      },
      value_);
}

std::expected<std::unique_ptr<Log>, std::string> Log::open(const conf::Log& options) {
  auto sink = LogSink::open(options.file);
  if (!sink) return std::unexpected(std::move(sink.error()));
  try {
    return std::unique_ptr<Log>(new Log(options, std::move(*sink)));
  } catch (const std::exception& error) {
    return std::unexpected(std::string("cannot start the log: ") + error.what());
  }
}

Log::Log(const conf::Log& options, std::shared_ptr<LogSink> sink)
    : format_(options.format),
      sink_(std::move(sink)),
      writer_(std::make_shared<spdlog::details::thread_pool>(queue_limit, 1, block_signals)) {
  const char* pattern = format_ == conf::LogFormat::json
                            ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v)"
                            : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v";
  sink_->set_formatter(
      std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc, "\n"));
  logger_ = std::make_shared<spdlog::async_logger>("pointsman", sink_, writer_,
                                                   spdlog::async_overflow_policy::overrun_oldest);
  logger_->set_level(to_spdlog(options.level));
  logger_->set_error_handler([this](const std::string&) { ++failed_total_; });
}

Log::~Log() {
  sink_->stop_waiting();
  writer_.reset();  // writes the rest and joins
  logger_.reset();  // so that its last owner is this thread
}

void Log::write(conf::LogLevel level, std::string_view event, std::span<const LogField> fields) noexcept {
  if (!enabled(level)) return;
  try {
    const std::string body =
        format_ == conf::LogFormat::json ? body_json(event, fields) : body_text(event, fields);
    logger_->log(to_spdlog(level), spdlog::string_view_t(body));
  } catch (...) {
    ++failed_total_;  // out of memory: the program goes on without the line
  }
}

bool Log::enabled(conf::LogLevel level) const noexcept {
  return logger_->should_log(to_spdlog(level));
}

void Log::set_level(conf::LogLevel level) noexcept {
  logger_->set_level(to_spdlog(level));
}

void Log::reopen() noexcept {
  sink_->reopen();
}

std::uint64_t Log::dropped_total() const noexcept {
  std::uint64_t overrun = 0;
  try {
    overrun = writer_->overrun_counter();
  } catch (...) {
    overrun = 0;  // declared to throw without a pool, which a Log always has
  }
  return failed_total_ + sink_->dropped_total() + overrun;
}

}  // namespace pointsman::io
