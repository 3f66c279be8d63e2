#include "tests/testbed/daemon.h"

#include <csignal>
#include <cstdlib>
#include <sstream>
#include <thread>
#include <utility>

#include "tests/testbed/installation.h"

namespace pointsman::testbed {

namespace fs = std::filesystem;

namespace {

constexpr Millis status_timeout{5000};
constexpr Millis status_pause{5};

}  // namespace

Daemon::Daemon(Options options, TempDirectory directory, PortLease listen)
    : options_(std::move(options)), directory_(std::move(directory)), listen_(std::move(listen)) {
  if (options_.keep) directory_.keep();
}

Daemon::~Daemon() {
  process_.kill();
}

Daemon::Options Daemon::options_for(Cluster& cluster) {
  Options options;
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    options.backends.push_back({cluster.server(i).name(), cluster.server(i).address()});
  }
  options.monitor = cluster.accounts().monitor;
  options.replication = cluster.accounts().replication;
  // Debian has MariaDB's in PATH.
  const auto program = cluster.directory() / "mysqlbinlog";
  if (cluster.size() > 0 && cluster.server(0).product() == Product::mysql && write_mysqlbinlog(program))
    options.keys["failover"]["binlog_program"] = "\"" + program.string() + "\"";
  return options;
}

std::expected<std::unique_ptr<Daemon>, std::string> Daemon::prepare(Options options) {
  if (options.program.empty()) {
    const char* configured = std::getenv("POINTSMAN_BIN");
    options.program = configured != nullptr && *configured != '\0' ? configured : POINTSMAN_BIN_OF_BUILD;
  }
  if (!fs::exists(options.program)) {
    return std::unexpected("no program " + options.program.string() +
                           "; build the target pointsman, or set POINTSMAN_BIN");
  }
  auto directory = options.directory.empty() ? TempDirectory::create("daemon")
                                             : TempDirectory::create_at(options.directory);
  if (!directory) return std::unexpected(directory.error());
  auto listen = PortLease::pick();
  if (!listen) return std::unexpected(listen.error());
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(options), std::move(*directory), std::move(*listen)));
  std::error_code error;
  fs::create_directory(daemon->state_directory(), error);
  if (error)
    return std::unexpected("cannot make " + daemon->state_directory().string() + ": " + error.message());
  if (auto written = daemon->write_files(); !written) return std::unexpected(written.error());
  return daemon;
}

std::expected<std::unique_ptr<Daemon>, std::string> Daemon::create(Options options, Millis timeout) {
  auto daemon = prepare(std::move(options));
  if (!daemon) return daemon;
  if (auto started = (*daemon)->start(); !started) return std::unexpected(started.error());
  if (auto steady = (*daemon)->wait_steady(timeout); !steady) return std::unexpected(steady.error());
  return daemon;
}

std::expected<void, std::string> Daemon::write_files() const {
  const fs::path monitor_password = directory() / "monitor.password";
  const fs::path replication_password = directory() / "replica.password";
  if (auto done = write_file(monitor_password, options_.monitor.password + "\n"); !done) return done;
  if (auto done = write_file(replication_password, options_.replication.password + "\n"); !done) return done;

  Keys sections;
  sections["proxy"] = {{"listen", "[" + toml_string(conf::to_string(address())) + "]"},
                       {"threads", std::to_string(options_.threads)},
                       {"state_dir", toml_string(state_directory().string())}};
  sections["admin"] = {{"socket", toml_string(admin_socket().string())}, {"metrics", "\"\""}};
  sections["monitor"] = {{"user", toml_string(options_.monitor.user)},
                         {"password_file", toml_string(monitor_password.string())}};
  sections["replication"] = {{"user", toml_string(options_.replication.user)},
                             {"password_file", toml_string(replication_password.string())}};
  if (!options_.authkeys.empty()) {
    const fs::path authkeys = directory() / "authkeys";
    if (auto done = write_file(authkeys, options_.authkeys); !done) return done;
    sections["heartbeat"]["authkeys"] = toml_string(authkeys.string());
  }
  std::string text = to_toml(merged(std::move(sections), options_.keys));
  for (const Backend& backend : options_.backends) {
    text += "[[backend]]\nname = " + toml_string(backend.name) +
            "\naddress = " + toml_string(conf::to_string(backend.address)) + "\n";
    for (const auto& [key, value] : backend.keys) text.append(key).append(" = ").append(value).append("\n");
    text += "\n";
  }
  return write_file(configuration(), text);
}

std::expected<void, std::string> Daemon::set_keys(Keys keys) {
  options_.keys = std::move(keys);
  return write_files();
}

