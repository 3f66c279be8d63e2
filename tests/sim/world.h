#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "health/core/controller.h"
#include "tests/core/toy_keyring.h"
#include "tests/sim/agent.h"
#include "tests/sim/model_server.h"
#include "tests/sim/random.h"
#include "tests/sim/timeline.h"
#include "tests/sim/wire.h"

// A small world with a virtual clock for the decision core to live in: model servers that replicate, a writer
// that sends transactions through the route, and a daemon around a real core::Controller that performs its
// actions and answers with events as the real one does. After every event it checks what must never be
// otherwise.
namespace pointsman::sim {

using namespace std::chrono_literals;

// What goes wrong with a command.
enum class Mishap {
  none,
  refused,  // an error, and nothing was done
  half,     // the first part was done (Promote: replication forgotten, still read-only), then an error
  deaf,     // all was done, but the answer is lost with the connection
  hangs,    // nothing is done, and no answer comes until it is aborted
};

struct WorldOptions {
  std::size_t servers = 2;
  // An agent on each database host, with links of these kinds; empty: no agents.
  std::vector<core::LinkKind> links;
  std::uint64_t seed = 1;
  std::function<void(conf::Config&)> configure;        // changes the configuration before anything starts
  core::DurableState stored;                           // what an earlier daemon left
  std::function<void(std::vector<ModelServer>&)> set;  // changes the servers before the daemon starts
  std::optional<std::size_t> chained{};  // replicates from the second server instead of the first
  bool writer = true;
  bool start_daemon = true;
  bool trace = false;

  core::Duration probe_time = 1ms;
  core::Duration command_time = 2ms;
  core::Duration route_time = 200us;
  core::Duration store_time = 1ms;
  core::Duration replication_time = 1ms;
  core::Duration apply_time = 100us;
  core::Duration write_interval = 20ms;
  // Clients beside the proxy, who write wherever it is accepted; 0: there are none.
  core::Duration direct_interval{};

  core::Duration udp_time = 300us;
  core::Duration serial_time = 50ms;
  core::Duration agent_probe_time = 1ms;
  core::Duration agent_order_time = 2ms;
  std::int64_t clock_ppm = 1000;  // of two hosts' clocks, at most
  bool kill_hung = true;          // by the agents' configuration
  bool kill_clients = true;
};

class World {
 public:
  explicit World(WorldOptions options);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // --- time
  core::Instant now() const { return time_.now(); }
  void run_for(core::Duration duration);
  // False: not within `limit`.
  bool run_until(const std::function<bool()>& condition, core::Duration limit = 60s);
  bool run_until_steady(core::Duration limit = 60s);
  // Both the route is open and everybody else replicates from there.
  bool healthy() const;

  // --- the servers
  std::size_t size() const { return servers_.size(); }
  ModelServer& server(std::size_t i) { return servers_[i]; }
  const ModelServer& server(std::size_t i) const { return servers_[i]; }
  void crash(std::size_t i);
  void freeze(std::size_t i);
  void thaw(std::size_t i);
  void power_off(std::size_t i);
  void start(std::size_t i);
  void start(std::size_t i, bool read_only);   // with agents, where the host was off, a moment later
  void write_directly(std::size_t i);          // a client that goes round the proxy
  void cut(std::size_t i) { cut_.insert(i); }  // between the daemon and server i
  void mend(std::size_t i);
  void isolate();  // the daemon's host
  void mend_all();
  void cut_replication(std::size_t i) {
    replication_cut_.insert(i);
  }  // between server i and everybody but the daemon
  void mend_replication(std::size_t i) { replication_cut_.erase(i); }
  void slow_probes(std::size_t i, core::Duration time) { probe_time_[i] = time; }
  void stop_applying(std::size_t i, bool on) { applying_stopped_[i] = on; }
  // An operator makes server i replicate from another one, by hand.
  void chain(std::size_t i, std::size_t source);
  bool was_chained(std::size_t i) const { return chained_.contains(i); }

