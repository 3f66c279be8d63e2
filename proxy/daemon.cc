#include "proxy/daemon.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "conf/describe.h"
#include "conf/differences.h"
#include "conf/loader.h"
#include "health/core/controller.h"
#include "health/io/background.h"
#include "health/io/clock.h"
#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/mailbox.h"
#include "health/io/signal.h"
#include "health/io/systemd.h"
#include "proxy/admin_requests.h"
#include "proxy/admin_server.h"
#include "proxy/control.h"
#include "proxy/heartbeats.h"
#include "proxy/history.h"
#include "proxy/hooks.h"
#include "proxy/metrics.h"
#include "proxy/state_dir.h"
#include "proxy/workers.h"

namespace pointsman::proxy {
namespace {

int refuse(const std::string& why) {
  std::fprintf(stderr, "pointsman: %s\n", why.c_str());
  return 1;
}

// Everything that lives as long as the daemon runs, in the order of its making.
class Daemon {
 public:
  Daemon(conf::Config config, std::unique_ptr<io::Log> log, StateDir state_dir, core::DurableState stored,
         std::unique_ptr<io::AuthKeyring> keys, io::Systemd& systemd)
      : config_(std::move(config)),
        log_(std::move(log)),
        state_dir_(std::move(state_dir)),
        systemd_(systemd),
        mailbox_(loop_),
        background_(loop_),
        history_(background_, state_dir_.path()),
        hooks_(*log_, config_.hooks),
        workers_({config_.proxy, log_.get()}),
        control_({loop_, mailbox_, background_, workers_, history_, *log_}, config_, std::move(stored),
                 state_dir_.path()),
        heartbeats_(keys == nullptr ? nullptr
                                    : std::make_unique<Heartbeats>(loop_, *log_, config_, std::move(keys),
                                                                   agent_callbacks())),
        requests_({control_, workers_, history_, mailbox_, heartbeats_.get(), io::now(),
                   [this] { return reload(); }}),
        admin_(loop_, config_.admin.socket,
               [this](const nlohmann::json& request, const std::shared_ptr<Responder>& responder) {
                 requests_.handle(request, responder);
               }),
        metrics_(
            {loop_, background_, control_, workers_, admin_, history_, hooks_, heartbeats_.get(), *log_}),
        watchdog_(loop_, [this] { systemd_.watchdog(); }),
        terminate_(loop_, SIGTERM, [this] { stop("SIGTERM"); }),
        interrupt_(loop_, SIGINT, [this] { stop("SIGINT"); }),
        hangup_(loop_, SIGHUP, [this] { on_hangup(); }) {}

  // `saved`: whether the state could be written just now.
  int run(const std::expected<void, std::string>& saved) {
    history_.load();
    history_.on_event = [this](const nlohmann::json& event) {
      requests_.publish(event);
      hooks_.on_event(event);
    };
    control_.on_state_change = [this] { tell_systemd(); };
    if (auto started = admin_.start(); !started) return refuse(started.error());
    if (auto started = metrics_.start(config_.admin.metrics); !started) return refuse(started.error());
    if (heartbeats_) {
      control_.on_step = [this] { heartbeats_->send_changes(); };
      if (auto started = heartbeats_->start(); !started) return refuse(started.error());
    }
    // Last, so that no client ever connects to a daemon that does not start.
    if (auto started = workers_.start(); !started) return refuse(started.error());
    for (const auto& address : workers_.listening())
      log_->info("listening", {{"address", conf::to_string(address)}});
    for (const auto& path : config_.proxy.listen_unix) log_->info("listening", {{"address", "unix:" + path}});
    for (const auto& advice : conf::advice(config_)) log_->warn("advice", {{"text", advice}});
    control_.begin();
    if (!saved) control_.on_not_stored(saved.error());
    systemd_.ready("looking for the primary");
    if (const auto interval = systemd_.watchdog_interval()) watchdog_.start_every(*interval);
    loop_.run();
    return 0;
  }

 private:
  void stop(const char* why) {
    log_->info("stopping", {{"why", why}});
    systemd_.stopping();
    metrics_.stop();
    if (heartbeats_) heartbeats_->stop();
    control_.stop();
    workers_.stop();
    hooks_.stop();
    history_.flush_now();
    loop_.stop();
  }

