#include "tests/sim/agent.h"

#include <algorithm>
#include <utility>

namespace pointsman::sim {

using namespace core;
using namespace std::chrono_literals;

namespace {

// As in health/agent.
constexpr unsigned gtids_every = 10;
constexpr Duration look_period = 3ms;
constexpr Duration search_period = 10ms;
constexpr Duration order_patience = 1s;
constexpr Duration agent_look_again = 5ms;
constexpr Duration agent_refusal_time = 100us;

AgentWord without_flux(AgentWord word) {
  word.silent_ms = 0;
  word.gtids.clear();
  word.received.clear();
  return word;
}

bool is_there(const ModelServer& server) {
  return server.power == ModelServer::Power::running || server.power == ModelServer::Power::frozen;
}

}  // namespace

Agent::Agent(AgentOptions options, AgentHost host, Timeline& time, Random& random, const Keyring& keys)
    : options_(std::move(options)), host_(std::move(host)), time_(time), random_(random), keys_(keys) {}

// --- what happens to it
// ------------------------------------------------------------------------------------------------------

void Agent::after(Duration delay, std::function<void()> what) {
  time_.after(delay, [this, life = life_, what = std::move(what)] {
    if (life != life_) return;
    if (stalled()) return after(stalled_until_ - time_.now(), what);
    what();
  });
}

void Agent::start() {
  if (guard_) return;
  ++life_;
  started_at_ = time_.now();
  guard_ = std::make_unique<AgentGuard>(options_.guard, memory_, local());
  session_ = std::make_unique<LinkSession>(options_.name, options_.proxy, FrameType::agent, keys_,
                                           [this] { return random_.next(); });
  line_.reset();
  process_ = Process::unknown;
  told_ = {};
  told_epoch_ = guard_->epoch();
  frames_ = 0;
  kill_running_ = probing_ = asked_in_vain_ = false;
  orders_.clear();
  host_.tell(std::string("the agent starts as ") + to_string(guard_->role()) + " of epoch " +
             std::to_string(guard_->epoch().value));
  after(1us * random_.below(to_ms(search_period) * 1000), [this] {
    if (process_ != Process::unknown) return;
    is_there(host_.server()) ? found(false) : watch(Process::absent, false);
  });
  after(options_.keepalive, [this] { keepalive(); });
  probe();
  act();
}

void Agent::kill() {
  if (!guard_) return;
  host_.tell("the agent is killed");
  ++life_;
  stalled_until_ = {};
  guard_.reset();
  session_.reset();
}

void Agent::stall(Duration how_long) {
  if (!guard_) return;
  host_.tell("the agent stalls for " + std::to_string(to_ms(how_long)) + " ms");
  stalled_until_ = stall_ended_ = time_.now() + how_long;
}

void Agent::host_boots(const HostClock& clock) {
  kill();
  clock_ = clock;
  memory_ = {};
}

Instant Agent::guards_since() const {
  if (!guard_ || stalled()) return Instant::max();
  return std::max(started_at_ + AgentGuard::restart_grace, stall_ended_);
}

Instant Agent::right_ended() const {
  return right_ended_;
}

void Agent::note_right() {
  const Instant now = time_.now();
  if (may_write()) {
    const auto& until = guard_->memory().lease_until;
    right_ended_ = until ? std::max(now, clock_.when(*until)) : Instant::max();
  } else {
    right_ended_ = std::min(right_ended_, now);
  }
}

// --- mysqld
// ------------------------------------------------------------------------------------------------------

void Agent::process_starts() {
  if (!guard_) return;
  after(1us * random_.below(to_ms(search_period) * 1000), [this] {
    const bool known = process_ == Process::runs && found_at_ >= clock_.at(host_.server().started);
    if (known || !is_there(host_.server())) return;
    if (process_ == Process::runs || process_ == Process::dying) watch(Process::exited, false);
    found(process_ != Process::unknown);
  });
}

void Agent::process_dies() {
  if (!guard_) return;
  after(1us * random_.below(to_ms(look_period) * 1000), [this, ended = local()] {
    if (process_ == Process::runs && found_at_ <= ended) watch(Process::dying, false);
  });
}

void Agent::process_is_gone() {
  // Its connections end with it, and all that was in its sockets.
  std::erase_if(orders_, [](const Running& order) { return order.taken; });
  if (!guard_) return;
  for (const auto& order : orders_)
    after(agent_refusal_time, [this, id = order.id] { order_ends(id, false); });
  after(1us * random_.below(to_ms(look_period) * 1000), [this, ended = local()] {
    const bool of_it = found_at_ <= ended && (process_ == Process::runs || process_ == Process::dying);
    if (of_it) watch(Process::exited, false);
  });
}

void Agent::found(bool started) {
  found_at_ = local();
  watch(Process::runs, started);
}

void Agent::watch(Process process, bool started) {
  process_ = process;
  if (kill_running_ && process != Process::runs) {
    kill_running_ = false;
    guard_->on_done(Order::kill, true, local());
  }
  const auto state = process == Process::absent   ? MysqldState::absent
                     : process == Process::dying  ? MysqldState::dying
                     : process == Process::exited ? MysqldState::exited
                                                  : MysqldState::unknown;
  host_.tell(process == Process::runs ? (started ? "the agent sees mysqld start" : "the agent finds mysqld")
                                      : std::string("to the agent mysqld is ") + to_string(state));
  guard_->on_process(state, started);
  ++probe_serial_;
  probing_ = false;
  probe();
  act();
}

void Agent::probe() {
  if (probing_ || !guard_) return;
  probing_ = true;
  asked_in_vain_ = false;
  probe_asked_ = local();
  const std::uint64_t serial = ++probe_serial_;
  if (!is_there(host_.server())) {
    return after(agent_refusal_time, [this, serial] { probe_ends(serial, std::nullopt); });
  }
  std::optional<ServerReport> early;
  if (host_.server().answers() && random_.one_in(2)) early = host_.report();
  after(options_.probe_time, [this, serial, early = std::move(early)] {
    if (serial != probe_serial_) return;
    if (early || host_.server().answers()) return probe_ends(serial, early ? early : host_.report());
    asked_in_vain_ = true;
    after(options_.ping_timeout - options_.probe_time, [this, serial] {
      if (serial != probe_serial_) return;
      guard_->on_silence(probe_asked_);
      probe_ends(serial, std::nullopt);
    });
  });
}

void Agent::probe_ends(std::uint64_t serial, std::optional<ServerReport> report) {
  if (serial != probe_serial_) return;
  probing_ = asked_in_vain_ = false;
  const Duration interval = std::max<Duration>(options_.keepalive / 2, 20ms);
  after(std::max<Duration>(probe_asked_ + interval - local(), 0s), [this] { probe(); });
  if (process_ == Process::runs && probe_asked_ < found_at_) return;
  if (report) guard_->on_report(*report, probe_asked_);
  act();
}

void Agent::server_thaws() {
  for (const auto& order : std::vector(orders_)) order_takes_effect(order.id);
  if (!guard_ || !asked_in_vain_) return;
  asked_in_vain_ = false;
  after(options_.probe_time / 2, [this, serial = probe_serial_] {
    if (host_.server().answers()) probe_ends(serial, host_.report());
  });
}

// --- orders
// ------------------------------------------------------------------------------------------------------

void Agent::carry_out(Order order) {
  host_.tell(std::string("the agent: ") + to_string(order) + " (" + guard_->why() + ")");
  if (order == Order::kill) {
    if (!is_there(host_.server())) return guard_->on_done(order, false, local());
    kill_running_ = true;
    time_.after(1ms, [this, life = life_] {
      if (life == life_) host_.kill();
    });
    return;
  }
  const std::uint64_t id = ++last_order_;
  orders_.push_back({.order = order, .asked = local(), .id = id});
  // Once it is sent it does not matter what becomes of us.
  time_.after(options_.order_time / 2, [this, id] { order_takes_effect(id); });
  after(order_patience, [this, id] { order_ends(id, false); });
}

void Agent::order_takes_effect(std::uint64_t id) {
  const auto found = std::ranges::find(orders_, id, &Running::id);
  if (found == orders_.end()) return;
  if (!is_there(host_.server())) {
    if (guard_ && !found->taken) return after(agent_refusal_time, [this, id] { order_ends(id, false); });
    orders_.erase(found);
    return;
  }
  if (!host_.server().answers()) return;  // it stays in the server's socket
  if (!host_.make_read_only()) {
    time_.after(agent_look_again, [this, id] { order_takes_effect(id); });
    return;
  }
  if (found->taken || !guard_) {
    orders_.erase(found);
    return;
  }
  after(options_.order_time / 2, [this, id] { order_ends(id, true); });
}

void Agent::order_ends(std::uint64_t id, bool ok) {
  const auto found = std::ranges::find(orders_, id, &Running::id);
  if (found == orders_.end() || found->taken) return;
  const Running order = *found;
  // A server that stands still may have read it, or not.
  const bool stays = !ok && host_.server().power == ModelServer::Power::frozen && random_.one_in(2);
  found->taken = stays;
  if (!stays) orders_.erase(found);
  const bool of_this_process = process_ == Process::runs && order.asked >= found_at_;
  guard_->on_done(order.order, ok, local());
  if (ok && of_this_process) guard_->on_report(host_.report(), order.asked);
  if (!ok) host_.tell(std::string("the agent: ") + to_string(order.order) + " failed");
  act();
}

// --- words
// ------------------------------------------------------------------------------------------------------

void Agent::hear(LinkKind link, std::span<const std::uint8_t> bytes) {
  if (!guard_) return;
  if (stalled()) {
    return after(0s, [this, link, kept = std::vector(bytes.begin(), bytes.end())] { hear(link, kept); });
  }
  const auto open = [&](std::span<const std::uint8_t> frame) {
    session_->set_least_epoch(guard_->epoch());
    const auto heard = session_->open(frame, link, local());
    if (heard) obey(*heard, link);
  };
  if (link == LinkKind::serial) {
    line_.feed(bytes, open);
  } else {
    open(bytes);
  }
}

void Agent::obey(const LinkSession::Received& heard, LinkKind link) {
  if (heard.new_session) host_.tell("the agent meets the proxy");
  if (!heard.newest) return;
  const auto& word = std::get<ProxyWord>(heard.frame.word);
  const GuardMemory before = guard_->memory();
  const GrantedRole role = guard_->role();
  guard_->on_word(word, heard.frame.epoch, heard.ack_sent_at, local());
  if (guard_->epoch() < before.epoch) host_.violated("the agent's epoch goes back");
  const bool obeyed = guard_->role() != role || guard_->memory() != before;
  if (heard.frame.epoch < before.epoch && obeyed) host_.violated("the agent obeys a lower epoch");
  if (guard_->role() != role || guard_->epoch() != before.epoch) {
    host_.tell(std::string("the agent is told ") + to_string(word.role) + " in epoch " +
               std::to_string(heard.frame.epoch.value) + " by " + to_string(link));
  }
  act();
}

void Agent::act() {
  for (const Order order : guard_->step(local())) carry_out(order);
  memory_ = guard_->memory();
  note_right();
  const AgentWord word = guard_->word(local());
  if (without_flux(word) != told_ || guard_->epoch() != told_epoch_) {
    if (word.lease_lost && !told_.lease_lost) host_.tell("the agent: the lease ran out");
    told_ = without_flux(word);
    told_epoch_ = guard_->epoch();
    send();
  }
  arm();
}

void Agent::arm() {
  const Instant next = guard_->next_deadline();
  const std::uint64_t alarm = ++alarm_;
  if (next == Instant::max()) return;
  const Duration wait = std::max<Duration>(clock_.when(next) - time_.now(), 100us);
  after(wait, [this, alarm] {
    if (alarm == alarm_) act();
  });
}

void Agent::keepalive() {
  act();
  send();
  after(options_.keepalive, [this] { keepalive(); });
}

void Agent::send() {
  AgentWord word = guard_->word(local());
  const bool with_gtids = guard_->role() == GrantedRole::fence || frames_++ % gtids_every == 0;
  if (!with_gtids) {
    word.gtids.clear();
    word.received.clear();
  }
  for (const LinkKind link : options_.links) {
    const auto bytes = session_->seal(word, guard_->epoch(), link, local());
    host_.send(link, link == LinkKind::serial ? cobs_encode(bytes) : bytes);
  }
}

}  // namespace pointsman::sim
