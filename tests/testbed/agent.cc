#include "tests/testbed/agent.h"

#include <csignal>
#include <cstdlib>
#include <thread>
#include <utility>

namespace pointsman::testbed {

namespace fs = std::filesystem;

namespace {

constexpr Millis log_pause{3};

}  // namespace

std::string authkeys_text(const std::string& secret) {
  return "auth 1\n1 sha256 " + secret + "\n";
}

Agent::Agent(Options options, TempDirectory directory, PortLease port)
    : options_(std::move(options)), directory_(std::move(directory)), port_(std::move(port)) {
  if (options_.keep) directory_.keep();
  if (options_.listen.port == 0) options_.listen.port = port_.number();
}

Agent::~Agent() {
  process_.kill();
}

std::expected<std::unique_ptr<Agent>, std::string> Agent::prepare(Options options) {
  if (options.program.empty()) {
    const char* configured = std::getenv("POINTSMAN_AGENT_BIN");
    options.program =
        configured != nullptr && *configured != '\0' ? configured : POINTSMAN_AGENT_BIN_OF_BUILD;
  }
  if (!fs::exists(options.program)) {
    return std::unexpected("no program " + options.program.string() +
                           "; build the target pointsman-agent, or set POINTSMAN_AGENT_BIN");
  }
  auto directory = options.directory.empty() ? TempDirectory::create("agent")
                                             : TempDirectory::create_at(options.directory);
  if (!directory) return std::unexpected(directory.error());
  PortLease port;
  if (options.listen.port == 0) {
    auto picked = PortLease::pick();
    if (!picked) return std::unexpected(picked.error());
    port = std::move(*picked);
  }
  std::unique_ptr<Agent> agent(new Agent(std::move(options), std::move(*directory), std::move(port)));
  if (auto written = agent->write_files(); !written) return std::unexpected(written.error());
  return agent;
}

std::expected<std::unique_ptr<Agent>, std::string> Agent::create(Options options) {
  auto agent = prepare(std::move(options));
  if (!agent) return agent;
  if (auto started = (*agent)->start(); !started) return std::unexpected(started.error());
  return agent;
}

std::expected<void, std::string> Agent::write_files() const {
  const fs::path password = directory() / "monitor.password";
  const fs::path authkeys = directory() / "authkeys";
  if (auto done = write_file(password, options_.monitor.password + "\n"); !done) return done;
  if (auto done = write_file(authkeys, options_.authkeys); !done) return done;

  Keys sections;
  auto& heartbeat = sections["heartbeat"];
  heartbeat = {{"node", toml_string(options_.node)},
               {"listen", toml_string(conf::to_string(options_.listen))},
               {"keepalive", toml_time(options_.keepalive)},
               {"authkeys", toml_string(authkeys.string())}};
  std::string proxies;
  for (const conf::HostPort& proxy : options_.proxies)
    proxies += (proxies.empty() ? "" : ", ") + toml_string(conf::to_string(proxy));
  if (!proxies.empty()) heartbeat["proxies"] = "[" + proxies + "]";
  if (options_.serial) {
    heartbeat["serial"] = toml_string(options_.serial->string());
    heartbeat["baud"] = std::to_string(options_.baud);
  }
  sections["mysql"] = {{"socket", toml_string(options_.socket.string())},
                       {"user", toml_string(options_.monitor.user)},
                       {"password_file", toml_string(password.string())},
                       {"ping_timeout", toml_time(options_.ping_timeout)}};
  sections["fence"] = {{"state_dir", toml_string(state_directory().string())}};
  return write_file(configuration(), to_toml(merged(std::move(sections), options_.keys)));
}

std::expected<void, std::string> Agent::start() {
  if (running()) return std::unexpected("the agent of " + options_.node + " runs already");
  auto process = Process::start({.argv = {options_.program.string(), "run", "-c", configuration().string()},
                                 .output = log_file(),
                                 .network_namespace = options_.network_namespace});
  if (!process) return std::unexpected("cannot start the agent of " + options_.node + ": " + process.error());
  process_ = std::move(*process);
  return {};
}

std::expected<int, std::string> Agent::stop(Millis timeout) {
  thaw();  // a frozen process gets no SIGTERM
  process_.send(SIGTERM);
  if (const auto end = process_.wait(timeout)) return end->code;
  process_.kill();
  return std::unexpected("the agent of " + options_.node +
                         " did not stop in time and was killed; its log says:\n" + log_tail());
}

void Agent::kill() {
  process_.kill();
}
bool Agent::freeze() {
  return process_.freeze();
}
bool Agent::thaw() {
  return process_.send(SIGCONT);
}

void Agent::forget() {
  std::error_code error;
  fs::remove_all(state_directory(), error);
}

std::expected<void, std::string> Agent::set_keys(Keys keys) {
  options_.keys = std::move(keys);
  return write_files();
}

std::expected<void, std::string> Agent::set_authkeys(std::string text) {
  options_.authkeys = std::move(text);
  return write_files();
}

std::string Agent::log() const {
  return read_tail(log_file(), std::size_t{1} << 20);
}
std::string Agent::log_tail(std::size_t lines) const {
  return last_lines(log(), lines);
}

bool Agent::wait_log(std::string_view text, Millis timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  do {
    if (log().contains(text)) return true;
    if (!running()) return log().contains(text);
    std::this_thread::sleep_for(log_pause);
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

}  // namespace pointsman::testbed
