#include "tests/mysql/watch.h"

#include <utility>

namespace pointsman::mysql {
namespace {

std::chrono::milliseconds since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
}

}  // namespace

std::string show(const core::Failure& failure) {
  return std::string(core::to_string(failure.kind)) + " " + std::to_string(failure.server_errno) + ": " +
         failure.text;
}

ProbeWatch::ProbeWatch(const conf::HostPort& address, const conf::Account& account, core::Duration interval,
                       core::Duration timeout) {
  prober_ = std::make_unique<Prober>(Prober::Options{address, account, interval, timeout},
                                     [this](ProbeResult result) {
                                       const std::lock_guard lock(mutex_);
                                       results_.push_back(std::move(result.outcome));
                                       more_.notify_all();
                                     });
}

std::optional<ProbeWatch::Outcome> ProbeWatch::pop() {
  std::unique_lock lock(mutex_);
  if (!more_.wait_for(lock, patience, [&] { return !results_.empty(); })) return std::nullopt;
  auto outcome = std::move(results_.front());
  results_.pop_front();
  return outcome;
}

std::optional<ProbeWatch::Outcome> ProbeWatch::next(const Wanted& wanted) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < end) {
    auto outcome = pop();
    if (!outcome || wanted(*outcome)) return outcome;
  }
  return std::nullopt;
}

std::optional<core::ServerReport> ProbeWatch::next_report() {
  auto outcome = next([](const Outcome& o) { return o.has_value(); });
  return outcome ? std::optional(std::move(**outcome)) : std::nullopt;
}

std::optional<core::Failure> ProbeWatch::next_failure() {
  auto outcome = next([](const Outcome& o) { return !o.has_value(); });
  return outcome ? std::optional(std::move(outcome->error())) : std::nullopt;
}

std::vector<core::FailureKind> ProbeWatch::failures_until(core::FailureKind last) {
  std::vector<core::FailureKind> kinds;
  const auto end = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < end) {
    const auto failure = next_failure();
    if (!failure) break;
    kinds.push_back(failure->kind);
    if (failure->kind == last) return kinds;
  }
  return {};
}

std::chrono::milliseconds ProbeWatch::stop() {
  const auto start = std::chrono::steady_clock::now();
  prober_.reset();
  return since(start);
}

Commands::Commands(Commander::Options options) {
  commander_ = std::make_unique<Commander>(
      std::move(options),
      [this](core::CommandId id, core::CommandResult result) {
        const std::lock_guard lock(mutex_);
        results_.emplace(id, std::move(result));
        more_.notify_all();
      },
      [this](const std::string& text) {
        const std::lock_guard lock(mutex_);
        warnings_.push_back(text);
      });
}

core::CommandId Commands::submit(core::Command command) {
  const core::CommandId id{++last_id_};
  commander_->submit(id, std::move(command));
  return id;
}

std::optional<core::CommandResult> Commands::result_of(core::CommandId id) {
  std::unique_lock lock(mutex_);
  if (!more_.wait_for(lock, patience, [&] { return results_.contains(id); })) return std::nullopt;
  auto node = results_.extract(id);
  return std::move(node.mapped());
}

bool Commands::is_answered(core::CommandId id) {
  const std::lock_guard lock(mutex_);
  return results_.contains(id);
}

core::CommandResult Commands::operator()(core::Command command) {
  auto result = result_of(submit(std::move(command)));
  if (result) return std::move(*result);
  return std::unexpected(core::Failure{core::FailureKind::timeout, 0, "the test lost patience"});
}

std::vector<std::string> Commands::warnings() {
  const std::lock_guard lock(mutex_);
  return warnings_;
}

std::chrono::milliseconds Commands::stop() {
  const auto start = std::chrono::steady_clock::now();
  commander_.reset();
  return since(start);
}

}  // namespace pointsman::mysql
