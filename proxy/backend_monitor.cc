#include "proxy/backend_monitor.h"

#include "health/io/clock.h"

namespace pointsman::proxy {

using namespace std::chrono_literals;

namespace {

constexpr core::Duration resolve_retry = 1s;     // while the name is unknown
constexpr core::Duration resolve_refresh = 30s;  // a name may move; a numeric address does not

}  // namespace

BackendMonitor::BackendMonitor(io::Loop& loop, io::Mailbox& mailbox, core::BackendId id,
                               const conf::Config& config, Sink sink, std::function<void()> on_address)
    : mailbox_(mailbox),
      id_(id),
      where_(config.backends[core::index(id)].address),
      sink_(std::move(sink)),
      on_address_(std::move(on_address)),
      resolver_(loop,
                [this](io::Resolver::Result result) {
                  const bool known = result.has_value();
                  if (known) {
                    address_ = result->front();
                    on_address_();
                  }
                  resolve_again_.start_after(known ? resolve_refresh : resolve_retry);
                }),
      resolve_again_(loop, [this] { resolve(); }),
      check_(loop, [this](const io::ConnectCheck::Result& result) { on_connect(result); }) {
  make_threads(config);
  address_ = io::Address::numeric(where_);
  if (!address_) resolve();
}

void BackendMonitor::resolve() {
  resolver_.start(where_);
}

void BackendMonitor::make_threads(const conf::Config& config) {
  connect_timeout_ = config.proxy.connect_timeout;
  // Destroyed before their successors are made: no two command threads ever speak to one server.
  prober_.reset();
  commander_.reset();
  const auto send = [this](core::Event event) {
    // A full mailbox drops evidence, which the next probe renews; a dropped answer to a command ends by its
    // deadline.
    (void)mailbox_.post([this, event = std::move(event)] { sink_(event); });
  };
  mysql::Prober::Options probe{where_, config.monitor.account, config.monitor.interval,
                               config.monitor.timeout};
  prober_ = std::make_unique<mysql::Prober>(probe, [this, send](mysql::ProbeResult result) {
    if (result.outcome) {
      send(core::ProbeSucceeded{id_, std::move(*result.outcome), result.started, result.finished});
    } else {
      send(core::ProbeFailed{id_, std::move(result.outcome.error()), result.finished});
    }
  });
  mysql::Commander::Options command{where_, config.monitor.account, config.replication.account,
                                    config.proxy.connect_timeout};
  commander_ = std::make_unique<mysql::Commander>(
      command, [this, send](core::CommandId id, core::CommandResult result) {
        // The report in it was taken at some moment until now.
        send(core::CommandFinished{id, id_, std::move(result), core::Instant{}});
      });
}

void BackendMonitor::reconfigure(const conf::Config& config) {
  make_threads(config);
}

void BackendMonitor::command(core::CommandId id, core::Command command) {
  commander_->submit(id, std::move(command));
}

void BackendMonitor::check_reconnect(unsigned attempts) {
  if (check_.running() || !address_) return;
  attempts_left_ = attempts;
  refused_in_row_ = 0;
  check_.start(*address_, connect_timeout_);
}

void BackendMonitor::on_connect(const io::ConnectCheck::Result& result) {
  const bool refused = result.outcome == io::ConnectCheck::Outcome::refused;
  if (refused) ++refused_in_row_;
  if (refused && --attempts_left_ > 0) return check_.start(*address_, connect_timeout_);
  sink_(core::ReconnectChecked{id_, refused_in_row_, result.outcome == io::ConnectCheck::Outcome::accepted});
}

}  // namespace pointsman::proxy