  // --- the hosts and the links to their agents (worlds with agents)
  bool has_agents() const { return !hosts_.empty(); }
  Agent& agent(std::size_t i) { return *hosts_[i].agent; }
  const Agent& agent(std::size_t i) const { return *hosts_[i].agent; }
  void cut_eth0(std::size_t i);  // SQL, replication and UDP of the host
  void mend_eth0(std::size_t i);
  void cut_link(std::size_t i, core::LinkKind link, bool to_agent, bool to_proxy);
  void disturb_link(std::size_t i, core::LinkKind link, const WireFaults& faults);
  void isolate_proxy(bool serial_too);
  void mend_links();
  void host_dies(std::size_t i);
  void die_slowly(std::size_t i, core::Duration how_long);  // mysqld: the kernel takes its time
  void start_agent(std::size_t i);

  // --- what fails
  void spoil(std::size_t i, std::string_view command, Mishap how, unsigned times = 1);
  void spoil_nothing(std::size_t i) {
    std::erase_if(spoils_, [i](const auto& s) { return s.first.first == i; });
  }
  void spoil_store(const std::string& error) { store_error_ = error; }
  void hold_routes(bool on) { routes_held_ = on; }
  void hold_store(bool on) { store_held_ = on; }
  void fence_command_fails(bool on) { fence_command_fails_ = on; }

  // --- the daemon
  bool daemon_runs() const { return core_ != nullptr; }
  void kill_daemon();
  void start_daemon(std::optional<core::BackendId> served = std::nullopt);
  // Another process takes its place, as proxy/handover does it: only while nothing is under way.
  void take_over_daemon();
  void stall_daemon(core::Duration how_long);    // its control loop alone: probes go on, their results wait
  void suspend_daemon(core::Duration how_long);  // all of it
  core::Controller& core() { return *core_; }
  const core::Controller& core() const { return *core_; }
  const core::DurableState& stored() const { return stored_; }
  const conf::Config& config() const { return config_; }
  void tell(const core::Event& event);  // an event that the world has no cause for

  // --- operators
  core::RequestId ask(const std::function<core::Event(core::RequestId)>& make);
  core::RequestId switchover(std::optional<std::size_t> to = {}, bool dry_run = false);
  core::RequestId switchover(core::SwitchoverWanted wish);
  // Until a change of primary runs: what comes before a switchover is over.
  bool run_until_changing(core::Duration limit = 5s) {
    return run_until([this] { return daemon_runs() && core().change() != nullptr; }, limit);
  }
  core::RequestId failover(std::optional<std::size_t> to = {}, bool force = false);
  core::RequestId rejoin(std::size_t i, bool discard = false);
  core::RequestId maintenance(std::size_t i, bool on);
  core::RequestId automatic(bool on);
  core::RequestId pause(bool on);
  void reconfigure(const std::function<void(conf::Config&)>& change);
  const core::Reply* answer(core::RequestId id) const;
  bool run_until_answered(core::RequestId id, core::Duration limit = 60s);

  // --- what was seen
  const std::vector<core::HistoryRecord>& records() const { return records_; }
  std::vector<core::HistoryRecord> records(std::string_view kind) const;
  const std::vector<core::Action>& actions() const { return actions_; }
  std::size_t commands_sent(std::size_t i, std::string_view name) const;
  std::size_t routes_set() const;
  const core::SetRoute& applied_route() const { return applied_; }
  std::optional<std::size_t> routed() const;  // whom new clients are sent to
  core::Verdict verdict(std::size_t i) const { return core_->cluster().servers[i].judgement.verdict; }
  const core::Server& view(std::size_t i) const { return core_->cluster().servers[i]; }
  std::uint64_t epoch() const { return core_->cluster().epoch.value; }
  // Transactions that a client was told are safe, by a replica's acknowledgement as well (semi_sync).
  const std::vector<Transaction>& acknowledged() const { return acknowledged_; }
  const std::vector<Transaction>& acknowledged_by_replica() const { return acknowledged_by_replica_; }
  std::vector<Transaction> missing_on(std::size_t i, const std::vector<Transaction>& wanted) const;

  const std::vector<std::string>& violations() const { return violations_; }
  const std::deque<std::string>& trace() const { return trace_; }
  // A line of the trace: what happened on a host, or FAULT, or WRONG.
  void story(std::string_view who, std::string what);

  // Called after each event that the core was given; the actions have not been performed yet.
  std::function<void(const core::Event&, const core::Actions&)> on_step;

