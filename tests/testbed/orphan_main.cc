// Starts a child, prints its pid and waits to be killed: for the test that the child ends then.
#include <cstdio>

#include "tests/testbed/process.h"

int main() {
  auto child = pointsman::testbed::Process::start({.argv = {"sleep", "1000"}});
  if (!child) return 1;
  std::printf("%d\n", child->pid());
  std::fflush(stdout);
  child->wait(pointsman::testbed::Millis(60000));
  return 0;
}
