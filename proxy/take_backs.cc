#include "proxy/take_backs.h"

#include <algorithm>
#include <utility>

#include "health/io/clock.h"
#include "health/rescue/rescue.h"
#include "health/rescue/server_call.h"
#include "health/setup/copy.h"

namespace pointsman::proxy {

namespace {

using core::Failure;
using core::FailureKind;
using Result = std::expected<core::TookBack::Report, Failure>;
using Step = std::expected<void, Failure>;

// One order from its beginning to its end. Worker's thread.
class Errand {
 public:
  Errand(const core::TakeBack& order, const conf::Config& config, const std::string& state_dir,
         const std::stop_token& stop, std::function<void(const std::string&)> note)
      : server_(config.backends[core::index(order.backend)]),
        source_(config.backends[core::index(order.source)]),
        note_(std::move(note)) {
    rescue_.server = server_.name;
    rescue_.address = server_.address;
    rescue_.account = config.monitor.account;
    rescue_.reader = config.replication.account;
    rescue_.errant = order.errant;
    rescue_.keep = order.keep;
    rescue_.reign = order.reign;
    rescue_.not_if_shut_down = order.not_if_shut_down;
    rescue_.state_dir = state_dir;
    rescue_.binlog_program = config.failover.binlog_program;
    rescue_.stop = stop;
    rescue_.progress = [this](rescue::Stage stage) { note_(rescue::to_string(stage)); };
  }

  Result run() {
    if (auto ended = end_replication(); !ended) return std::unexpected(ended.error());
    auto saved = save();
    if (!saved) return std::unexpected(saved.error());
    auto how = take_back(*saved);
    if (!how) return std::unexpected(how.error());
    return look(*saved ? (*saved)->directory.string() : "", *how);
  }

 private:
  // What it had from another source, a ring perhaps, is in the way of both the undo and the copy.
  Step end_replication() {
    rescue::ServerCall call(rescue_);
    if (auto opened = call.open(); !opened) return opened;
    const auto report = call.report();
    if (!report) return std::unexpected(report.error());
    rescue_.flavour = report->flavour;
    if (!report->replica) return {};
    auto& dialect = call.session().dialect();
    if (auto stopped = call.run(dialect.stop_replication()); !stopped) return stopped;
    return call.run(dialect.forget_replication());
  }

  // nullopt: there is nothing to save any more; an earlier order came that far.
  std::expected<std::optional<rescue::Saved>, Failure> save() {
    auto before = rescue::unfinished(rescue_.state_dir, rescue_.server);
    if (!before || *before) return before;
    if (rescue_.errant.empty()) return std::optional<rescue::Saved>();
    auto saved = rescue::save(rescue_);
    if (!saved) return std::unexpected(saved.error());
    return std::optional(std::move(*saved));
  }

  std::expected<std::string, Failure> take_back(const std::optional<rescue::Saved>& saved) {
    std::string why = "there is nothing to undo";
    if (saved) {
      const auto outcome = rescue::take_back(rescue_, *saved);
      if (!outcome) return std::unexpected(outcome.error());
      if (std::holds_alternative<rescue::Undone>(*outcome)) return "undone row by row";
      why = std::get<rescue::NeedsCopy>(*outcome).why;
    }
    return copy(saved, why);
  }

  // MySQL copies from server to server, which our own accounts may order; a dump needs an administrator's.
  std::expected<std::string, Failure> copy(const std::optional<rescue::Saved>& saved,
                                           const std::string& why) {
    if (rescue_.flavour == core::Flavour::mariadb) {
      return std::unexpected(Failure{FailureKind::unsupported, 0,
                                     "it needs a fresh copy of the data of " + source_.name + " (" + why +
                                         "): `pointsman setup --overwrite " + server_.name + "` makes one"});
    }
    const auto account = rescue_.account;
    if (auto free = source_is_free(); !free) return std::unexpected(free.error());
    setup::CopyOrder order{.donor = {source_.name, source_.address, account},
                           .recipient = {server_.name, server_.address, account},
                           .donor_address = source_.address,
                           .donor_login = rescue_.reader,
                           .overwrite = true};
    mysql::Waker cancel;
    const std::stop_callback ring(rescue_.stop, [&cancel] { cancel.ring(); });
    auto last = setup::CopyProgress::Stage::preparing;
    const auto copied = setup::copy_data(order, cancel, [&](const setup::CopyProgress& progress) {
      if (std::exchange(last, progress.stage) != progress.stage)
        note_(std::string("copy: ") + setup::to_string(progress.stage));
    });
    if (!copied) return std::unexpected(judged(copied.error()));
    if (saved) {
      if (auto settled = rescue::settle(*saved); !settled) return std::unexpected(settled.error());
    }
    return "by a fresh copy of the data of " + source_.name;
  }

