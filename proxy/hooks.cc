#include "proxy/hooks.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "conf/event_kinds.h"
#include "health/io/clock.h"
#include "proxy/admin_protocol.h"
#include "proxy/external_program.h"

namespace pointsman::proxy {
namespace {

constexpr std::size_t longest_message = 1000;  // bytes, in the environment

bool wanted(const conf::Hooks& settings, const std::string& kind) {
  return !settings.command.empty() && std::ranges::any_of(settings.events, [&](const std::string& one) {
    return one == kind || one == conf::every_kind;
  });
}

// One line of a bounded length. What a server said may be in it.
std::string for_environment(std::string text) {
  if (text.size() > longest_message) {
    std::size_t end = longest_message;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    text.resize(end);
  }
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, ' ');
  return text;
}

}  // namespace

Hooks::Hooks(io::Log& log, conf::Hooks settings)
    : log_(log),
      settings_(std::move(settings)),
      thread_([this](const std::stop_token& ended) { work(ended); }) {}

Hooks::~Hooks() {
  stop();
}

void Hooks::on_event(const nlohmann::json& event) {
  const std::string kind = event.value("kind", "");
  // Only this thread changes either of them.
  if (stopped_ || !wanted(settings_, kind)) return;
  Event next{kind, event.value("message", ""), admin_line(event)};
  std::optional<Event> dropped;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() == max_waiting) {
      dropped = std::move(waiting_.front());
      waiting_.pop_front();
    }
    waiting_.push_back(std::move(next));
  }
  news_.notify_one();
  if (dropped) drop(*dropped, std::to_string(max_waiting) + " newer ones wait");
}

void Hooks::reconfigure(conf::Hooks settings) {
  std::deque<Event> dropped;
  {
    const std::lock_guard lock(mutex_);
    settings_ = std::move(settings);
    if (settings_.command.empty()) dropped.swap(waiting_);
  }
  for (const Event& event : dropped) drop(event, "there is no hooks.command any more");
}

void Hooks::stop() {
  std::deque<Event> dropped;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
    dropped.swap(waiting_);
  }
  thread_.request_stop();
  for (const Event& event : dropped) drop(event, "the daemon stops");
  thread_.join();
}

HookCounts Hooks::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

bool Hooks::busy() const {
  const std::lock_guard lock(mutex_);
  return running_ || !waiting_.empty();
}

void Hooks::work(const std::stop_token& ended) {
  for (;;) {
    Event event;
    conf::Hooks settings;
    {
      std::unique_lock lock(mutex_);
      if (!news_.wait(lock, ended, [this] { return !waiting_.empty(); })) return;
      event = std::move(waiting_.front());
      waiting_.pop_front();
      settings = settings_;
      running_ = true;
    }
    run(event, settings, ended);
    const std::lock_guard lock(mutex_);
    running_ = false;
  }
}

void Hooks::run(const Event& event, const conf::Hooks& settings, const std::stop_token& ended) {
  const core::Instant began = io::now();
  const auto done = run_program({.command = settings.command,
                                 .input = event.line,
                                 .timeout = settings.timeout,
                                 .environment = {"POINTSMAN_EVENT=" + event.kind,
                                                 "POINTSMAN_MESSAGE=" + for_environment(event.message)},
                                 .low_priority = true,
                                 .stop = ended});
  if (done) {
    count(&HookCounts::done);
    return log_.info("hook", {{"kind", event.kind}, {"took_ms", core::to_ms_exact(io::now() - began)}});
  }
  const ProgramFailure& failure = done.error();
  using How = ProgramFailure::How;
  if (failure.how == How::stopped) return drop(event, "the daemon stops: " + failure.text);
  count(failure.how == How::timed_out     ? &HookCounts::timed_out
        : failure.how == How::not_started ? &HookCounts::not_started
                                          : &HookCounts::failed);
  log_.error("hook_failed", {{"kind", event.kind}, {"why", failure.text}});
}

void Hooks::drop(const Event& event, const std::string& why) {
  count(&HookCounts::dropped);
  log_.error("hook_dropped", {{"kind", event.kind}, {"why", why}, {"message", event.message}});
}

void Hooks::count(std::uint64_t HookCounts::* outcome) {
  const std::lock_guard lock(mutex_);
  ++(counts_.*outcome);
}

}  // namespace pointsman::proxy
