#include "proxy/daemon.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <future>
#include <memory>
#include <optional>
#include <string>

#include "conf/describe.h"
#include "health/core/controller.h"
#include "health/io/background.h"
#include "health/io/clock.h"
#include "health/io/log.h"
#include "health/io/loop.h"
#include "health/io/mailbox.h"
#include "health/io/signal.h"
#include "health/io/systemd.h"
#include "proxy/activation.h"
#include "proxy/admin_requests.h"
#include "proxy/admin_server.h"
#include "proxy/beginning.h"
#include "proxy/control.h"
#include "proxy/drain_watch.h"
#include "proxy/draining.h"
#include "proxy/estate.h"
#include "proxy/former_processes.h"
#include "proxy/handed_route.h"
#include "proxy/handover.h"
#include "proxy/heartbeats.h"
#include "proxy/history.h"
#include "proxy/hooks.h"
#include "proxy/metrics.h"
#include "proxy/read_again.h"
#include "proxy/state_dir.h"
#include "proxy/successor.h"
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
  explicit Daemon(Beginning beginning)
      : config_(std::move(beginning.config)),
        log_(std::move(beginning.log)),
        state_dir_(std::move(*beginning.state_dir)),
        systemd_(std::move(beginning.systemd)),
        mailbox_(loop_),
        background_(loop_),
        history_(background_, state_dir_.path()),
        hooks_(*log_, config_.hooks),
        workers_(std::move(beginning.workers)),
        formers_(loop_, *log_),
        control_({loop_, mailbox_, background_, *workers_, history_, *log_, formers_}, config_,
                 std::move(beginning.stored), state_dir_.path()),
        heartbeats_(beginning.keys == nullptr
                        ? nullptr
                        : std::make_unique<Heartbeats>(loop_, *log_, config_, std::move(beginning.keys),
                                                       agent_callbacks(), std::move(beginning.links))),
        requests_({control_, *workers_, history_, mailbox_, heartbeats_.get(), formers_, io::now(),
                   [this](auto answer) { reload(std::move(answer)); },
                   [this](auto timeout, auto answer) { drain(timeout, std::move(answer)); },
                   [this] { return drain_.left(); }}),
        admin_(loop_, config_.admin.socket,
               [this](const nlohmann::json& request, const std::shared_ptr<Responder>& responder) {
                 requests_.handle(request, responder);
               }),
        metrics_({loop_, background_, control_, *workers_, admin_, history_, hooks_, formers_,
                  heartbeats_.get(), *log_}),
        handover_(loop_, *log_, state_dir_.path(), handover_callbacks()),
        successor_(loop_, *log_, std::move(beginning.start.command), systemd_.environment()),
        drain_(loop_, *log_, *workers_, formers_, [this] { stop("drained"); }),
        watchdog_(loop_, [this] { systemd_.watchdog(); }),
        terminate_(loop_, SIGTERM, [this] { stop("SIGTERM"); }),
        interrupt_(loop_, SIGINT, [this] { stop("SIGINT"); }),
        hangup_(loop_, SIGHUP, [this] { on_hangup(); }),
        upgrade_(loop_, SIGUSR2, [this] { successor_.start(); }) {}

  std::expected<void, std::string> start(const std::expected<void, std::string>& saved,
                                         std::vector<io::Descriptor> activated);
  // In the place of another process.
  std::expected<void, std::string> start(Takeover& takeover, Takeover::Commit commit, SocketFile admin_place,
                                         io::Descriptor admin_listener);
  // To the end. What is left to do, when another process has taken our place.
  std::optional<Draining::Left> run() {
    loop_.run();
    return std::move(left_);
  }

 private:
  void connect_parts();
  void tell_start();
  void begin_watchdog();
  void stop(const std::string& why);
  void on_hangup() {
    log_->reopen();
    const auto read = ReadAgain::of(config_);
    const auto done = read ? apply(*read) : std::unexpected(read.error());
    if (!done) log_->error("reload_refused", {{"why", done.error()}});
  }

  // What counts at once; a sentence about all that has changed.
  std::expected<std::string, std::string> apply(const ReadAgain& read);
  // And by a new process what does not.
  void reload(AdminRequests::OnChange answer);

  void drain(std::optional<core::Duration> timeout, AdminRequests::OnChange answer);
  // Workers::when_acted() on the loop's thread.
  void when_workers_acted(std::function<void()> then);

  Handover::Callbacks handover_callbacks();
  std::string why_no_takeover() const;
  std::expected<void, std::string> suspend();
  void resume();
  Handover::Piece commit() const;
  void leave(Channel channel, const nlohmann::json& said, const ProcessHandle& successor);

  Heartbeats::Callbacks agent_callbacks() {
    return {.on_heard = [this](core::AgentHeard event) { control_.heard(std::move(event)); },
            .order_for = [this](core::BackendId id) { return control_.controller().order_for(id); },
            .on_sealed = [this](core::BackendId id, const core::ProxyWord& word,
                                std::optional<core::Instant> at) { control_.on_sealed(id, word, at); }};
  }
  std::string for_systemd() const;

  conf::Config config_;
  std::shared_ptr<io::Log> log_;  // shared with what goes on when another process has our place
  StateDir state_dir_;
  io::Systemd systemd_;
  io::Loop loop_;
  io::Mailbox mailbox_;
  io::Background background_;
  History history_;
  Hooks hooks_;
  std::shared_ptr<Workers> workers_;  // likewise
  FormerProcesses formers_;
  Control control_;
  std::unique_ptr<Heartbeats> heartbeats_;  // null: no backend has an agent
  AdminRequests requests_;
  AdminServer admin_;
  Metrics metrics_;
  Handover handover_;
  Successor successor_;
  std::optional<Draining::Left> left_;
  DrainWatch drain_;
  io::Timer watchdog_;
  io::Signal terminate_;
  io::Signal interrupt_;
  io::Signal hangup_;
  io::Signal upgrade_;
};

