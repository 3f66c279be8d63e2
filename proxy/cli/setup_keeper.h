#pragma once

#include <expected>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "health/setup/setup.h"

namespace pointsman::proxy::cli {

// The daemon that may run beside `pointsman setup`, asked over its admin socket: puts servers into
// maintenance and takes out again those that were not in it before. Without a daemon there is nothing to
// keep. One thread.
class SetupKeeper final : public setup::Keeper {
 public:
  explicit SetupKeeper(std::string socket) : socket_(std::move(socket)) {}

  // Asks the daemon how it is; an empty name: no daemon, or no primary. Error: one runs and does not tell.
  std::expected<std::string, std::string> primary();

  std::expected<void, std::string> hold(const std::string& server) override;
  void release_all() override;

  // For the operator, afterwards: servers that are in maintenance still, and why.
  const std::vector<std::string>& left() const { return left_; }

 private:
  std::expected<nlohmann::json, std::string> ask_daemon(const nlohmann::json& request);

  const std::string socket_;
  bool runs_ = false;
  std::vector<std::string> already_;  // in maintenance before
  std::vector<std::string> held_;
  std::vector<std::string> left_;
};

}  // namespace pointsman::proxy::cli