std::expected<void, std::string> Daemon::set_backends(std::vector<Backend> backends) {
  options_.backends = std::move(backends);
  return write_files();
}

std::expected<void, std::string> Daemon::set_authkeys(std::string text) {
  options_.authkeys = std::move(text);
  return write_files();
}

std::expected<void, std::string> Daemon::start() {
  if (running()) return std::unexpected("the daemon runs already");
  auto process = start_process({});
  if (!process) return std::unexpected(process.error());
  process_ = std::move(*process);
  return {};
}

std::expected<Process, std::string> Daemon::start_process(const std::vector<std::string>& more) const {
  std::vector<std::string> argv{options_.program.string(), "run", "-c", configuration().string()};
  argv.insert(argv.end(), options_.arguments.begin(), options_.arguments.end());
  argv.insert(argv.end(), more.begin(), more.end());
  return Process::start(
      {.argv = std::move(argv), .output = log_file(), .network_namespace = options_.network_namespace});
}

std::expected<void, std::string> Daemon::take_over(Millis timeout) {
  auto process = start_process({"--takeover"});
  if (!process) return std::unexpected(process.error());
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto now = status();
    if (now && now->value("pid", 0) == process->pid()) {
      formers_.push_back(std::exchange(process_, std::move(*process)));
      return {};
    }
    if (!process->running()) return std::unexpected("the new process ended; the log says:\n" + log_tail());
    std::this_thread::sleep_for(status_pause);
  }
  return std::unexpected("the new process did not take over in time; the log says:\n" + log_tail());
}

std::expected<Finished, std::string> Daemon::command(std::vector<std::string> arguments,
                                                     Millis timeout) const {
  arguments.insert(arguments.begin(), options_.program.string());
  arguments.insert(arguments.end(), {"-c", configuration().string()});
  return run({.argv = std::move(arguments)}, timeout);
}

std::expected<nlohmann::json, std::string> Daemon::status() const {
  const auto finished = command({"status", "--json"}, status_timeout);
  if (!finished) return std::unexpected(finished.error());
  if (finished->code != 0) return std::unexpected("status failed: " + finished->err);
  auto status = nlohmann::json::parse(finished->out, nullptr, false);
  if (status.is_discarded()) return std::unexpected("status is not JSON: " + finished->out);
  return status;
}

std::expected<std::vector<nlohmann::json>, std::string> Daemon::events() const {
  const auto finished = command({"events", "--json"}, status_timeout);
  if (!finished) return std::unexpected(finished.error());
  if (finished->code != 0) return std::unexpected("events failed: " + finished->err);
  std::vector<nlohmann::json> events;
  std::istringstream lines(finished->out);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    auto event = nlohmann::json::parse(line, nullptr, false);
    if (event.is_discarded()) return std::unexpected("not JSON: " + line);
    events.push_back(std::move(event));
  }
  return events;
}

std::expected<nlohmann::json, std::string> Daemon::wait_status(
    const std::function<bool(const nlohmann::json&)>& wanted, Millis timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::string last = "none";
  do {
    if (!running()) {
      const int code = process_.end() ? process_.end()->code : 0;
      return std::unexpected("the daemon ended (" + std::to_string(code) + "); its log says:\n" + log_tail());
    }
    if (auto now = status()) {
      if (wanted(*now)) return now;
      last = now->dump(1);
    } else {
      last = now.error();
    }
    std::this_thread::sleep_for(status_pause);
  } while (std::chrono::steady_clock::now() < deadline);
  return std::unexpected("the status waited for did not come; last status: " + last + "\nthe log says:\n" +
                         log_tail());
}

std::expected<void, std::string> Daemon::wait_steady(Millis timeout) {
  const auto steady = wait_status(
      [](const nlohmann::json& status) {
        return status.value("state", "") == "steady" && status.contains("primary") &&
               status["primary"].is_string();
      },
      timeout);
  if (!steady) return std::unexpected(steady.error());
  return {};
}

std::expected<int, std::string> Daemon::stop(Millis timeout) {
  process_.send(SIGTERM);
  if (const auto end = process_.wait(timeout)) return end->code;
  process_.kill();
  return std::unexpected("the daemon did not stop in time and was killed; its log says:\n" + log_tail());
}

void Daemon::kill() {
  process_.kill();
}

std::string Daemon::log() const {
  return read_tail(log_file(), std::size_t{1} << 20);
}
std::string Daemon::log_tail(std::size_t lines) const {
  return last_lines(log(), lines);
}

std::expected<Sql, SqlError> Daemon::connect(const Login& login, const std::string& database) const {
  return Sql::connect({.address = address(), .login = login, .database = database});
}

}  // namespace pointsman::testbed
