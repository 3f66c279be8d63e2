#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <utility>

#include "health/core/command.h"
#include "health/core/time.h"
#include "health/mysql/session.h"
#include "health/mysql/survey.h"

namespace pointsman::mysql {

// Of a statement that the server should answer at once.
inline constexpr core::Duration statement_timeout = std::chrono::seconds(10);

// Makes a server read-only, and ends those who stand against it. What waits for a replica is answered to
// nobody by that. Errors: the server's own; kind timeout where something holds it up, with who that is. Used
// by the command thread.
class WriteStop {
 public:
  using Outcome = std::expected<void, core::Failure>;

  WriteStop(Session& session, OwnAccounts own) : session_(session), own_(std::move(own)) {}

  Outcome make_read_only(const core::MakeReadOnly& command);
  // Clients are ended when they hold it up.
  Outcome make_read_only_at_any_price();
  // Ends the sessions of everybody but replication and us. Those that end by themselves meanwhile do not
  // matter.
  Outcome end_clients();
  // Gone by itself meanwhile is as good; and so is an account above ours (MySQL's SYSTEM_USER, where we were
  // not given it), which super_read_only stops all the same.
  Outcome end_session(std::uint64_t thread);

  static constexpr std::size_t max_rounds = 3;  // of ending clients and trying again
  static constexpr std::size_t max_named = 3;   // sessions that hold it up, in one error

 private:
  Outcome try_once(std::chrono::milliseconds timeout);
  Outcome by_force();
  bool held_up(const Outcome& done) const;
  // Adds to an error who it is that holds it up, and with `end` ends them.
  Outcome name_holders(Outcome failed, bool end);
  std::expected<ResultTable, core::Failure> sessions_at_rest();

  Session& session_;
  const OwnAccounts own_;
};

}  // namespace pointsman::mysql
