#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/testbed/cluster.h"
#include "tests/testbed/toml_text.h"

namespace pointsman::testbed {

// The `pointsman` daemon as a child process in a folder of its own, with the files that it needs, over the
// servers of a cluster or any others. It ends with this object. One thread at a time.
class Daemon {
 public:
  struct Backend {
    std::string name;
    conf::HostPort address;
    std::map<std::string, std::string> keys{};  // further ones of [[backend]]: key -> TOML literal
  };
  struct Options {
    std::filesystem::path program{};    // "": $POINTSMAN_BIN, else the one of this build
    std::filesystem::path directory{};  // "": a fresh one under the temporary directory
    std::vector<Backend> backends{};
    Login monitor{"pointsman", "monitor-secret"};
    Login replication{"replica", "replica-secret"};
    unsigned threads = 1;
    // Where the service address is, and a network namespace to run in: a host of a Network. Then connect()
    // works from a thread inside a host of that Network only, and the operator's commands from anywhere.
    std::string host = "127.0.0.1";
    std::filesystem::path network_namespace{};
    // The text of heartbeat.authkeys; "": no such file. What else [heartbeat] has is said by `keys`.
    std::string authkeys{};
    Keys keys{};  // win over what we would write, e.g. {{"failover", {{"automatic", "false"}}}}
    std::vector<std::string> arguments{};  // further ones of `pointsman run -c FILE`
    bool keep = false;
  };

  // The options for a cluster: its backends and accounts.
  static Options options_for(Cluster& cluster);

  // Writes the files; does not start.
  static std::expected<std::unique_ptr<Daemon>, std::string> prepare(Options options);
  // prepare(), start() and wait_steady().
  static std::expected<std::unique_ptr<Daemon>, std::string> create(Options options,
                                                                    Millis timeout = Millis(20000));

  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  std::expected<void, std::string> start();  // on the state that is there; returns at once
  // Starts the program again to take the place of this one, and waits until operators reach the new one,
  // which is the process from then on. Error: the new one has ended, and the end of the log; the old one
  // stays.
  std::expected<void, std::string> take_over(Millis timeout = Millis(20000));
  // Those whose place was taken, oldest first.
  std::vector<Process>& formers() { return formers_; }
  // Until `status --json` says state steady with a primary. Error: the last status, and the end of the log.
  std::expected<void, std::string> wait_steady(Millis timeout);
  // Until `wanted` holds of the status.
  std::expected<nlohmann::json, std::string> wait_status(
      const std::function<bool(const nlohmann::json&)>& wanted, Millis timeout);
  // SIGTERM and a bounded wait; its exit status.
  std::expected<int, std::string> stop(Millis timeout = Millis(10000));
  void kill();  // SIGKILL
  bool running() { return process_.running(); }
  pid_t pid() const { return process_.pid(); }
  Process& process() { return process_; }

  // An operator's command, e.g. {"switchover", "--to", "db2"}; `-c FILE` is added.
  std::expected<Finished, std::string> command(std::vector<std::string> arguments,
                                               Millis timeout = Millis(60000)) const;
  std::expected<nlohmann::json, std::string> status() const;
  // `events --json`, oldest first.
  std::expected<std::vector<nlohmann::json>, std::string> events() const;

  // Writes the configuration again with other keys; for `reload` or the next start.
  std::expected<void, std::string> set_keys(Keys keys);
  std::expected<void, std::string> set_authkeys(std::string text);
  const std::vector<Backend>& backends() const { return options_.backends; }
  std::expected<void, std::string> set_backends(std::vector<Backend> backends);

  conf::HostPort address() const { return {options_.host, listen_.number()}; }  // the service address
  const std::filesystem::path& program() const { return options_.program; }
  const std::filesystem::path& directory() const { return directory_.path(); }
  std::filesystem::path configuration() const { return directory() / "pointsman.toml"; }
  std::filesystem::path admin_socket() const { return directory() / "admin.sock"; }
  std::filesystem::path state_directory() const { return directory() / "state"; }
  std::filesystem::path log_file() const { return directory() / "pointsman.log"; }
  std::string log() const;  // at most its last MiB
  std::string log_tail(std::size_t lines = 40) const;

  // A client's connection through the proxy.
  std::expected<Sql, SqlError> connect(const Login& login, const std::string& database = "") const;

 private:
  Daemon(Options options, TempDirectory directory, PortLease listen);
  std::expected<void, std::string> write_files() const;
  std::expected<Process, std::string> start_process(const std::vector<std::string>& more) const;

  Options options_;
  TempDirectory directory_;
  PortLease listen_;
  Process process_;
  std::vector<Process> formers_;
};

}  // namespace pointsman::testbed
