#pragma once

#include <chrono>
#include <cstddef>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "health/core/time.h"
#include "health/mysql/waker.h"
#include "health/setup/dump_scanner.h"
#include "health/setup/option_file.h"

namespace pointsman::setup {

// Two child processes: one writes a dump, we read along, the other loads it. Both have ended when run()
// returns, whatever happens; when this process is killed, the pipes break and they end by themselves.
// Blocks; one thread.
class DumpPipe {
 public:
  struct Program {
    std::vector<std::string> argv;        // looked up in PATH; OptionFile::argument() is among them
    const OptionFile* options = nullptr;  // outlives run()
  };
  struct Order {
    Program dump;
    Program load;
    std::string before;  // statements that the loader gets first
  };
  // Called after each piece that was passed on, from run().
  using Seen = std::function<void(const DumpScanner&)>;

  // `cancel` ends it with an error.
  explicit DumpPipe(const mysql::Waker& cancel) : cancel_(cancel) {}

  // The scanner, which says that the dump was whole; or what went wrong, in words.
  std::expected<DumpScanner, std::string> run(const Order& order, const Seen& seen);

  static constexpr std::size_t buffer_bytes = std::size_t{256} << 10;
  // No byte moved for so long: a lock, or a server that hangs.
  static constexpr core::Duration longest_stall = std::chrono::minutes(10);

 private:
  const mysql::Waker& cancel_;
};

}  // namespace pointsman::setup
