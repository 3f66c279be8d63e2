#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

#include <uv.h>

#include "health/io/handle.h"
#include "health/io/loop.h"

namespace pointsman::io {

// The way into a loop from other threads: tasks run in the order of their posting, on the loop's thread.
//
// Made, closed and destroyed on the loop's thread (or before it runs, or after it ended); post() from any
// thread as long as the object lives. A poster that may outlast the loop's work is told so by post() == false
// once it is closed.
class Mailbox {
 public:
  static constexpr std::size_t default_limit = 4096;

  // At most `limit` tasks wait.
  explicit Mailbox(Loop& loop, std::size_t limit = default_limit);
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // False when the mailbox is full or closed: the task was not taken and will not run.
  [[nodiscard]] bool post(std::function<void()> task);

  // Takes no more tasks and drops those that wait.
  void close();

 private:
  static void wake(uv_async_t* handle);

  const std::size_t limit_;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;  // under mutex_
  Handle<uv_async_t> handle_;                 // under mutex_ outside the loop's thread; null once closed
};

}  // namespace pointsman::io
