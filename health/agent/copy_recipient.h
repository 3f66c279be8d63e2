#pragma once

#include <expected>
#include <string>

#include "conf/agent_config.h"
#include "health/agent/copy_state.h"
#include "health/agent/server_control.h"
#include "health/copy/channel.h"
#include "health/copy/child.h"
#include "health/mysql/waker.h"

namespace pointsman::agent {

// Replaces the local server's data by a copy that comes over a channel. Until the very end the old data are
// there, and whatever fails or goes away, they are what the server runs on afterwards. Blocks; one thread,
// one copy at a time.
//
//   setup                         we
//   recipient data, bytes, donor  ready
//   data ..., end bytes           progress ..., prepared file, position
//   swap                          swapped          the server runs on the copy
//   keep                          kept             the old data go
//
// Instead of any of ours: failed why, and then `undone` or `not_undone` why.
class CopyRecipient {
 public:
  // All outlive this. `lock_fd` is kept by the programs that work on the copy.
  CopyRecipient(const conf::AgentConfig& config, int lock_fd, const mysql::Waker& cancel);

  // Error: what went wrong, which the other side has been told.
  std::expected<void, std::string> receive(copy::Channel& channel, const copy::Words& order);

  // After a crash: what is half done is taken back, what is done is finished; the value says what it was,
  // "" for nothing.
  std::expected<std::string, std::string> recover();

 private:
  using Outcome = std::expected<void, std::string>;

  Outcome steps(copy::Channel& channel, const copy::Words& order);
  Outcome begin(const copy::Words& order);
  Outcome fill(copy::Channel& channel);
  Outcome write(copy::Child& unpack, std::string_view bytes) const;
  Outcome prepare(copy::Channel& channel);
  Outcome run_program(copy::Channel& channel, const copy::Child::Program& program);
  Outcome mark_inside(copy::Channel& channel);
  Outcome give_to_owner() const;
  Outcome carry_over() const;
  Outcome remove_notes() const;
  Outcome swap();
  Outcome undo();

  const conf::AgentConfig& config_;
  const int lock_fd_;
  const mysql::Waker& cancel_;
  const CopyStateFile file_;
  CopyFolders folders_{"/"};
  LocalServer server_;
  std::string donor_;
};

// Of xtrabackup_binlog_info: "binlog.000001\t1600\t0-1-7\n".
struct BinlogPosition {
  std::string file;
  std::string position;
  bool operator==(const BinlogPosition&) const = default;
};
std::expected<BinlogPosition, std::string> parse_binlog_info(std::string_view text);

}  // namespace pointsman::agent
