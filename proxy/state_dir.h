#pragma once

#include <expected>
#include <string>

#include "health/core/durable_state.h"
#include "health/io/descriptor.h"

namespace pointsman::proxy {

// The directory whose contents outlive the daemon: state.json (epoch, primary, a change under way),
// history.jsonl, and a lock that keeps a second daemon out. Functions block on the disk; save() is for a pool
// thread.
class StateDir {
 public:
  // Creates the directory (mode 0750) when only its last part is missing, takes the lock and proves that it
  // can be written. Errors are sentences that name the path and what the system said.
  static std::expected<StateDir, std::string> open(const std::string& path);
  // The directory of a daemon that gives us its lock.
  static std::expected<StateDir, std::string> adopt(const std::string& path, io::Descriptor lock);
  ~StateDir();
  StateDir(StateDir&& other) noexcept;
  StateDir& operator=(StateDir&&) = delete;

  // Default state when there is no file yet. A file that cannot be understood is an error, never an empty
  // state: the epoch in it is what keeps an old primary from being taken for the present one.
  std::expected<core::DurableState, std::string> load() const;

  // Durable when it returns: written beside, synced, renamed, directory synced. The old state stays on any
  // failure. Any thread, one at a time.
  static std::expected<void, std::string> save(const std::string& path, const core::DurableState& state);

  const std::string& path() const { return path_; }
  // Who has a copy of this descriptor holds the lock.
  int lock() const { return lock_; }

 private:
  StateDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;
  int lock_ = -1;
};

}  // namespace pointsman::proxy
