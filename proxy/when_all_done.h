#pragma once

#include <functional>
#include <utility>

namespace pointsman::proxy {

// Shared by all who have a part to do: calls when the last of them lets go, on his thread.
class WhenAllDone {
 public:
  explicit WhenAllDone(std::function<void()> then) : then_(std::move(then)) {}
  ~WhenAllDone() { then_(); }
  WhenAllDone(const WhenAllDone&) = delete;
  WhenAllDone& operator=(const WhenAllDone&) = delete;

 private:
  std::function<void()> then_;
};

}  // namespace pointsman::proxy
