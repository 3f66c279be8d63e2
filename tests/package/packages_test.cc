#include <string>

#include <gtest/gtest.h>

#include "tests/package/machine.h"
#include "tests/package/site.h"

// What is in the packages, and what installing and removing them does, on a machine whose systemd does not
// run, as in a chroot.
namespace pointsman::package {
namespace {

class Packages : public testing::Test {
 protected:
  void SetUp() override {
    auto made = Machine::create();
    ASSERT_TRUE(made) << made.error();
    machine_ = std::move(*made);
    bring_packages(*machine_);
  }

  std::string field(const std::string& name, const std::string& field) const {
    return must(*machine_, "dpkg-deb -f /root/" + name + ".deb " + field);
  }
  std::string run(const std::string& script) const { return must(*machine_, script); }
  void install() const { run("dpkg -i /root/pointsman.deb /root/pointsman-agent.deb"); }

  std::unique_ptr<Machine> machine_;
};

TEST_F(Packages, AreWhatLintianWants) {
  const testbed::Finished judged = machine_->sh(
      "lintian --allow-root --fail-on error,warning /root/pointsman.deb /root/pointsman-agent.deb");
  EXPECT_EQ(judged.code, 0) << judged.out << judged.err;
  EXPECT_EQ(judged.out, "");
}

// The version is the project's, and the libraries that the programs load are named.
TEST_F(Packages, NameVersionAndLibraries) {
  for (const char* name : {daemon_package, agent_package}) {
    EXPECT_EQ(field(name, "Version"), POINTSMAN_VERSION "\n");
    const std::string depends = field(name, "Depends");
    for (const char* library : {"libc6", "libssl3", "libuv1", "libstdc++6"})
      EXPECT_TRUE(has(depends, library)) << name << ": " << depends;
    EXPECT_EQ(has(depends, "liburing2"), name == daemon_package) << name << ": " << depends;
    EXPECT_TRUE(has(depends, "libmariadb3") || has(depends, "libmysqlclient")) << name << ": " << depends;
  }
}

// Programs, pages and completion work from where they are; the user and the folders are there, nothing else
// of ours in /etc, and nothing runs.
TEST_F(Packages, InstallWithoutSystemd) {
  install();
  EXPECT_EQ(run("pointsman --version"), "pointsman " POINTSMAN_VERSION "\n");
  EXPECT_EQ(run("pointsman-agent --version"), "pointsman-agent " POINTSMAN_VERSION "\n");
  EXPECT_EQ(run("stat -c '%U:%G %a' /etc/pointsman /var/lib/pointsman"),
            "root:pointsman 750\npointsman:pointsman 700\n");
  EXPECT_EQ(run("ls -A /etc/pointsman /var/lib/pointsman"), "/etc/pointsman:\n\n/var/lib/pointsman:\n");
  EXPECT_TRUE(has(run("getent passwd pointsman"), ":/var/lib/pointsman:/usr/sbin/nologin"));
  EXPECT_EQ(run("pgrep -l pointsman || true"), "");
  for (const char* page : {"8 pointsman", "8 pointsman-agent", "5 pointsman.toml", "5 agent.toml"}) {
    const testbed::Finished shown = machine_->sh("man --warnings -P cat " + std::string(page) + " | col -b");
    EXPECT_EQ(shown.code, 0) << page;
    EXPECT_TRUE(has(shown.out, "\nDESCRIPTION\n")) << shown.out;
    EXPECT_EQ(shown.err, "") << page;
  }
  EXPECT_TRUE(has(run(". /usr/share/bash-completion/bash_completion; _completion_loader pointsman-agent; "
                      "_completion_loader pointsman; complete -p"),
                  "-F _pointsman_agent pointsman-agent"));
  // Once more, over itself: nothing breaks, and nothing is said to be wrong.
  install();
}

// The samples are accepted by the users that read them.
TEST_F(Packages, SamplesAreAccepted) {
  install();
  write_configuration(*machine_);
  const std::string daemon =
      run("runuser -u pointsman -- pointsman check -c "
          "/usr/share/doc/pointsman/examples/pointsman.toml");
  EXPECT_TRUE(daemon.starts_with("ok: ")) << daemon;
  run("chown root: /etc/pointsman/monitor.password /etc/pointsman/authkeys");
  const std::string agent =
      run("pointsman-agent check -c /usr/share/doc/pointsman-agent/examples/agent.toml");
  EXPECT_TRUE(agent.starts_with("ok: ")) << agent;
}

// systemd understands every line of the units, and finds the pages that they name; none but the agent is
// root.
TEST_F(Packages, UnitsAreSound) {
  install();
  const testbed::Finished verified = machine_->sh(
      "systemd-analyze verify --man=yes pointsman.service pointsman-agent.service "
      "pointsman-agent-copies.service");
  EXPECT_EQ(verified.code, 0);
  EXPECT_EQ(verified.out + verified.err, "");
  // systemd's own measure, 0 to 10; most services are at 9.6. What is left is named in the units.
  const auto exposure = [&](const std::string& unit, int most) {
    return machine_->sh("systemd-analyze security --offline=true --threshold=" + std::to_string(most) +
                        " /lib/systemd/system/" + unit);
  };
  EXPECT_EQ(exposure("pointsman.service", 22).code, 0) << exposure("pointsman.service", 22).out;
  EXPECT_EQ(exposure("pointsman-agent.service", 32).code, 0) << exposure("pointsman-agent.service", 32).out;
  EXPECT_TRUE(has(run("cat /lib/systemd/system/pointsman.service"), "\nUser=pointsman\n"));
}

// Removal keeps configuration and state.
TEST_F(Packages, RemovalKeepsWhatTheAdministratorWrote) {
  install();
  write_configuration(*machine_);
  run("echo 1 >/var/lib/pointsman/state.json");
  const std::string before = run("ls -lR --time-style=full-iso /etc/pointsman /var/lib/pointsman");
  run("dpkg -r pointsman pointsman-agent");
  EXPECT_EQ(run("ls -lR --time-style=full-iso /etc/pointsman /var/lib/pointsman"), before);
  EXPECT_EQ(run("ls /usr/bin/pointsman* 2>/dev/null || true"), "");
  install();
  EXPECT_EQ(run("ls -lR --time-style=full-iso /etc/pointsman /var/lib/pointsman"), before);
}

// Purging takes all of it, in either order; what the other package may need stays until that one goes.
TEST_F(Packages, PurgeTakesEverything) {
  const std::string ours =
      "find / -xdev \\( -path /root -o -path /proc -o -path /var/cache/man \\) -prune -o "
      "-name '*pointsman*' -print; getent passwd pointsman; getent group pointsman; true";
  const std::string before = run(ours);  // of the tree itself
  for (const auto& [first, second] :
       {std::pair("pointsman", "pointsman-agent"), std::pair("pointsman-agent", "pointsman")}) {
    install();
    write_configuration(*machine_);
    run("echo 1 >/var/lib/pointsman/state.json; install -d -o pointsman /var/lib/pointsman/rescue");
    run(std::string("dpkg -P ") + first);
    EXPECT_EQ(run("ls /etc/pointsman/authkeys"), "/etc/pointsman/authkeys\n") << first;
    EXPECT_EQ(run("ls /etc/pointsman/*.toml"),
              std::string("/etc/pointsman/") + (first == std::string("pointsman") ? "agent" : "pointsman") +
                  ".toml\n");
    EXPECT_EQ(run("find / -xdev -nouser -o -nogroup"), "") << first;
    run(std::string("dpkg -P ") + second);
    EXPECT_EQ(run(ours), before) << second;
  }
}

// Transactions that were saved from a returned server are nowhere else: they outlive a purge.
TEST_F(Packages, PurgeKeepsRescuedTransactions) {
  install();
  run("install -d -o pointsman -g pointsman -m 700 /var/lib/pointsman/rescue; "
      "install -o pointsman -g pointsman -m 600 /dev/null /var/lib/pointsman/rescue/dbserv1.sql; "
      "touch /var/lib/pointsman/state.json");
  const testbed::Finished purged = machine_->sh("dpkg -P pointsman");
  EXPECT_EQ(purged.code, 0) << purged.err;
  EXPECT_TRUE(has(purged.err, "kept /var/lib/pointsman/rescue")) << purged.err;
  EXPECT_EQ(run("cd /var/lib/pointsman && stat -c '%n %U:%G %a' * rescue/*"),
            "rescue root:root 700\nrescue/dbserv1.sql root:root 600\n");
}

}  // namespace
}  // namespace pointsman::package
