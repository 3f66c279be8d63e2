#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "health/core/action.h"
#include "health/core/event.h"
#include "health/io/background.h"
#include "health/io/log.h"
#include "health/io/mailbox.h"

namespace pointsman::proxy {

// Makes the core's state durable, one write at a time, on a pool thread: while one is being written only the
// newest of those that come waits. Control loop's thread.
class StateWriter {
 public:
  // `on_stored` is told each version that was written, or why it could not be; never from within store().
  StateWriter(io::Background& background, io::Mailbox& mailbox, io::Log& log, std::string directory,
              std::function<void(core::StateStored)> on_stored);

  void store(core::StoreState wanted);
  // At the end of the daemon: when it returns, the newest state is durable (or the log says why not), and
  // nothing is written any more. Blocks on the disk.
  void finish();
  bool busy() const { return writing_ != nullptr || waiting_.has_value(); }

 private:
  // What a write in the pool shares with us; it may outlive us.
  struct Disk;

  void next();

  io::Background& background_;
  io::Mailbox& mailbox_;
  io::Log& log_;
  std::function<void(core::StateStored)> on_stored_;
  std::shared_ptr<Disk> disk_;
  std::optional<core::StoreState> waiting_;  // the newest that is not being written
  std::shared_ptr<const core::StoreState> writing_;
};

}  // namespace pointsman::proxy
