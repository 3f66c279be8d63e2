#include "proxy/cli/verify.h"

#include <chrono>
#include <expected>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "conf/loader.h"
#include "conf/secret.h"
#include "health/mysql/waker.h"
#include "health/verify/verify.h"
#include "proxy/cli/signals.h"
#include "proxy/cli/terminal.h"
#include "proxy/cli/text.h"

namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;

void print(const std::string& text) {
  write_all(STDOUT_FILENO, text);
}
void complain(const std::string& text) {
  write_all(STDERR_FILENO, "pointsman: " + text + "\n");
}

json to_json(const verify::Report& report) {
  json differences = json::array();
  for (const auto& d : report.differences)
    differences.push_back({{"server", d.server}, {"table", d.table}, {"chunk", d.chunk}, {"what", d.what}});
  json unknown = json::array();
  for (const auto& u : report.unknown)
    unknown.push_back({{"server", u.server}, {"table", u.table}, {"why", u.why}});
  return {{"equal", report.equal()},    {"primary", report.primary}, {"replicas", report.replicas},
          {"tables", report.tables},    {"chunks", report.chunks},   {"rows", report.rows},
          {"differences", differences}, {"unknown", unknown}};
}

std::string to_text(const verify::Report& report, const Style& style) {
  std::string out;
  for (const auto& d : report.differences) {
    out +=
        toned("differs ", Tone::bad, style) +
        printable(d.server + ": " + d.table + (d.chunk.empty() ? "" : " where " + d.chunk) + ": " + d.what) +
        "\n";
  }
  for (const auto& u : report.unknown) {
    out += toned("unknown ", Tone::caution, style) +
           printable(u.server + (u.table.empty() ? "" : ": " + u.table) + ": " + u.why) + "\n";
  }
  const std::string counts =
      std::to_string(report.tables) + " tables, " + std::to_string(report.rows) + " rows";
  std::string replicas;
  for (const auto& name : report.replicas) replicas += (replicas.empty() ? "" : ", ") + name;
  if (report.replicas.empty())
    return out + "there is no replica to compare " + printable(report.primary) + " with\n";
  if (report.equal())
    return out + toned("equal", Tone::good, style) + ": " + printable(replicas) + " and " +
           printable(report.primary) + " (" + counts + ")\n";
  return out + "compared " + printable(replicas) + " with " + printable(report.primary) + " (" + counts +
         ")\n";
}

std::expected<verify::Order, std::string> order_of(const Invocation& invocation, const conf::Config& config) {
  verify::Order order;
  for (const auto& backend : config.backends) order.servers.push_back({backend.name, backend.address});
  order.account = config.monitor.account;
  if (invocation.admin_user.empty()) return order;
  order.account = {
      .user = invocation.admin_user, .password_file = invocation.admin_password_file, .password = ""};
  if (order.account.password_file.empty()) return order;
  auto password = conf::read_secret(order.account.password_file);
  if (!password) return std::unexpected(order.account.password_file + ": " + password.error());
  order.account.password = std::move(*password);
  return order;
}

// On a terminal, one line that changes.
std::function<void(const verify::Progress&)> progress_line() {
  if (!is_terminal(STDERR_FILENO)) return {};
  return [next = std::chrono::steady_clock::time_point()](const verify::Progress& progress) mutable {
    const auto now = std::chrono::steady_clock::now();
    if (now < next) return;
    next = now + std::chrono::milliseconds(200);
    write_all(STDERR_FILENO, "\r\033[K" + std::to_string(progress.tables_done) + " of " +
                                 std::to_string(progress.tables) + " tables, " +
                                 std::to_string(progress.rows) + " rows, " + printable(progress.table));
  };
}

using Result = std::expected<verify::Report, core::Failure>;

// The work has a thread of its own, so that this one can hear signals.
Result run_with_signals(verify::Order order) {
  Signals signals;
  std::stop_source stop;
  order.stop = stop.get_token();
  Result result = std::unexpected(core::Failure{});
  mysql::Waker done;
  std::thread worker([&] {
    result = verify::run(order);
    done.ring();
  });
  constexpr std::chrono::milliseconds long_time = std::chrono::hours(1);
  for (;;) {
    const auto wake = signals.wait(long_time, done.fd());
    if (wake == Signals::Wake::key) break;
    if (wake == Signals::Wake::stop) signals.stop_here();
    if (wake == Signals::Wake::end) stop.request_stop();
  }
  worker.join();
  return result;
}

}  // namespace

ExitStatus verify_data(const Invocation& invocation) {
  const auto config = conf::load(invocation.config);
  if (!config) {
    for (const conf::Problem& problem : config.error())
      write_all(STDERR_FILENO, conf::to_string(problem) + "\n");
    return ExitStatus::refused;
  }
  auto order = order_of(invocation, *config);
  if (!order) {
    complain(order.error());
    return ExitStatus::refused;
  }
  if (!invocation.json) order->progress = progress_line();
  const bool shows = static_cast<bool>(order->progress);
  const auto report = run_with_signals(std::move(*order));
  if (shows) write_all(STDERR_FILENO, "\r\033[K");
  if (!report) {
    complain(report.error().text);
    return ExitStatus::refused;
  }
  if (invocation.json) {
    print(to_json(*report).dump(2, ' ', false, json::error_handler_t::replace) + "\n");
  } else {
    print(to_text(*report, style_of(STDOUT_FILENO)));
  }
  return report->equal() ? ExitStatus::done : ExitStatus::refused;
}

}  // namespace pointsman::proxy::cli
