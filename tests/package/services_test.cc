#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/package/machine.h"
#include "tests/package/site.h"

// The services, as systemd runs them on a machine where the packages were installed.
namespace pointsman::package {
namespace {

using nlohmann::json;

class Services : public testing::Test {
 protected:
  void SetUp() override {
    auto made = Machine::create();
    ASSERT_TRUE(made) << made.error();
    machine_ = std::move(*made);
    bring_packages(*machine_);
    const auto booted = machine_->boot();
    ASSERT_TRUE(booted) << booted.error();
  }

  std::string run(const std::string& script) const { return must(*machine_, script); }
  std::string install() const { return run("dpkg -i /root/pointsman.deb /root/pointsman-agent.deb 2>&1"); }
  std::string active(const std::string& unit) const { return property(*machine_, unit, "ActiveState"); }
  std::string pid(const std::string& unit) const { return property(*machine_, unit, "MainPID"); }
  void start_both() const {
    install();
    write_configuration(*machine_);
    run("systemctl start pointsman pointsman-agent");
  }
  // The server first: the agent makes one that starts without the role read-only. The second server of the
  // configuration is not there, so the first start of all needs a word.
  json start_all() const {
    start_server(*machine_);
    start_both();
    await_status(*machine_, [](const json& status) {
      const json& server = status["backends"][0];
      return server["verdict"] == "up" && server["agent"].is_object() &&
             server["agent"]["mysqld"] == "answers";
    });
    run("pointsman failover --to dbserv1 --force");
    return await_primary();
  }
  json await_primary() const {
    return await_status(*machine_, [](const json& status) {
      const json& server = status["backends"][0];
      return status["primary"] == "dbserv1" && server["agent"].is_object() &&
             server["agent"]["lease"] == "held";
    });
  }

  // A client's, which begins a statement that lasts for so long.
  void begin_session(unsigned seconds) const {
    run("printf 'SELECT \"begun\";\\nDO SLEEP(" + std::to_string(seconds) +
        ");\\nSELECT \"ended\";\\n' >/root/session.sql");
    run("systemd-run --quiet --unit=session --remain-after-exit sh -c 'mariadb --no-defaults -N -n -h "
        "127.0.0.1 -P 3306 "
        "-u pointsman -pmonitor-secret </root/session.sql >/root/session.out 2>&1'");
    EXPECT_TRUE(comes_true(*machine_, "grep -q begun /root/session.out"));
  }
  std::string end_of_session() const {
    EXPECT_TRUE(comes_true(*machine_, "[ \"$(systemctl show --value -p SubState session)\" = exited ]"));
    return run("cat /root/session.out");
  }
  // By another process than this one.
  bool is_started_again(const std::string& unit, const std::string& old) const {
    return comes_true(*machine_,
                      "new=$(systemctl show --value -p MainPID " + unit +
                          ") && [ $new != 0 ] && [ $new != " + old + " ] && systemctl is-active " + unit,
                      std::chrono::seconds(40));
  }

