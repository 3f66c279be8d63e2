#pragma once

#include "health/setup/copy.h"
#include "health/setup/survey.h"

namespace pointsman::setup {

// Both ends of a copy that has been found possible.
struct CopyEnds {
  const CopyOrder& order;
  Admin& donor;
  Admin& recipient;
  const Survey& from;
  const Survey& to;
};

}  // namespace pointsman::setup
