#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/core/controller.h"
#include "health/io/background.h"
#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/mailbox.h"
#include "health/io/timer.h"
#include "proxy/backend_monitor.h"
#include "proxy/former_processes.h"
#include "proxy/history.h"
#include "proxy/state_writer.h"
#include "proxy/take_backs.h"
#include "proxy/workers.h"

namespace pointsman::proxy {

// Drives the decision core: feeds it with what monitors, workers, disk and operators say, performs what it
// wants, and keeps its one timer. Decides nothing itself. Control loop's thread.
class Control {
 public:
  struct Parts {
    io::Loop& loop;
    io::Mailbox& mailbox;
    io::Background& background;
    Workers& workers;
    History& history;
    io::Log& log;
    FormerProcesses& formers;
  };
  // An operator's request that the core answered.
  using OnReply = std::function<void(const core::Reply&)>;

  Control(Parts parts, conf::Config config, core::DurableState stored, std::string state_dir);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // `inherited`: the workers have a route already, of the process whose place this one takes. It stays until
  // the core knows who is primary, or does anything, so that a takeover ends no session.
  void begin(const RoutePtr& inherited = nullptr);
  // The state that it began with could not be written again, and why.
  void on_not_stored(const std::string& error);
  // `make` is given the id that the reply will have.
  void request(const std::function<core::Event(core::RequestId)>& make, OnReply on_reply);
  // The backends must be those of the running configuration.
  void reconfigure(const conf::Config& config);
  // Takes no part in anything any more: what was decided is durable, threads joined, nothing called back.
  void stop();
  // Decides nothing, asks nothing and stores nothing until resume(); what happens waits. Error: why it cannot
  // be now, as something is half done.
  std::expected<void, std::string> suspend();
  void resume();
  // Suspended for good: whoever waits for an answer is told.
  void leave();

  const core::Controller& controller() const { return controller_; }
  core::Duration in_state() const;
  const conf::Config& config() const { return config_; }
  std::function<void()> on_state_change;
  // Before the core sees it, and each record of the history: for those who count.
  std::function<void(const core::Event&)> on_event;
  std::function<void(const core::HistoryRecord&)> on_record;
  // Each step of the core may change what the agents are to be told.
  std::function<void()> on_step;
  // What an agent said.
  void heard(core::AgentHeard event) { feed(std::move(event)); }
  // See Controller::on_sealed().
  void on_sealed(core::BackendId backend, const core::ProxyWord& word,
                 std::optional<core::Instant> acknowledged_at) {
    controller_.on_sealed(backend, word, acknowledged_at);
  }

 private:
  void feed(core::Event event);
  void tick();
  void feed_traffic(core::Instant now);
  void arm(core::Instant now);
  void perform(core::Actions actions);
  void perform(core::SendCommand& action);
  void perform(core::AbortCommands& action);
  void perform(core::CheckReconnect& action);
  void perform(core::ProbeNow& action);
  void perform(core::SetRoute& action);
  void perform(core::StoreState& action);
  void perform(core::RunFenceCommand& action);
  void perform(core::TakeBack& action);
  void perform(core::AbortTakeBack& action);
  void perform(core::Record& action);
  void perform(core::Reply& action);
  void publish_route();
  bool inherited_route_stays();
  // Why clients must wait although the primary serves; "": they need not.
  std::string why_held_off() const;
  BackendMonitor& monitor(core::BackendId id) { return *monitors_[core::index(id)]; }

  io::Loop& loop_;
  io::Mailbox& mailbox_;
  io::Background& background_;
  Workers& workers_;
  FormerProcesses& formers_;
  History& history_;
  io::Log& log_;
  conf::Config config_;
  StateWriter writer_;

  core::Controller controller_;
  TakeBacks take_backs_;
  std::vector<std::unique_ptr<BackendMonitor>> monitors_;  // index == BackendId
  std::vector<core::Instant> traffic_fed_;
  io::Timer timer_;
  std::map<core::CommandId, core::Instant>
      sent_;  // commands without an answer yet; bounded by the command queues
  core::SetRoute route_;
  std::string held_off_;  // as the published route has it
  std::map<core::RequestId, OnReply> replies_;
  std::uint64_t last_request_ = 0;
  core::State state_ = core::State::no_primary;
  core::Instant state_since_;
  const std::vector<std::string> identities_;
  std::optional<core::Instant> inherited_until_;
  // Routes that workers have not acted on: their last word comes from another thread, and to this object.
  std::shared_ptr<std::atomic<unsigned>> unapplied_ = std::make_shared<std::atomic<unsigned>>(0);
  std::vector<core::Event> held_back_;  // while suspended_
  bool suspended_ = false;
  bool stopped_ = false;
};

}  // namespace pointsman::proxy
