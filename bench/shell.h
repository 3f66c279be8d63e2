#pragma once

#include <expected>
#include <string>

#include "tests/testbed/process.h"

namespace pointsman::bench {

// Runs a person's command by `sh -c`, but not longer than `timeout`: then it and all that it started in its
// process group are killed. What it leaves running in the background is left alone. Error, with `name` and
// the end of what it wrote: an exit status other than 0, or out of time.
std::expected<void, std::string> run_shell(const std::string& name, const std::string& command,
                                           testbed::Millis timeout);

}  // namespace pointsman::bench
