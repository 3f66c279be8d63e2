#include "proxy/control.h"

#include <cstring>
#include <utility>

#include "health/io/clock.h"
#include "proxy/external_program.h"
#include "proxy/handed_route.h"
#include "proxy/records_json.h"
#include "proxy/wall_clock.h"
#include "proxy/when_all_done.h"

namespace pointsman::proxy {

using namespace std::chrono_literals;

namespace {

constexpr core::Duration fence_command_timeout = 15s;
// How long a route of another process stays while nobody knows who is primary: longer than it takes to hear
// that from servers of which some are down.
constexpr core::Duration inherited_for = 5s;
constexpr std::size_t max_held_back = 4096;  // as the mailbox that they came from

std::vector<std::string> names_of(const conf::Config& config) {
  std::vector<std::string> names;
  names.reserve(config.backends.size());
  for (const auto& backend : config.backends) names.push_back(backend.name);
  return names;
}

}  // namespace

Control::Control(Parts parts, conf::Config config, core::DurableState stored, std::string state_dir)
    : loop_(parts.loop),
      mailbox_(parts.mailbox),
      background_(parts.background),
      workers_(parts.workers),
      formers_(parts.formers),
      history_(parts.history),
      log_(parts.log),
      config_(std::move(config)),
      writer_(background_, mailbox_, log_, state_dir,
              [this](core::StateStored stored_now) { feed(std::move(stored_now)); }),
      controller_(config_, std::move(stored), io::now(), wall_clock_ms()),
      take_backs_(
          mailbox_, std::move(state_dir), [this](core::TookBack took) { feed(std::move(took)); },
          [this, names = names_of(config_)](core::BackendId backend, const std::string& text) {
            log_.info("take_back", {{"backend", names[core::index(backend)]}, {"stage", text}});
          }),
      traffic_fed_(config_.backends.size(), core::Instant::min()),
      timer_(loop_, [this] { tick(); }),
      state_since_(io::now()),
      identities_(identities_of(config_)) {}

Control::~Control() {
  stop();
}

void Control::begin(const RoutePtr& inherited) {
  if (inherited) inherited_until_ = io::now() + inherited_for;
  for (std::size_t i = 0; i < config_.backends.size(); ++i) {
    monitors_.push_back(std::make_unique<BackendMonitor>(
        loop_, mailbox_, static_cast<core::BackendId>(i), config_,
        [this](core::Event event) { feed(std::move(event)); }, [this] { publish_route(); }));
  }
  const bool serves = inherited && inherited->mode == Route::Mode::open;
  perform(controller_.begin(serves ? inherited->backend : std::nullopt));
  feed(core::Tick{});
}

void Control::on_not_stored(const std::string& error) {
  log_.error("state_not_stored", {{"why", error}});
  feed(core::StateStored{0, std::unexpected(error)});
}

void Control::stop() {
  if (!stopped_) writer_.finish();
  stopped_ = true;
  timer_.stop();
  monitors_.clear();
  replies_.clear();
}

std::expected<void, std::string> Control::suspend() {
  if (controller_.change() != nullptr)
    return std::unexpected(controller_.state() == core::State::switching_over ? "a switchover is under way"
                                                                              : "a failover is under way");
  if (controller_.preparation() != nullptr) return std::unexpected("a switchover is being prepared");
  if (!sent_.empty()) return std::unexpected("a server carries out an order");
  if (take_backs_.busy()) return std::unexpected("a server's own transactions are being taken back");
  if (*unapplied_ > 0) return std::unexpected("the workers turn to a new route");
  if (writer_.busy()) return std::unexpected("the state is being written");
  suspended_ = true;
  timer_.stop();
  return {};
}

void Control::resume() {
  suspended_ = false;
  publish_route();
  for (auto& event : std::exchange(held_back_, {})) feed(std::move(event));
  feed(core::Tick{});
}

void Control::leave() {
  for (auto& [id, on_reply] : std::exchange(replies_, {}))
    on_reply(
        {id, false, "another process took the daemon's place at this moment; say it again", {}, {}, {}, {}});
}

core::Duration Control::in_state() const {
  return io::now() - state_since_;
}

void Control::request(const std::function<core::Event(core::RequestId)>& make, OnReply on_reply) {
  const auto id = static_cast<core::RequestId>(++last_request_);
  replies_[id] = std::move(on_reply);
  feed(make(id));
}

void Control::reconfigure(const conf::Config& config) {
  const auto same_account = [](const conf::Account& a, const conf::Account& b) {
    return a.user == b.user && a.password == b.password;
  };
  const bool monitors_change = !same_account(config_.monitor.account, config.monitor.account) ||
                               !same_account(config_.replication.account, config.replication.account) ||
                               config_.monitor.interval != config.monitor.interval ||
                               config_.monitor.timeout != config.monitor.timeout ||
                               config_.proxy.connect_timeout != config.proxy.connect_timeout;
  config_ = config;
  workers_.reconfigure(config_.proxy);
  if (monitors_change) {
    for (auto& monitor : monitors_) monitor->reconfigure(config_);
  }
  feed(core::Reconfigured{config_});
}

// --- in
// -------------------------------------------------------------------------------------------------------------

void Control::feed(core::Event event) {
  if (stopped_) return;
  if (suspended_) {
    if (held_back_.size() < max_held_back) held_back_.push_back(std::move(event));
    return;
  }
  const core::Instant now = io::now();
  if (auto* finished = std::get_if<core::CommandFinished>(&event)) {
    const auto sent = sent_.extract(finished->id);
    finished->started = sent ? sent.mapped() : now;
  }
  // Traffic outranks a failed probe, so it must be known when the failure is judged.
  if (std::holds_alternative<core::ProbeFailed>(event) || std::holds_alternative<core::Tick>(event))
    feed_traffic(now);
  if (on_event) on_event(event);
  perform(controller_.step(event, now));
  if (why_held_off() != held_off_ || (inherited_until_ && now >= *inherited_until_)) publish_route();
  if (on_step) on_step();
  if (const core::State state = controller_.state(); state != state_) {
    state_ = state;
    state_since_ = now;
    log_.info("state", {{"state", core::to_string(state)},
                        {"epoch", controller_.cluster().epoch.value},
                        {"why", controller_.reason()}});
    if (on_state_change) on_state_change();
  }
  arm(io::now());
}

void Control::feed_traffic(core::Instant now) {
  for (std::size_t i = 0; i < monitors_.size(); ++i) {
    const auto id = static_cast<core::BackendId>(i);
    const core::Instant last = std::max(workers_.last_traffic(id), formers_.last_traffic(identities_[i]));
    if (last <= traffic_fed_[i]) continue;
    traffic_fed_[i] = last;
    perform(controller_.step(core::TrafficSeen{id, last}, now));
  }
}

void Control::tick() {
  feed(core::Tick{});
}

void Control::arm(core::Instant now) {
  if (!stopped_ && !suspended_)
    timer_.start_after(std::max(controller_.next_deadline() - now, core::Duration::zero()));
}

// --- out
// ------------------------------------------------------------------------------------------------------------

void Control::perform(core::Actions actions) {
  for (auto& action : actions) {
    if (stopped_) return;
    std::visit([this](auto& a) { perform(a); }, action);
  }
}

void Control::perform(core::SendCommand& action) {
  sent_[action.id] = io::now();
  log_.debug("command", {{"backend", config_.backends[core::index(action.backend)].name},
                         {"command", core::name_of(action.command)}});
  monitor(action.backend).command(action.id, std::move(action.command));
}

void Control::perform(core::AbortCommands& action) {
  monitor(action.backend).abort_commands();
}

void Control::perform(core::CheckReconnect& action) {
  monitor(action.backend).check_reconnect(action.attempts);
}

void Control::perform(core::ProbeNow& action) {
  monitor(action.backend).probe_now();
}

void Control::perform(core::SetRoute& action) {
  route_ = action;
  publish_route();
}

// A server that refuses the header would end each of them at its login, and count it as an attack by us
// (max_connect_errors), the monitor included.
std::string Control::why_held_off() const {
  if (config_.proxy.proxy_protocol == conf::ProxyProtocol::off || !route_.backend) return {};
  const core::Server& server = controller_.cluster().at(*route_.backend);
  const std::string why = server.answered() ? core::why_no_proxy_header(server.report()) : std::string();
  return why.empty() ? why : server.name() + ": " + why;
}

// The core begins with a closed route, as whoever was routed by a daemon before it had no sessions left.
// Nobody is promoted without a change, whose route is published whatever it is.
bool Control::inherited_route_stays() {
  if (!inherited_until_) return false;
  const bool finding_out = !controller_.cluster().primary && controller_.change() == nullptr;
  if (finding_out && route_.mode == core::RouteMode::closed && io::now() < *inherited_until_) return true;
  inherited_until_.reset();
  return false;
}

// Also called when a name was resolved, or a server's answer to the PROXY protocol changed: both are part of
// the snapshot.
void Control::publish_route() {
  static constexpr Route::Mode modes[] = {Route::Mode::open, Route::Mode::holding, Route::Mode::draining,
                                          Route::Mode::closed};
  if (route_.token == 0 || suspended_ || inherited_route_stays()) return;
  auto route = std::make_shared<Route>();
  route->epoch = route_.epoch;
  route->mode = modes[static_cast<std::size_t>(route_.mode)];
  route->backend = route_.backend;
  route->reason = route_.reason;
  if (route_.backend && index(*route_.backend) < monitors_.size()) {
    if (const auto& address = monitor(*route_.backend).address()) {
      route->address = address->storage;
      route->address_length = address->length;
    } else if (route->mode == Route::Mode::open) {
      route->mode = Route::Mode::holding;
      route->reason =
          "the name " + config_.backends[core::index(*route_.backend)].address.host + " cannot be resolved";
    }
  }
  if (std::string why = why_held_off(); why != held_off_) {
    held_off_ = std::move(why);
    if (!held_off_.empty()) log_.error("clients_held_off", {{"why", held_off_}});
  }
  if (!held_off_.empty() && route->mode == Route::Mode::open) {
    route->mode = Route::Mode::holding;
    route->reason = held_off_;
  }
  ++*unapplied_;
  const auto acted = std::make_shared<WhenAllDone>([this, token = route_.token, unapplied = unapplied_] {
    (void)mailbox_.post([this, token] { feed(core::RouteApplied{token}); });
    --*unapplied;
  });
  formers_.set_route(*route, identities_, acted);
  workers_.set_route(std::move(route), [acted] {});
}

void Control::perform(core::StoreState& action) {
  writer_.store(std::move(action));
}

void Control::perform(core::RunFenceCommand& action) {
  const auto id = action.backend;
  auto result = std::make_shared<std::expected<void, std::string>>();
  const ProgramOrder order{.command = config_.fence.command,
                           .input = fence_options(config_.backends[core::index(id)].name),
                           .timeout = fence_command_timeout};
  const bool begun = background_.submit(
      [result, order] {
        if (auto done = run_program(order); !done) *result = std::unexpected(std::move(done.error().text));
      },
      [this, id, result] { feed(core::FenceCommandFinished{id, *result}); });
  if (!begun) log_.error("fence_not_started", {{"why", "too much background work"}});
}

void Control::perform(core::TakeBack& action) {
  take_backs_.start(action, config_);
}

void Control::perform(core::AbortTakeBack& action) {
  take_backs_.abort(action.backend);
}

void Control::perform(core::Record& action) {
  const core::HistoryRecord& record = action.record;
  if (on_record) on_record(record);
  history_.append(event_json(record, wall_clock_ms()));
  std::string steps;
  for (const auto& step : record.steps) {
    steps += (steps.empty() ? "" : " ") + step.name + "=" +
             std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(step.took).count()) + "us";
  }
  std::vector<io::LogField> fields{{"epoch", record.epoch.value}};
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) fields.push_back({key, value});
  };
  add("backend", record.backend);
  add("from", record.from);
  add("to", record.to);
  add("verdict", record.verdict);
  add("steps", steps);
  if (record.total) fields.push_back({"total_ms", core::to_ms_exact(*record.total)});
  for (const auto& lost : record.lost) add("lost", lost);
  add("why", record.message);
  const bool for_a_person =
      record.kind == "quarantine" || record.kind == "refused" || record.kind == "no_primary" || record.failed;
  const conf::LogLevel level = record.kind == "step" ? conf::LogLevel::debug
                               : for_a_person        ? conf::LogLevel::error
                                                     : conf::LogLevel::info;
  log_.write(level, record.kind, fields);
}

void Control::perform(core::Reply& action) {
  const auto waiting = replies_.extract(action.id);
  if (waiting) waiting.mapped()(action);
}

}  // namespace pointsman::proxy
