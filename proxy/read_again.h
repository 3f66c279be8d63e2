#pragma once

#include <expected>
#include <string>
#include <vector>

#include "conf/config.h"
#include "conf/differences.h"

namespace pointsman::proxy {

// The configuration's file as it is now, and in what it differs from the one in force. Control loop's thread.
struct ReadAgain {
  conf::Config config;
  std::vector<conf::Difference> differences;
  std::string text;  // says them

  // Error: a sentence for the operator, which names every problem of the file.
  static std::expected<ReadAgain, std::string> of(const conf::Config& running);

  bool takes(conf::Change change) const;
  // `running` with all that counts at once. Error: what waits makes that impossible.
  std::expected<conf::Config, std::string> applied_to(const conf::Config& running) const;
};

// "the configuration was not changed: ..."
std::unexpected<std::string> unchanged(const std::string& why);

}  // namespace pointsman::proxy
