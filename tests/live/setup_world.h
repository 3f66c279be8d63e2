#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/live/world.h"
#include "tests/testbed/supervisor.h"

// Bare servers, and `pointsman setup` over them.
namespace pointsman::live {

using testbed::Supervisor;

struct SetupWorld {
  std::vector<std::unique_ptr<testbed::Server>> servers;
  std::unique_ptr<testbed::Daemon> daemon;  // not started; its folder has the configuration and the passwords

  testbed::Server& db(std::size_t i) { return *servers.at(i); }

  // `settings` are further lines of each server's my.cnf; fatal test failures.
  static SetupWorld make(Product product, std::vector<std::vector<std::string>> settings = {{}, {}},
                         Keys keys = {});

  // `pointsman setup` as root over the servers' sockets.
  std::vector<std::string> command(std::vector<std::string> further = {}) const;
  testbed::Finished setup(std::vector<std::string> further = {}) const;
  // The same, on MySQL with somebody who starts the server `recipient` again after its clone.
  testbed::Finished setup_supervised(std::size_t recipient, std::vector<std::string> further = {});
  // Not waited for.
  testbed::Process start_setup(const std::filesystem::path& output) const;

  std::string ask(std::size_t server, const std::string& sql);
  void tell(std::size_t server, const std::vector<std::string>& statements);
  // Writable without a log of it, a schema `app` with a table of `rows` rows of 1 KiB, an account, a view, a
  // routine, a trigger and an event in it.
  void fill(std::size_t server, unsigned rows);
  // "" when `replica` has what `primary` has and follows it.
  std::string why_not_copy(std::size_t primary, std::size_t replica);
};

}  // namespace pointsman::live
