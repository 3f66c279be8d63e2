#pragma once

#include <expected>
#include <vector>

#include "conf/config.h"
#include "health/core/command.h"
#include "health/core/time.h"
#include "health/mysql/session.h"
#include "health/mysql/survey.h"
#include "health/mysql/write_stop.h"

namespace pointsman::mysql {

// Carries out the commands of the decision core on one open session, the same steps for both products; the
// words differ by Dialect. Used by the commander's thread. Each statement has a deadline of its own, so that
// a server that stops answering ends the command with kind timeout.
class CommandRunner {
 public:
  struct Settings {
    conf::Account replication;
    std::string monitor_user;  // ours: its sessions are not ended
    core::Duration heartbeat{};
  };

  CommandRunner(Session& session, const Settings& settings) : session_(session), settings_(settings) {}

  core::CommandResult operator()(const core::StopReceiving& command);
  core::CommandResult operator()(const core::ResumeReceiving& command);
  core::CommandResult operator()(const core::StartApplier& command);
  core::CommandResult operator()(const core::WaitApplied& command);
  core::CommandResult operator()(const core::Promote& command);
  core::CommandResult operator()(const core::MakeReadOnly& command);
  core::CommandResult operator()(const core::MakeWritable& command);
  core::CommandResult operator()(const core::SetSemiSyncSource& command);
  core::CommandResult operator()(const core::PromptReplicas& command);
  core::CommandResult operator()(const core::Follow& command);
  core::CommandResult operator()(const core::EndReplication& command);
  core::CommandResult operator()(const core::Inspect& command);
  core::CommandResult operator()(const core::Survey& command);
  core::CommandResult operator()(const core::EndOccupants& command);
  core::CommandResult operator()(const core::EnableEvents& command);

  // How long Follow waits to see the replica connected; what it sees then is in the report.
  static constexpr core::Duration follow_settle = std::chrono::seconds(3);

 private:
  using Outcome = std::expected<void, core::Failure>;

  Outcome start_following(const core::Follow& command, const core::GtidSet& executed);
  WriteStop write_stop() { return {session_, own()}; }
  OwnAccounts own() const { return {settings_.monitor_user, settings_.replication.user}; }
  Outcome execute(std::string_view sql, std::string_view shown = {});
  core::CommandResult report();
  Outcome start_stopped_applier(const core::ReplicaStatus& replica);
  Outcome stop_replication(const std::optional<core::ReplicaStatus>& replica);
  Outcome apply_what_is_received();
  Outcome wait_until_connected();
  bool follows_already(const core::ServerReport& report, const core::Follow& command) const;
  core::Failure failure(core::FailureKind kind, std::string_view text) const;

  Session& session_;
  const Settings& settings_;
};

}  // namespace pointsman::mysql
