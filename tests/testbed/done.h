#pragma once

#include <expected>
#include <string>

#include <gtest/gtest.h>

namespace pointsman::testbed {

// ASSERT_TRUE(testbed::done(done(server.start()))): a failure says why.
template <class Value>
::testing::AssertionResult done(const std::expected<Value, std::string>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error();
}

}  // namespace pointsman::testbed
