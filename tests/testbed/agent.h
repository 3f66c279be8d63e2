#pragma once

#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"
#include "tests/testbed/server.h"
#include "tests/testbed/toml_text.h"

namespace pointsman::testbed {

// `pointsman-agent` as a child process in a folder of its own, with the files that it needs, beside one
// server. It ends with this object. One thread at a time.
class Agent {
 public:
  struct Options {
    std::filesystem::path program{};    // "": $POINTSMAN_AGENT_BIN, else the one of this build
    std::filesystem::path directory{};  // "": a fresh one under the temporary directory
    std::string node = "db1";
    conf::HostPort listen{"127.0.0.1", 0};  // UDP; 0: a free port, kept over restarts
    std::vector<conf::HostPort> proxies{};
    std::optional<std::filesystem::path> serial{};
    unsigned baud = 19200;
    Millis keepalive{100};
    Millis ping_timeout{500};
    std::string authkeys{};          // the file's text
    std::filesystem::path socket{};  // of the server: Server::socket_path()
    Login monitor{"pointsman", "monitor-secret"};
    std::filesystem::path network_namespace{};
    Keys keys{};  // win over what we would write
    bool keep = false;
  };

  // Writes the files; does not start.
  static std::expected<std::unique_ptr<Agent>, std::string> prepare(Options options);
  // prepare() and start().
  static std::expected<std::unique_ptr<Agent>, std::string> create(Options options);

  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  std::expected<void, std::string> start();  // on the state that is there; returns at once
  // SIGTERM and a bounded wait; its exit status.
  std::expected<int, std::string> stop(Millis timeout = Millis(10000));
  void kill();    // SIGKILL; returns when the process has ended
  bool freeze();  // SIGSTOP; returns when every thread stands still
  bool thaw();
  bool running() { return process_.running(); }
  Process& process() { return process_; }
  // As a reboot of its host does: its state is gone. Only while it does not run.
  void forget();

  // For the next start.
  std::expected<void, std::string> set_keys(Keys keys);
  std::expected<void, std::string> set_authkeys(std::string text);

  const std::string& node() const { return options_.node; }
  conf::HostPort listen() const { return options_.listen; }
  const std::filesystem::path& directory() const { return directory_.path(); }
  std::filesystem::path configuration() const { return directory() / "agent.toml"; }
  std::filesystem::path state_directory() const { return directory() / "state"; }
  std::filesystem::path log_file() const { return directory() / "agent.log"; }
  std::string log() const;  // at most its last MiB
  std::string log_tail(std::size_t lines = 40) const;
  // Until its log says so. False: not in time, or it has ended.
  bool wait_log(std::string_view text, Millis timeout);

 private:
  Agent(Options options, TempDirectory directory, PortLease port);
  std::expected<void, std::string> write_files() const;

  Options options_;
  TempDirectory directory_;
  PortLease port_;
  Process process_;
};

// The text of an authkeys file with one key.
std::string authkeys_text(const std::string& secret);

}  // namespace pointsman::testbed
