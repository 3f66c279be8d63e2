#pragma once

#include <chrono>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

namespace pointsman::package {

// A Debian 12 machine of a test's own: the tree that tests/testbed/get-tree makes, under an overlay, so that
// whatever is installed is gone at the end. boot() starts its systemd in namespaces (systemd-nspawn out of
// that tree) with a network of loopback alone. Needs root. One at a time on a host: create() waits.
class Machine {
 public:
  static std::expected<std::unique_ptr<Machine>, std::string> create();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine();

  // Ready when systemd says "running": every unit has started, and none failed.
  std::expected<void, std::string> boot();

  // Runs a script there, as root. Before boot() it is the only thing that runs, in a chroot.
  testbed::Finished sh(const std::string& script, testbed::Millis timeout = std::chrono::seconds(60)) const;

  const std::filesystem::path& root() const { return root_; }

 private:
  Machine(testbed::TempDirectory directory, testbed::FileLock lock, std::filesystem::path tree);

  testbed::TempDirectory directory_;
  testbed::FileLock lock_;
  std::filesystem::path tree_;
  std::filesystem::path root_;
  testbed::Process process_;  // once booted
  pid_t init_ = 0;            // its systemd, in our numbers
};

}  // namespace pointsman::package