  std::unique_ptr<Machine> machine_;
};

// Without a configuration nothing is started, not even by the next boot, and it is said what to do.
TEST_F(Services, WaitForAConfiguration) {
  const std::string said = install();
  EXPECT_TRUE(has(said, "write /etc/pointsman/pointsman.toml")) << said;
  EXPECT_TRUE(has(said, "write /etc/pointsman/agent.toml")) << said;
  run("systemctl start pointsman pointsman-agent");  // as the next boot does: they are enabled
  for (const char* unit : {daemon_package, agent_package}) {
    EXPECT_EQ(active(unit), "inactive") << unit;
    EXPECT_EQ(property(*machine_, unit, "UnitFileState"), "enabled") << unit;
    EXPECT_EQ(property(*machine_, unit, "ConditionResult"), "no") << unit;
  }
  EXPECT_EQ(run("systemctl --failed --no-legend"), "");
}

// Copies are asked for by the administrator. Where none are configured, their service ends at once, and well.
TEST_F(Services, MakeNoCopiesUnlessTold) {
  install();
  write_configuration(*machine_);
  EXPECT_EQ(property(*machine_, "pointsman-agent-copies", "UnitFileState"), "disabled");
  run("systemctl enable --now pointsman-agent-copies");
  EXPECT_TRUE(comes_true(*machine_, "[ \"$(systemctl is-active pointsman-agent-copies)\" = inactive ]"))
      << run("systemctl status pointsman-agent-copies --no-pager; true");
  EXPECT_EQ(property(*machine_, "pointsman-agent-copies", "Result"), "success");
  EXPECT_EQ(property(*machine_, "pointsman-agent-copies", "NRestarts"), "0");
}

// A configuration that was there first is started with the package when it is accepted, and not when it is
// not.
TEST_F(Services, StartWithAGoodConfigurationOnly) {
  install();
  write_configuration(*machine_);
  run("cp -a /etc/pointsman /root/kept; dpkg -P pointsman pointsman-agent; cp -a /root/kept /etc/pointsman; "
      "rm /etc/pointsman/replica.password");
  const std::string said = install();
  EXPECT_TRUE(has(said, "/etc/pointsman/pointsman.toml is not accepted: not started")) << said;
  EXPECT_TRUE(has(said, "pointsman.toml:6:17")) << said;  // and where
  EXPECT_EQ(active("pointsman"), "inactive");
  EXPECT_EQ(active("pointsman-agent"), "active");
}

// Both work behind the walls of their units: the daemon reads the server and hears the agent, the agent sees
// mysqld. The daemon is no root and may bind port 694, and nothing else, and io_uring is not kept from it;
// the agent has what it is said to need.
TEST_F(Services, RunBehindTheirWalls) {
  const json status = start_all();
  EXPECT_EQ(status["backends"][0]["links"]["udp"]["state"], "alive") << status.dump(2);
  EXPECT_EQ(status["backends"][0]["agent"]["mysqld"], "answers");

  const std::string daemon = run("cat /proc/" + pid("pointsman") + "/status");
  const std::string user = run("id -u pointsman");
  EXPECT_TRUE(has(daemon, "\nUid:\t" + user.substr(0, user.size() - 1) + "\t")) << daemon;
  EXPECT_TRUE(has(daemon, "\nCapEff:\t0000000000000400\n")) << daemon;  // CAP_NET_BIND_SERVICE
  EXPECT_TRUE(has(daemon, "\nCapBnd:\t0000000000000400\n")) << daemon;
  const std::string files = run("ls -l /proc/" + pid("pointsman") + "/fd");
  EXPECT_TRUE(has(files, "[io_uring]")) << files;
  const std::string agent = run("cat /proc/" + pid("pointsman-agent") + "/status");
  // CAP_DAC_OVERRIDE, CAP_KILL, CAP_NET_BIND_SERVICE, CAP_IPC_LOCK, CAP_SYS_NICE.
  EXPECT_TRUE(has(agent, "\nCapEff:\t0000000000804422\n")) << agent;
  for (const std::string& process : {daemon, agent}) {
    EXPECT_TRUE(has(process, "\nNoNewPrivs:\t1\n"));
    EXPECT_TRUE(has(process, "\nSeccomp:\t2\n"));
  }
  const std::string log = run("journalctl -b -u pointsman-agent --no-pager -o cat");
  EXPECT_TRUE(has(log, "urgency done=")) << log;
  EXPECT_FALSE(has(log, "urgency refused=")) << log;
  // The group may command the daemon, others may not.
  EXPECT_EQ(run("stat -c '%U:%G %a' /run/pointsman /run/pointsman/admin.sock"),
            "pointsman:pointsman 750\npointsman:pointsman 660\n");
  run("runuser -u pointsman -- pointsman status --socket /run/pointsman/admin.sock");
  EXPECT_NE(machine_->sh("runuser -u nobody -- pointsman status --socket /run/pointsman/admin.sock").code, 0);
  run("systemctl reload pointsman pointsman-agent");
  EXPECT_EQ(active("pointsman"), "active");
}

// A server that hangs is killed by the agent when its lease is over, though it is another user's process.
TEST_F(Services, TheAgentKillsAServerThatHangs) {
  start_all();
  run("kill -STOP " + pid("mariadb") + "; systemctl stop pointsman");
  EXPECT_TRUE(comes_true(*machine_, "[ \"$(systemctl show --value -p Result mariadb)\" = signal ]"))
      << run("systemctl status mariadb pointsman-agent --no-pager; true");
}

// A daemon that stands still is ended by systemd's watchdog and started again; so is one that was killed.
TEST_F(Services, AreStartedAgain) {
  start_both();
  for (const char* unit : {daemon_package, agent_package}) {
    const std::string first = pid(unit);
    run("kill -KILL " + first);
    EXPECT_TRUE(is_started_again(unit, first)) << unit;
  }
  const std::string daemon = pid("pointsman");
  const std::string agent = pid("pointsman-agent");
  run("kill -STOP " + daemon + " " + agent);
  for (const auto& [unit, old] : {std::pair("pointsman", daemon), std::pair("pointsman-agent", agent)}) {
    EXPECT_TRUE(is_started_again(unit, old)) << unit;
    EXPECT_TRUE(has(run(std::string("journalctl -b --no-pager -u ") + unit), "Watchdog timeout")) << unit;
  }
}

// An upgrade renews what runs, and leaves the administrator's files and the primary alone.
TEST_F(Services, AreRenewedByAnUpgrade) {
  const json before = start_all();
  bring_next_packages(*machine_);
  begin_session(8);
  const std::string files = run("cd /etc/pointsman && ls -l --time-style=full-iso && sha256sum *");
  const std::string daemon = pid("pointsman");
  const std::string agent = pid("pointsman-agent");
  run("dpkg -i /root/pointsman-next.deb /root/pointsman-agent-next.deb");
  EXPECT_EQ(run("dpkg-query -W -f '${Version}' pointsman"), next_version);
  EXPECT_NE(pid("pointsman"), daemon);
  EXPECT_NE(pid("pointsman-agent"), agent);
  EXPECT_EQ(await_primary()["epoch"], before["epoch"]);
  EXPECT_EQ(run("cd /etc/pointsman && ls -l --time-style=full-iso && sha256sum *"), files);
  EXPECT_EQ(end_of_session(), "begun\nended\n");
  EXPECT_EQ(run("systemctl --failed --no-legend"), "");
}

// What the daemon cannot change in itself is changed by a process that takes its place, as the main one of
// the service. A second one comes to be in the same way. systemd sees when that one ends, although the former
// process, which started it, still has a session; and its watchdog watches it.
TEST_F(Services, AreRenewedByAReload) {
  start_all();
  int threads = 1;
  const auto reload = [&] {
    const std::string daemon = pid("pointsman");
    run("sed -i '/^threads/d; /^.proxy./d' /etc/pointsman/pointsman.toml; printf '[proxy]\\nthreads = " +
        std::to_string(++threads) + "\\n' >>/etc/pointsman/pointsman.toml; systemctl reload pointsman");
    EXPECT_NE(pid("pointsman"), daemon);
    EXPECT_EQ(active("pointsman"), "active");
    EXPECT_EQ(await_primary()["pid"].dump(), pid("pointsman"));
  };
  begin_session(6);
  reload();
  reload();
  EXPECT_EQ(end_of_session(), "begun\nended\n");
  run("systemctl stop session");

  for (const char* signal : {"KILL", "STOP"}) {
    begin_session(100);
    reload();
    const std::string daemon = pid("pointsman");
    run(std::string("kill -") + signal + " " + daemon);
    EXPECT_TRUE(is_started_again("pointsman", daemon)) << signal;
    await_primary();
    run("systemctl stop session; systemctl reset-failed session || true");
  }
}

// What was stopped stays stopped, and what the new version would not start with keeps running as it is.
TEST_F(Services, AreLeftAsTheyAreByAnUpgradeThatCannotRestartThem) {
  start_both();
  bring_next_packages(*machine_);
  run("systemctl stop pointsman-agent; echo nonsense >>/etc/pointsman/pointsman.toml");
  const std::string daemon = pid("pointsman");
  const std::string said = run("dpkg -i /root/pointsman-next.deb /root/pointsman-agent-next.deb 2>&1");
  EXPECT_TRUE(has(said, "is not accepted: it runs on as version " POINTSMAN_VERSION)) << said;
  EXPECT_EQ(pid("pointsman"), daemon);
  EXPECT_EQ(active("pointsman"), "active");
  run("pointsman status --socket /run/pointsman/admin.sock");
  EXPECT_EQ(active("pointsman-agent"), "inactive");
}

// Where the administrator's policy forbids it, the processes run on, and where it allows it, they do not.
TEST_F(Services, AreRenewedAsPolicyAllows) {
  start_both();
  bring_next_packages(*machine_);
  const auto policy = [&](const std::string& answer) {
    run("printf '#!/bin/sh\\nexit " + answer +
        "\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d");
  };
  const std::string daemon = pid("pointsman");
  const std::string agent = pid("pointsman-agent");
  policy("101");
  run("dpkg -i /root/pointsman-next.deb /root/pointsman-agent-next.deb");
  EXPECT_EQ(pid("pointsman"), daemon);
  EXPECT_EQ(pid("pointsman-agent"), agent);
  policy("104");
  run("dpkg -i /root/pointsman-next.deb /root/pointsman-agent-next.deb");
  EXPECT_NE(pid("pointsman"), daemon);
  EXPECT_NE(pid("pointsman-agent"), agent);
}

// Removal stops the services, and takes them out of the boot.
TEST_F(Services, AreStoppedByRemoval) {
  start_both();
  run("printf '[copy]\nlisten = \"127.0.0.1:696\"\n' >>/etc/pointsman/agent.toml");
  run("systemctl enable --now pointsman-agent-copies");
  EXPECT_EQ(active("pointsman-agent-copies"), "active");
  run("dpkg -r pointsman pointsman-agent");
  EXPECT_EQ(run("pgrep -l pointsman || true"), "");
  EXPECT_EQ(run("ls /run/pointsman/admin.sock 2>/dev/null || true"), "");
  run("dpkg -P pointsman pointsman-agent");
  EXPECT_EQ(run("find /run /etc/systemd /etc/pointsman /var/lib -name '*pointsman*' 2>/dev/null || true"),
            "");
}

}  // namespace
}  // namespace pointsman::package