 private:
  struct Prober {
    bool connected = false;
    bool busy = false;
    bool asked = false;  // the server has made its answer
    bool again = false;
    std::uint64_t serial = 0;
    core::Instant started;
  };
  struct Commander {
    std::deque<core::SendCommand> queue;
    std::optional<core::SendCommand> running;
    Mishap mishap = Mishap::none;
    core::Instant started;
    std::uint64_t serial = 0;
  };
  struct StandingOrder {  // sent, not read yet
    core::Command command;
    std::uint64_t serial = 0;
  };
  struct Spoil {
    Mishap how;
    unsigned times;
  };

  // The daemon's parts.
  void deliver(core::Event event);
  void step(const core::Event& event);
  void step_once(const core::Event& event);
  void trace_event(const core::Event& event);
  void feed_traffic();
  void arm();
  void perform(const core::Actions& actions);
  void do_action(const core::SendCommand& action);
  void do_action(const core::AbortCommands& action);
  void do_action(const core::CheckReconnect& action);
  void do_action(const core::ProbeNow& action);
  void do_action(const core::SetRoute& action);
  void do_action(const core::StoreState& action);
  void do_action(const core::RunFenceCommand& action);
  void do_action(const core::TakeBack& action);
  void do_action(const core::AbortTakeBack& action);
  std::expected<core::TookBack::Report, core::Failure> take_back(std::size_t i, const core::TakeBack& action);
  void do_action(const core::Record& action);
  void do_action(const core::Reply& action);
  void store_next();
  // Runs later, unless the daemon died meanwhile.
  void daemon_after(core::Duration delay, std::function<void()> what);

  void probe(std::size_t i);
  void probe_reaches(std::size_t i, std::uint64_t serial);
  void probe_ends(std::size_t i, std::uint64_t serial, std::optional<core::ServerReport> report,
                  core::Failure failure);
  void connection_ends(std::size_t i);
  void check_reconnect(std::size_t i, unsigned left, unsigned refused);

  void next_command(std::size_t i);
  void command_takes_effect(std::size_t i, std::uint64_t serial);
  void command_ends(std::size_t i, std::uint64_t serial, std::optional<core::Failure> failure);
  // True: done; false: look again soon.
  bool apply(std::size_t i, const core::Command& command, std::optional<core::Failure>& failure);
  void enable_events(std::size_t i, bool scheduler);
  Mishap take_mishap(std::size_t i, std::string_view command);

  // The proxy's end of the links to the agents.
  struct Host {
    std::unique_ptr<Agent> agent;
    std::map<core::LinkKind, Wire> to_agent;
    std::map<core::LinkKind, Wire> to_proxy;
    // Of the daemon's life.
    std::unique_ptr<core::LinkSession> session;
    core::CobsDecoder line;
    std::optional<core::Controller::AgentOrder> told;
    core::Instant told_at;
    // For the checks.
    core::Epoch sealed;
    core::Instant heard_at;     // the last frame that counted, or the daemon's start
    core::Instant answered_at;  // the last probe
    core::Instant awake_since;  // mysqld started, or came to itself
    bool booted_writable = false;
    bool booted_alone = false;                // before its agent was there
    std::optional<core::Instant> held_up_at;  // a commit kept the agent from making mysqld read-only
    bool booting = false;                     // the agent runs already, mysqld not yet
    std::uint64_t boots = 0;
  };
  void build_hosts();
  HostClock new_clock();
  void boot_host(std::size_t i, bool read_only);
  void start_server(std::size_t i, bool read_only);
  void meet_agents();
  void keep_alive();
  void tell_agents();
  void tell_agent(std::size_t i);
  void hear_bytes(std::size_t i, core::LinkKind link, const std::vector<std::uint8_t>& bytes);
  void hear_frame(std::size_t i, core::LinkKind link, std::span<const std::uint8_t> frame);
  bool obey_agent(std::size_t i);
  void write_beside();

