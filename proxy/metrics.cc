#include "proxy/metrics.h"

#include <mutex>
#include <utility>
#include <vector>

#include <prometheus/collectable.h>

#include "health/io/clock.h"
#include "proxy/metrics_endpoint.h"
#include "proxy/metrics_families.h"
#include "proxy/wall_clock.h"

namespace pointsman::proxy {

namespace {

constexpr core::Duration patience = std::chrono::seconds(10);
constexpr core::Duration try_again_after = std::chrono::milliseconds(50);

}  // namespace

// Where the loop leaves the newest snapshot, and scrapes find it. Any thread.
class Metrics::Board final : public prometheus::Collectable {
 public:
  void post(MetricsSnapshot snapshot) {
    auto next = std::make_shared<const MetricsSnapshot>(std::move(snapshot));
    const std::lock_guard lock(mutex_);
    newest_.swap(next);  // the old one is freed by `next`, after the lock
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    lower_priority_of_this_thread();
    const auto newest = this->newest();
    if (!newest) return {};
    auto families = metric_families(*newest, io::now());
    for (auto& family : process_families()) families.push_back(std::move(family));
    return families;
  }

 private:
  std::shared_ptr<const MetricsSnapshot> newest() const {
    const std::lock_guard lock(mutex_);
    return newest_;
  }

  mutable std::mutex mutex_;
  std::shared_ptr<const MetricsSnapshot> newest_;
};

struct Metrics::Door {
  std::string address;  // "": closed
  std::unique_ptr<MetricsEndpoint> endpoint;
  std::string trouble;  // of the last move

  bool open(const std::string& where, const std::shared_ptr<Board>& board) {
    endpoint.reset();
    address.clear();
    if (where.empty()) return true;
    auto opened = MetricsEndpoint::open(where, board);
    if (!opened) {
      trouble = opened.error();
      return false;
    }
    endpoint = std::move(*opened);
    address = where;
    return true;
  }
};

Metrics::Metrics(const Parts& parts)
    : background_(parts.background),
      sources_{parts.control, parts.workers, parts.admin,     parts.history,
               parts.hooks,   parts.formers, parts.heartbeats},
      control_(parts.control),
      log_(parts.log),
      board_(std::make_shared<Board>()),
      door_(std::make_shared<Door>()),
      timer_(parts.loop, [this] { refresh(); }),
      again_(parts.loop, [this] { move(); }) {}

Metrics::~Metrics() {
  stop();
}

std::expected<void, std::string> Metrics::start(const std::string& address) {
  count();
  wanted_ = address;
  refresh();
  if (!door_->open(address, board_)) return std::unexpected("admin.metrics: " + door_->trouble);
  if (door_->endpoint) log_.info("listening", {{"metrics", door_->endpoint->url()}});
  timer_.start_every(refresh_period);
  return {};
}

void Metrics::start_later(const std::string& address) {
  count();
  timer_.start_every(refresh_period);
  patient_until_ = io::now() + patience;
  reconfigure(address);
}

void Metrics::count() {
  control_.on_event = [this](const core::Event& event) { counts_.on_event(event); };
  control_.on_record = [this](const core::HistoryRecord& record) {
    counts_.on_record(record, wall_clock_ms());
  };
}

void Metrics::stop() {
  if (std::exchange(stopped_, true)) return;
  timer_.stop();
  again_.stop();
  control_.on_event = nullptr;
  control_.on_record = nullptr;
}

void Metrics::refresh() {
  if (wanted_.empty()) return;
  board_->post(gather_metrics(sources_, counts_, io::now()));
}

void Metrics::reconfigure(const std::string& address) {
  wanted_ = address;
  refresh();
  if (!moving_ && !stopped_ && wanted_ != door_->address) move();
}

void Metrics::move() {
  attempted_ = wanted_;
  moving_ = background_.submit(
      [door = door_, board = board_, wanted = wanted_] {
        // The old one first: both may need the same port.
        const std::string old = door->address;
        if (!door->open(wanted, board)) {
          const std::string why = std::exchange(door->trouble, {});
          (void)door->open(old, board);
          door->trouble = why;
        }
      },
      [this] { moved(); });
  if (!moving_) log_.warn("metrics_not_moved", {{"why", "too much background work; reload again"}});
}

void Metrics::moved() {
  moving_ = false;
  if (stopped_) return;
  const std::string why = std::exchange(door_->trouble, {});
  if (!why.empty() && io::now() < patient_until_) return again_.start_after(try_again_after);
  const std::string url = door_->endpoint ? door_->endpoint->url() : "nowhere";
  if (why.empty()) {
    log_.info("listening", {{"metrics", url}});
  } else {
    log_.warn("metrics_not_moved", {{"wanted", attempted_}, {"why", why}, {"metrics", url}});
  }
  if (wanted_ != attempted_) move();  // reloaded again meanwhile
}

}  // namespace pointsman::proxy
