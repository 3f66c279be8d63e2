#include "proxy/history.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pointsman::proxy {
namespace {

// Empty: done. Runs on a pool thread.
std::string append_to(const std::string& path, const std::string& older, const std::string& text) {
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && static_cast<std::uint64_t>(info.st_size) > History::rotate_bytes) {
    ::rename(path.c_str(), older.c_str());
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return path + ": " + std::strerror(errno);
  std::string error;
  for (std::size_t done = 0; done < text.size() && error.empty();) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      error = path + ": " + std::strerror(errno);
    }
  }
  ::fdatasync(fd);
  ::close(fd);
  return error;
}

bool is_step(const nlohmann::json& event) {
  return event.value("kind", "") == "step";
}

}  // namespace

History::History(io::Background& background, std::string state_dir)
    : background_(background), path_(std::move(state_dir) + "/history") {}

void History::load() {
  for (const char* ending : {".1.jsonl", ".jsonl"}) {
    std::ifstream in(path_ + ending);
    for (std::string line; std::getline(in, line);) {
      auto event = nlohmann::json::parse(line, nullptr, false);
      if (!event.is_object() || !event.contains("kind") || !event["kind"].is_string() || is_step(event))
        continue;
      events_.push_back(std::move(event));
      if (events_.size() > kept_events) events_.pop_front();
    }
  }
}

void History::append(const nlohmann::json& event) {
  std::string line = event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (waiting_.size() + line.size() > max_waiting) {
    ++dropped_;
  } else {
    waiting_ += line;
  }
  if (!is_step(event)) {
    events_.push_back(event);
    if (events_.size() > kept_events) events_.pop_front();
    if (on_event) on_event(event);
  }
  flush();
}

void History::flush() {
  if (writing_ || waiting_.empty()) return;
  auto text = std::make_shared<std::string>(std::exchange(waiting_, {}));
  auto error = std::make_shared<std::string>();
  writing_ = background_.submit([text, error, path = path_ + ".jsonl",
                                 older = path_ + ".1.jsonl"] { *error = append_to(path, older, *text); },
                                [this, error] {
                                  writing_ = false;
                                  last_error_ = *error;
                                  flush();
                                });
  if (!writing_) ++dropped_;
}

void History::flush_now() {
  if (!waiting_.empty())
    last_error_ = append_to(path_ + ".jsonl", path_ + ".1.jsonl", std::exchange(waiting_, {}));
}

std::vector<nlohmann::json> History::newest(std::size_t limit) const {
  const std::size_t skip = events_.size() > limit ? events_.size() - limit : 0;
  return {events_.begin() + static_cast<std::ptrdiff_t>(skip), events_.end()};
}

}  // namespace pointsman::proxy
