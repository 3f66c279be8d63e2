#include "health/agent/run_copies.h"

#include <csignal>
#include <cstdio>
#include <string>
#include <thread>

#include <sys/resource.h>
#include <unistd.h>

#include "conf/authkeys.h"
#include "health/agent/copies.h"
#include "health/io/log.h"
#include "health/io/systemd.h"

namespace pointsman::agent {
namespace {

int refuse(const std::string& why) {
  std::fprintf(stderr, "pointsman-agent: %s\n", why.c_str());
  return 1;
}

// mariadb-backup holds a file open for each table.
void raise_file_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int run_copies(const conf::AgentConfig& config) {
  auto systemd = io::Systemd::from_environment();
  if (config.copy.listen.empty()) {
    systemd.ready("copy.listen is empty");  // to end without a word would be a failure to systemd
    std::printf("copy.listen is \"\" in %s: no copies are made by this host's agent\n", config.file.c_str());
    return 0;
  }
  if (const auto keys = conf::load_authkeys(config.heartbeat.authkeys); !keys)
    return refuse(conf::to_string(keys.error().front()));
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  raise_file_limit();
  auto log = io::Log::open(config.log);
  if (!log) return refuse(log.error());

  mysql::Waker stop;
  std::thread listener([&] {
    for (int signal = SIGHUP; signal == SIGHUP;) {
      ::sigwait(&signals, &signal);
      if (signal == SIGHUP) (*log)->reopen();
    }
    stop.ring();
  });
  Copies copies(config, **log, stop);
  const auto done = copies.run([&] { systemd.ready("listens for copies on " + config.copy.listen); });
  systemd.stopping();
  ::kill(::getpid(), SIGTERM);  // in case that it has not come yet: the thread waits for it
  listener.join();
  if (!done) return refuse(done.error());
  return 0;
}

}  // namespace pointsman::agent
