#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/live/setup_world.h"
#include "tests/testbed/agent.h"

// Bare MariaDB servers with an agent beside each, who may copy their data.
namespace pointsman::live {

// Stops and starts a server as told by two scripts, as systemd does for `systemctl stop` and `start`. Nobody
// else touches the server's process meanwhile. A file `hold_STAGE` makes the script of that stage write
// `at_STAGE` and wait until the file is gone; stages: stop, start, and backup and prepare of mariadb-backup.
class Manager {
 public:
  explicit Manager(testbed::Server& server);
  ~Manager();
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  std::string script(const std::string& name) const { return (folder_.path() / name).string(); }
  void hold(const std::string& stage) const;
  void release(const std::string& stage) const;
  bool wait_at(const std::string& stage) const;  // false: not within a minute

 private:
  void write_scripts() const;

  testbed::Server& server_;
  testbed::TempDirectory folder_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

struct CopiesWorld {
  SetupWorld world;
  std::vector<std::unique_ptr<Manager>> managers;
  std::vector<std::unique_ptr<testbed::Agent>> agents;  // `pointsman-agent run`
  std::vector<testbed::Process> copies;                 // `pointsman-agent copies`

  // Fatal test failures.
  static CopiesWorld make(std::vector<std::vector<std::string>> settings = {{}, {}});

  void start_copies(std::size_t i);
  testbed::Process start_setup(const std::vector<std::string>& further,
                               const std::filesystem::path& output) const;
  std::string log(std::size_t i) const;  // of `copies`
  std::filesystem::path folder(std::size_t i, const std::string& suffix) {
    return world.db(i).data_directory().string() + suffix;
  }
  // "" when nothing of a copy is left on that host.
  std::string what_is_left(std::size_t i);
};

}  // namespace pointsman::live
