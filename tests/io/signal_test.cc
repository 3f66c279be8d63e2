#include "health/io/signal.h"

#include <csignal>
#include <memory>

#include <gtest/gtest.h>

namespace pointsman::io {
namespace {

// A signal arrives: it is reported on the loop and does not end the process; the callback ends the watch.
TEST(Signal, Reports) {
  Loop loop;
  int hits = 0;
  std::unique_ptr<Signal> watch;
  watch = std::make_unique<Signal>(loop, SIGUSR1, [&] {
    ++hits;
    watch.reset();
  });
  ASSERT_EQ(std::raise(SIGUSR1), 0);
  loop.run();
  EXPECT_EQ(hits, 1);
}

}  // namespace
}  // namespace pointsman::io
