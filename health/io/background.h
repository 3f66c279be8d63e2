#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "health/io/loop.h"

namespace pointsman::io {

// Work that would block the loop (fsync, reading files) done on libuv's thread pool.
//
// Used on the loop's thread. `work` runs on a pool thread and `done` on the loop's thread afterwards. When
// the object is destroyed, work that has not begun is cancelled, work that has begun runs to its end (so it
// must own what it uses), and no `done` is called any more. The pool (4 threads) is shared with name
// resolution.
class Background {
 public:
  static constexpr std::size_t default_limit = 64;

  explicit Background(Loop& loop, std::size_t limit = default_limit);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // False when `limit` pieces of work are pending already; nothing was taken then. Pieces run in parallel and
  // may end in any order.
  [[nodiscard]] bool submit(std::function<void()> work, std::function<void()> done);
  std::size_t pending() const;

 private:
  struct State;
  struct Request;

  Loop& loop_;
  const std::size_t limit_;
  std::shared_ptr<State> state_;
};

}  // namespace pointsman::io