// --- start and end

void Daemon::connect_parts() {
  history_.load();
  history_.on_event = [this](const nlohmann::json& event) {
    requests_.publish(event);
    hooks_.on_event(event);
  };
  control_.on_state_change = [this] { systemd_.status(for_systemd()); };
  if (heartbeats_) control_.on_step = [this] { heartbeats_->send_changes(); };
}

void Daemon::tell_start() {
  for (const auto& address : workers_->listening())
    log_->info("listening", {{"address", conf::to_string(address)}});
  for (const auto& path : config_.proxy.listen_unix) log_->info("listening", {{"address", "unix:" + path}});
  for (const auto& advice : conf::advice(config_)) log_->warn("advice", {{"text", advice}});
}

void Daemon::begin_watchdog() {
  if (const auto interval = systemd_.watchdog_interval()) watchdog_.start_every(*interval);
}

std::expected<void, std::string> Daemon::start(const std::expected<void, std::string>& saved,
                                               std::vector<io::Descriptor> activated) {
  connect_parts();
  if (auto started = admin_.start(); !started) return started;
  if (auto started = metrics_.start(config_.admin.metrics); !started) return started;
  if (heartbeats_) {
    if (auto started = heartbeats_->start(); !started) return started;
  }
  if (auto listening = handover_.listen(); !listening) return listening;
  // Last, so that no client ever connects to a daemon that does not start.
  auto given = activated_sockets(std::move(activated));
  if (!given) return std::unexpected(given.error());
  if (auto bound = workers_->bind(*given); !bound) return bound;
  if (const std::string why = why_not_used(*given); !why.empty()) return std::unexpected(why);
  if (auto running = workers_->run(); !running) return running;
  tell_start();
  control_.begin();
  if (!saved) control_.on_not_stored(saved.error());
  systemd_.ready("looking for the primary");
  begin_watchdog();
  return {};
}

std::expected<void, std::string> Daemon::start(Takeover& takeover, Takeover::Commit commit,
                                               SocketFile admin_place, io::Descriptor admin_listener) {
  connect_parts();
  if (auto started = admin_.start(std::move(admin_place), std::move(admin_listener)); !started)
    return started;
  if (heartbeats_) {
    if (auto started = heartbeats_->start(); !started) return started;
  }
  const RoutePtr inherited = commit.route ? route_among(*commit.route, identities_of(config_)) : nullptr;
  if (inherited) workers_->set_route(inherited);
  if (auto running = workers_->run(); !running) return running;
  for (auto& former : commit.formers) formers_.add(std::move(former));
  if (auto listening = handover_.listen(); !listening) return listening;
  auto former = takeover.serving(config_.proxy.drain_timeout);
  if (former) {
    // Not before it has told systemd who is the main process.
    formers_.add(std::move(*former), [this] { systemd_.ready(for_systemd()); });
  } else {
    log_->warn("former_lost", {{"why", former.error()}});
  }
  // What is not wanted any more goes, with its files.
  admin_.keep_place(false);
  workers_->keep_files(false);
  takeover.discard_rest();
  log_->info("took_over", {{"from", former ? former->pid : 0}, {"formers", formers_.reports().size()}});
  tell_start();
  control_.begin(inherited);
  metrics_.start_later(config_.admin.metrics);
  begin_watchdog();
  return {};
}

