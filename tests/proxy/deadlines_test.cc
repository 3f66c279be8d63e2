#include "proxy/deadlines.h"

#include <functional>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace pointsman::proxy {
namespace {

using std::chrono::milliseconds;

class Late final : public Deadlines::Entry {
 public:
  explicit Late(std::function<void()> act) : act_(std::move(act)) {}

 private:
  void on_deadline() override { act_(); }
  std::function<void()> act_;
};

// In the order in which they are due, whatever the order in which they were set; one that was cleared, or set
// again, is not heard of at its old time.
TEST(Deadlines, InOrder) {
  io::Loop loop;
  Deadlines deadlines(loop);
  std::vector<int> order;
  Late third([&] {
    order.push_back(3);
    loop.stop();
  });
  Late first([&] { order.push_back(1); });
  Late second([&] { order.push_back(2); });
  Late never([&] { order.push_back(0); });
  deadlines.set(third, milliseconds(30));
  deadlines.set(first, milliseconds(10));
  deadlines.set(never, milliseconds(5));
  deadlines.set(second, milliseconds(1));
  deadlines.set(second, milliseconds(20));
  deadlines.clear(never);
  deadlines.clear(never);
  loop.run();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

// One that is due clears another that is due too, and sets itself again.
TEST(Deadlines, ChangedFromWithin) {
  io::Loop loop;
  Deadlines deadlines(loop);
  unsigned calls = 0;
  Late* again = nullptr;
  Late other([&] { FAIL() << "it was cleared"; });
  Late self([&] {
    deadlines.clear(other);
    if (++calls == 1) return deadlines.set(*again, milliseconds(1));
    loop.stop();
  });
  again = &self;
  deadlines.set(self, milliseconds(0));
  deadlines.set(other, milliseconds(0));
  loop.run();
  EXPECT_EQ(calls, 2u);
}

}  // namespace
}  // namespace pointsman::proxy
