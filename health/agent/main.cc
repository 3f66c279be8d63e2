#include <csignal>
#include <cstdio>
#include <string>
#include <utility>

#include "conf/authkeys.h"
#include "health/agent/agent.h"
#include "health/agent/command_line.h"
#include "health/agent/run_copies.h"
#include "health/agent/urgency.h"
#include "health/io/signal.h"
#include "health/io/systemd.h"

namespace {

using namespace pointsman;

int refuse(const std::string& why) {
  std::fprintf(stderr, "pointsman-agent: %s\n", why.c_str());
  return 1;
}

int run_agent(conf::AgentConfig config) {
  auto systemd = io::Systemd::from_environment();
  std::signal(SIGPIPE, SIG_IGN);
  const auto keys = conf::load_authkeys(config.heartbeat.authkeys);
  if (!keys) {
    for (const conf::Problem& problem : keys.error())
      std::fprintf(stderr, "%s\n", conf::to_string(problem).c_str());
    return refuse("the authkeys are wrong; not started");
  }
  auto keyring = io::AuthKeyring::make(*keys);
  if (!keyring) return refuse(keyring.error());
  auto log = io::Log::open(config.log);
  if (!log) return refuse(log.error());
  for (const std::string& warning : conf::authkeys_warnings(*keys))
    (*log)->warn("weak_keys", {{"why", warning}});
  // After the log's thread is made, which may wait for a disk, and before the others.
  const agent::Urgency urgency = agent::become_urgent();
  for (const std::string& text : urgency.done) (*log)->info("urgency", {{"done", text}});
  for (const std::string& text : urgency.refused) (*log)->warn("urgency", {{"refused", text}});

  io::Loop loop;
  agent::Agent agent(loop, **log, std::move(config), std::move(*keyring));
  agent.on_summary = [&] { systemd.status(agent.summary()); };
  io::Timer watchdog(loop, [&] { systemd.watchdog(); });
  const auto stop = [&](const char* why) {
    systemd.stopping();
    agent.stop(why);
  };
  const io::Signal terminate(loop, SIGTERM, [&] { stop("SIGTERM"); });
  const io::Signal interrupt(loop, SIGINT, [&] { stop("SIGINT"); });
  const io::Signal hangup(loop, SIGHUP, [&] {
    (*log)->reopen();
    agent.reload_keys();
  });
  if (auto started = agent.start(); !started) return refuse(started.error());
  systemd.ready(agent.summary());
  if (const auto interval = systemd.watchdog_interval()) watchdog.start_every(*interval);
  loop.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return pointsman::agent::command_line(argc, argv, run_agent, pointsman::agent::run_copies);
}