void Daemon::stop(const std::string& why) {
  log_->info("stopping", {{"why", why}});
  systemd_.stopping();
  metrics_.stop();
  if (heartbeats_) heartbeats_->stop();
  control_.stop();
  workers_->stop();
  formers_.drop_all();
  hooks_.stop();
  history_.flush_now();
  loop_.stop();
}

std::string Daemon::for_systemd() const {
  if (drain_.begun()) return "draining";
  const core::Controller& controller = control_.controller();
  const core::Server* primary = controller.cluster().primary_server();
  const bool routed = controller.route().mode == core::RouteMode::open && primary != nullptr;
  return routed ? "primary " + primary->name()
                : std::string(core::to_string(controller.state())) + ": " + controller.reason();
}

// --- drain

// systemd is told at the end alone: STOPPING=1 begins TimeoutStopSec=.
void Daemon::drain(std::optional<core::Duration> timeout, AdminRequests::OnChange answer) {
  if (handover_.under_way()) return answer(std::unexpected("another process takes over at this moment"));
  drain_.begin(timeout.value_or(config_.proxy.drain_timeout));
  when_workers_acted([this, answer = std::move(answer)] { answer(drain_.closed()); });
  systemd_.status(for_systemd());
}

void Daemon::when_workers_acted(std::function<void()> then) {
  workers_->when_acted([this, then = std::move(then)] {
    (void)mailbox_.post(then);  // not taken: the daemon ends
  });
}

// --- takeover by another process

Handover::Callbacks Daemon::handover_callbacks() {
  return {
      .sockets = [this] { return pieces_of({state_dir_, admin_, *workers_, heartbeats_.get()}); },
      .lease = [this] { return heartbeats_ ? config_.heartbeat.lease : core::Duration::zero(); },
      .suspend = [this] { return suspend(); },
      .commit = [this] { return commit(); },
      .resume = [this] { resume(); },
      .handed_over = [this](Channel channel, const nlohmann::json& said,
                            const ProcessHandle& successor) { leave(std::move(channel), said, successor); },
      .why_not =
          [this](pid_t by) {
            const std::string why = why_no_takeover();
            return why.empty() ? why_not_of_our_service(systemd_, by) : why;
          }};
}

std::string Daemon::why_no_takeover() const {
  if (drain_.begun()) return "the daemon drains";
  if (formers_.full())
    return std::to_string(FormerProcesses::limit) +
           " former processes still serve sessions: wait for them, or lower proxy.drain_timeout";
  return {};
}

std::expected<void, std::string> Daemon::suspend() {
  // Its end would be the end of the program.
  if (hooks_.busy()) return std::unexpected("a hooks.command runs");
  auto suspended = control_.suspend();
  if (!suspended) return suspended;
  if (heartbeats_) heartbeats_->suspend();
  history_.flush_now();
  return {};
}

void Daemon::resume() {
  if (heartbeats_) heartbeats_->resume();
  control_.resume();
  log_->info("going_on", {{"why", "no other process took over"}});
}

Handover::Piece Daemon::commit() const {
  auto handed = formers_.handed();
  nlohmann::json what{{"formers", std::move(handed.list)}};
  if (const RoutePtr route = workers_->route()) what["route"] = to_json(*route, identities_of(config_));
  return {std::move(what), std::move(handed.files)};
}