  // The servers and their clients.
  bool reachable(std::size_t i) const { return !cut_.contains(i); }
  bool responsive(std::size_t i) const { return reachable(i) && servers_[i].answers(); }
  std::optional<std::size_t> source_of(std::size_t i) const;
  unsigned semi_sync_clients(std::size_t i) const;
  core::ServerReport report(std::size_t i) const;
  void replicate(std::size_t i);
  void replicate_from(std::size_t source);
  void schedule_apply(std::size_t i);
  void apply_one(std::size_t i);
  void acknowledge(std::size_t source, std::size_t replica);
  void answer_alone(std::size_t i, const Transaction& transaction);  // without a replica
  void replication_tick();
  void write();
  // Call before and after anything that may change whether a server serves.
  void changing(std::size_t i);
  void answers_again(std::size_t i);

  // What must never be otherwise.
  void check(const core::Event& event, const core::Actions& actions, bool change_before);
  void check_action(const core::Action& action);
  void check_promote(const core::SendCommand& action);
  void check_open(const core::SetRoute& route);
  // With agents: two servers that accept writes; a promotion beside a lease.
  void check_writers();
  void check_fenced(std::size_t old);
  std::optional<std::string> excuse(std::size_t i) const;
  bool goes_on_unguarded(std::size_t i) const;
  bool may_kill() const;  // an agent its server, by both configurations
  core::Duration reaction() const;
  void violated(std::string what);
  const std::string& name(std::size_t i) const { return servers_[i].settings.name; }

  WorldOptions options_;
  Random random_;
  Timeline time_;
  conf::Config config_;
  std::vector<ModelServer> servers_;
  core::ToyKeyring keys_{7};
  std::vector<Host> hosts_;                           // none: no agents
  std::deque<std::function<void()>> frames_waiting_;  // while the daemon stalls
  std::set<Transaction> direct_;                      // waiting ones of clients beside the proxy
  std::set<std::size_t> cut_;
  std::set<std::size_t> replication_cut_;
  std::map<std::size_t, core::Duration> probe_time_;
  std::map<std::size_t, bool> applying_stopped_;
  std::set<std::size_t> chained_;  // by operators, ever
  std::map<std::size_t, bool> applying_;
  std::map<std::size_t, std::vector<StandingOrder>> standing_orders_;  // in a silent server's sockets
  std::map<std::size_t, core::Instant> wrote_until_;  // when it last stopped accepting writes
  std::map<std::size_t, core::Instant> ill_until_;    // when it was last out of order or out of reach
  std::map<std::size_t, core::Instant> traffic_;
  std::uint64_t ticks_ = 0;

  std::unique_ptr<core::Controller> core_;
  std::uint64_t life_ = 0;  // of the daemon; what an earlier one began is nobody's
  std::uint64_t alarm_ = 0;
  core::Instant stalled_until_;
  core::Instant suspended_until_;
  std::deque<core::Event> inbox_;
  std::vector<Prober> probers_;
  std::vector<Commander> commanders_;
  std::map<std::pair<std::size_t, std::string>, Spoil> spoils_;
  std::string store_error_;
  bool store_held_ = false;
  bool storing_ = false;
  std::optional<core::StoreState> to_store_;
  core::DurableState stored_;
  bool routes_held_ = false;
  bool fence_command_fails_ = false;
  std::map<std::size_t, core::CommandId> taking_back_;
  bool discards_allowed_ = false;  // of acknowledged transactions, by a person or the configuration
  core::SetRoute wanted_route_;
  core::SetRoute applied_;
  std::map<std::size_t, core::Instant> traffic_told_;

  std::uint64_t last_request_ = 0;
  std::map<core::RequestId, core::Reply> replies_;
  std::vector<core::HistoryRecord> records_;
  std::vector<core::Action> actions_;
  std::vector<Transaction> acknowledged_;
  std::vector<Transaction> acknowledged_by_replica_;
  std::vector<std::string> violations_;
  std::deque<std::string> trace_;
  std::map<std::size_t, std::string> last_probe_;  // as traced
  std::map<std::size_t, std::string> last_word_;
  std::uint64_t highest_epoch_ = 0;
  std::uint64_t highest_stored_epoch_ = 0;
  std::map<std::uint64_t, std::size_t> promoted_in_;  // epoch -> server
  std::map<std::uint64_t, std::size_t> opened_in_;
  unsigned idle_ticks_ = 0;
  std::string last_writers_;  // the violation that was told last
};

// For traces and messages.
std::string text_of(const core::Event& event);
std::string text_of(const core::Action& action);

}  // namespace pointsman::sim