  // A clone ends with a moment at which nothing commits, and such commits end only when there is a replica.
  Step source_is_free() {
    rescue::Order at = rescue_;
    at.address = source_.address;
    rescue::ServerCall call(at);
    if (auto opened = call.open(); !opened) return opened;
    const auto report = call.report();
    if (!report) return std::unexpected(report.error());
    const auto& semi_sync = report->semi_sync;
    if (!semi_sync.source_insists || semi_sync.source_clients > 0 || semi_sync.source_waiting == 0) return {};
    return std::unexpected(Failure{FailureKind::timeout, 0,
                                   std::to_string(semi_sync.source_waiting) + " commits on " + source_.name +
                                       " wait for a replica, and a copy of its data would wait for them: end "
                                       "those clients, and it goes on"});
  }

  // What the server itself refuses before anything was changed, it will refuse again.
  static Failure judged(const setup::CopyFailure& failure) {
    Failure cause = failure.cause;
    const bool untouched = failure.left == setup::CopyFailure::Left::untouched;
    if (untouched && core::proves_life(cause.kind)) cause.kind = FailureKind::unsupported;
    return cause;
  }

  Result look(std::string saved_in, std::string how) {
    rescue::ServerCall call(rescue_);
    if (auto opened = call.open(); !opened) return std::unexpected(opened.error());
    const core::Instant started = io::now();
    auto report = call.report();
    if (!report) return std::unexpected(report.error());
    return core::TookBack::Report{std::move(*report), started, std::move(saved_in), std::move(how)};
  }

  const conf::Backend& server_;
  const conf::Backend& source_;
  rescue::Order rescue_;
  std::function<void(const std::string&)> note_;
};

}  // namespace

TakeBacks::TakeBacks(io::Mailbox& mailbox, std::string state_dir, Done done, Note note)
    : mailbox_(mailbox),
      state_dir_(std::move(state_dir)),
      done_(std::move(done)),
      note_(std::move(note)),
      thread_([this](const std::stop_token& ended) { work(ended); }) {}

TakeBacks::~TakeBacks() {
  *alive_ = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_.clear();
    if (running_) running_->second.request_stop();
  }
  thread_.request_stop();
}

void TakeBacks::start(const core::TakeBack& order, const conf::Config& config) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({order, config});
  }
  news_.notify_one();
}

bool TakeBacks::busy() {
  const std::lock_guard lock(mutex_);
  return running_.has_value() || !waiting_.empty();
}

void TakeBacks::abort(core::BackendId backend) {
  std::deque<Job> dropped;
  {
    const std::lock_guard lock(mutex_);
    const auto others = std::stable_partition(waiting_.begin(), waiting_.end(),
                                              [&](const Job& job) { return job.order.backend != backend; });
    std::move(others, waiting_.end(), std::back_inserter(dropped));
    waiting_.erase(others, waiting_.end());
    if (running_ && running_->first == backend) running_->second.request_stop();
  }
  for (const auto& job : dropped)
    answer({job.order.id, backend, std::unexpected(Failure{FailureKind::timeout, 0, "ended by us"})});
}

void TakeBacks::work(const std::stop_token& ended) {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      if (!news_.wait(lock, ended, [this] { return !waiting_.empty(); })) return;
      job = std::move(waiting_.front());
      waiting_.pop_front();
      running_ = {job.order.backend, job.stop};
    }
    const auto backend = job.order.backend;
    auto result = Errand(job.order, job.config, state_dir_, job.stop.get_token(),
                         [this, backend](const std::string& text) { note_(backend, text); })
                      .run();
    {
      const std::lock_guard lock(mutex_);
      running_.reset();
    }
    answer({job.order.id, backend, std::move(result)});
  }
}

void TakeBacks::answer(core::TookBack answer) {
  (void)mailbox_.post([this, alive = alive_, answer = std::move(answer)]() mutable {
    if (*alive) done_(std::move(answer));
  });
}

}  // namespace pointsman::proxy