void Daemon::leave(Channel channel, const nlohmann::json& said, const ProcessHandle& successor) {
  log_->info("handed_over", {{"to", successor.pid()}});
  successor_.handed_over();
  systemd_.hand_to(successor.pid());
  watchdog_.stop();
  workers_->keep_files(true);
  workers_->stop_accepting();
  admin_.keep_place(true);
  if (heartbeats_) heartbeats_->leave();
  control_.leave();
  formers_.drop_all();
  // What workers were told and asked comes back to objects that are about to go.
  std::promise<void> acted;
  std::promise<void> answered;
  workers_->when_acted([&] { acted.set_value(); });
  workers_->list_sessions(0, [&](const std::vector<SessionInfo>&) { answered.set_value(); });
  acted.get_future().wait();
  answered.get_future().wait();
  const auto limit = said.find("drain_timeout_ms");
  const bool told = limit != said.end() && limit->is_number_integer();
  const core::Duration drain_timeout =
      told ? core::Duration(std::chrono::milliseconds(limit->get<std::int64_t>()))
           : config_.proxy.drain_timeout;
  left_.emplace(Draining::Left{.log = log_,
                               .workers = workers_,
                               .channel = std::move(channel),
                               .identities = identities_of(config_),
                               .drain_timeout = drain_timeout});
  loop_.stop();
}

// --- reload

std::expected<std::string, std::string> Daemon::apply(const ReadAgain& read) {
  if (handover_.under_way()) return unchanged("another process takes over at this moment");
  auto next = read.applied_to(config_);
  if (!next) return std::unexpected(next.error());
  std::unique_ptr<io::AuthKeyring> keys;
  if (heartbeats_) {
    auto loaded = load_keys(next->heartbeat.authkeys, *log_);
    if (!loaded) return unchanged(loaded.error());
    keys = std::move(*loaded);
  }
  // The one thing that can fail yet.
  if (!drain_.begun()) {
    if (auto listening = workers_->relisten(next->proxy); !listening) return unchanged(listening.error());
  }
  config_ = std::move(*next);
  log_->set_level(config_.log.level);
  control_.reconfigure(config_);
  if (heartbeats_) heartbeats_->reconfigure(config_, std::move(keys));
  metrics_.reconfigure(config_.admin.metrics);
  hooks_.reconfigure(config_.hooks);
  log_->info("reloaded", {{"what", read.text}});
  return read.text;
}

void Daemon::reload(AdminRequests::OnChange answer) {
  const auto read = ReadAgain::of(config_);
  if (!read) return answer(std::unexpected(read.error()));
  // The new process would take all of the file.
  const std::string why_no_successor =
      read->takes(conf::Change::on_restart) ? "a restart is needed anyway" : why_no_takeover();
  const bool waits = read->takes(conf::Change::on_takeover);
  const bool starts_one = waits && why_no_successor.empty();
  // Either configuration may be possible although what would be in force meanwhile is not.
  const bool at_once = !starts_one || read->applied_to(config_);
  std::string text = read->text;
  if (at_once) {
    const auto applied = apply(*read);
    if (!applied) return answer(std::unexpected(applied.error()));
    if (waits && !starts_one) text += "; no new process is started: " + why_no_successor;
  }
  if (!starts_one) {
    // When nobody can connect to an address that is no longer in it.
    return when_workers_acted([answer = std::move(answer), text] { answer(text); });
  }
  successor_.start([answer = std::move(answer), text, at_once](const std::string& why_not) {
    if (why_not.empty()) return answer(text + "; a new process has taken over");
    if (!at_once) return answer(unchanged(why_not));
    answer(std::unexpected(text + "; what takes a new process was not applied: " + why_not));
  });
}

}  // namespace

int run_daemon(conf::Config config, const DaemonStart& start) {
  Beginning beginning{.config = std::move(config),
                      .start = start,
                      .systemd = io::Systemd::from_environment(),
                      .activated = io::sockets_of_systemd()};
  std::signal(SIGPIPE, SIG_IGN);
  if (auto prepared = beginning.prepare(); !prepared) return refuse(prepared.error());
  auto takeover = std::move(beginning.takeover);
  auto commit = std::move(beginning.commit);
  auto admin_place = std::move(beginning.admin_place);
  auto admin_listener = std::move(beginning.admin_listener);
  const auto saved = beginning.saved;
  auto activated = std::move(beginning.activated);
  auto daemon = std::make_unique<Daemon>(std::move(beginning));
  auto started = takeover ? daemon->start(*takeover, std::move(commit), std::move(*admin_place),
                                          std::move(admin_listener))
                          : daemon->start(saved, std::move(activated));
  if (!started) return refuse(started.error());
  auto left = daemon->run();
  if (!left) return 0;
  Draining draining(std::move(*left));  // before the other goes, whose signals it takes
  daemon.reset();
  return draining.run();
}

}  // namespace pointsman::proxy