  void on_hangup() {
    log_->reopen();
    const auto result = reload();
    if (!result) log_->error("reload_refused", {{"why", result.error()}});
  }

  std::expected<std::string, std::string> reload();
  Heartbeats::Callbacks agent_callbacks() {
    return {.on_heard = [this](core::AgentHeard event) { control_.heard(std::move(event)); },
            .order_for = [this](core::BackendId id) { return control_.controller().order_for(id); },
            .on_sealed = [this](core::BackendId id, const core::ProxyWord& word,
                                std::optional<core::Instant> at) { control_.on_sealed(id, word, at); }};
  }
  void tell_systemd() {
    const core::Controller& controller = control_.controller();
    const core::Server* primary = controller.cluster().primary_server();
    const bool routed = controller.route().mode == core::RouteMode::open && primary != nullptr;
    systemd_.status(routed ? "primary " + primary->name()
                           : std::string(core::to_string(controller.state())) + ": " + controller.reason());
  }

  conf::Config config_;
  std::unique_ptr<io::Log> log_;
  StateDir state_dir_;
  io::Systemd& systemd_;
  io::Loop loop_;
  io::Mailbox mailbox_;
  io::Background background_;
  History history_;
  Hooks hooks_;
  Workers workers_;
  Control control_;
  std::unique_ptr<Heartbeats> heartbeats_;  // null: no backend has an agent
  AdminRequests requests_;
  AdminServer admin_;
  Metrics metrics_;
  io::Timer watchdog_;
  io::Signal terminate_;
  io::Signal interrupt_;
  io::Signal hangup_;
};

std::expected<std::string, std::string> Daemon::reload() {
  const auto refused = [](const std::string& why) {
    return std::unexpected("the configuration was not changed: " + why);
  };
  const auto list = [](const std::vector<conf::Problem>& problems) {
    std::string all;
    for (const auto& problem : problems) all += (all.empty() ? "" : "\n") + conf::to_string(problem);
    return all;
  };
  const auto read = conf::load(config_.file);
  if (!read) return refused(list(read.error()));
  auto next = conf::reloaded(config_, *read);
  if (!next) return refused(list(next.error()));
  std::unique_ptr<io::AuthKeyring> keys;
  if (heartbeats_) {
    auto loaded = load_keys(next->heartbeat.authkeys, *log_);
    if (!loaded) return std::unexpected("the configuration was not changed: " + loaded.error());
    keys = std::move(*loaded);
  }
  std::string text;
  for (const auto& difference : conf::differences(config_, *read))
    text += (text.empty() ? "" : "; ") + conf::to_string(difference);
  config_ = std::move(*next);
  log_->set_level(config_.log.level);
  control_.reconfigure(config_);
  if (heartbeats_) heartbeats_->reconfigure(config_, std::move(keys));
  metrics_.reconfigure(config_.admin.metrics);
  hooks_.reconfigure(config_.hooks);
  if (text.empty()) text = "nothing has changed";
  log_->info("reloaded", {{"what", text}});
  return text;
}

}  // namespace

int run_daemon(conf::Config config) {
  auto systemd = io::Systemd::from_environment();
  std::signal(SIGPIPE, SIG_IGN);
  auto log = io::Log::open(config.log);
  if (!log) return refuse(log.error());
  auto state_dir = StateDir::open(config.proxy.state_dir);
  if (!state_dir) return refuse(state_dir.error());
  auto stored = state_dir->load();
  if (!stored) return refuse(stored.error());
  // Proved now: without it there is no failover later. On a disk that is full since then the primary on
  // record is served nevertheless.
  auto saved = StateDir::save(state_dir->path(), *stored);
  if (!saved && stored->primary.empty()) return refuse(saved.error());
  std::unique_ptr<io::AuthKeyring> keys;
  if (std::ranges::any_of(config.backends, &conf::Backend::has_agent)) {
    auto loaded = load_keys(config.heartbeat.authkeys, **log);
    if (!loaded) return refuse(loaded.error());
    keys = std::move(*loaded);
  }
  Daemon daemon(std::move(config), std::move(*log), std::move(*state_dir), std::move(*stored),
                std::move(keys), systemd);
  return daemon.run(saved);
}

}  // namespace pointsman::proxy
