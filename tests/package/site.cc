#include "tests/package/site.h"

#include <chrono>
#include <filesystem>
#include <thread>

namespace pointsman::package {

namespace fs = std::filesystem;

namespace {

constexpr testbed::Millis site_look_again{100};

fs::path package_file(const std::string& name) {
  for (const fs::directory_entry& entry : fs::directory_iterator(PACKAGES))
    if (entry.path().filename().string().starts_with(name + "_")) return entry.path();
  return {};
}

}  // namespace

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string must(const Machine& machine, const std::string& script) {
  const testbed::Finished done = machine.sh(script);
  EXPECT_EQ(done.code, 0) << script << "\n" << done.out << done.err;
  return done.out;
}

void bring_packages(const Machine& machine) {
  for (const char* name : {daemon_package, agent_package}) {
    const fs::path file = package_file(name);
    ASSERT_FALSE(file.empty()) << "no package " << name << " in " PACKAGES;
    fs::copy_file(file, machine.root() / "root" / (std::string(name) + ".deb"));
  }
}

void bring_next_packages(const Machine& machine) {
  must(machine, std::string(R"sh(cd /root
for name in pointsman pointsman-agent; do
  dpkg-deb -R $name.deb $name-next
  sed -i 's/^Version: .*/Version: )sh") +
                    next_version + R"sh(/' $name-next/DEBIAN/control
  dpkg-deb -b -Znone $name-next $name-next.deb >/dev/null
done)sh");
}

void write_configuration(const Machine& machine) {
  must(machine, R"sh(set -e
umask 077
cd /etc/pointsman
echo monitor-secret >monitor.password
echo replica-secret >replica.password
pointsman keygen authkeys >/dev/null 2>&1
cp authkeys agent.authkeys
cp monitor.password agent.password
chown pointsman: monitor.password replica.password authkeys
cat >pointsman.toml <<END
[monitor]
user = "pointsman"
password_file = "/etc/pointsman/monitor.password"
[replication]
user = "replica"
password_file = "/etc/pointsman/replica.password"
[heartbeat]
node = "proxy1"
[[backend]]
name = "dbserv1"
address = "127.0.0.1:3310"
udp = "127.0.0.1:695"
[[backend]]
name = "dbserv2"
address = "127.0.0.1:3311"
END
chgrp pointsman pointsman.toml
chmod 640 pointsman.toml
cat >agent.toml <<END
[heartbeat]
node = "dbserv1"
listen = "127.0.0.1:695"
proxies = ["127.0.0.1:694"]
authkeys = "/etc/pointsman/agent.authkeys"
[mysql]
user = "pointsman"
password_file = "/etc/pointsman/agent.password"
END
)sh");
}

void start_server(const Machine& machine) {
  must(machine, R"sh(set -e
useradd --system mysql
install -d -o mysql -g mysql /var/lib/mysql /run/mysqld
mariadb-install-db --no-defaults --skip-test-db --user=mysql --datadir=/var/lib/mysql >/dev/null
cat >/var/lib/mysql/init.sql <<END
CREATE USER IF NOT EXISTS pointsman@'%' IDENTIFIED BY 'monitor-secret';
GRANT ALL ON *.* TO pointsman@'%';
END
systemd-run --quiet --unit=mariadb -p User=mysql -p Type=notify mariadbd --no-defaults --datadir=/var/lib/mysql \
  --socket=/run/mysqld/mysqld.sock --bind-address=127.0.0.1 --port=3310 --server-id=1 --log-bin=binlog \
  --log-slave-updates --gtid-strict-mode=1 --init-file=/var/lib/mysql/init.sql
)sh");
}

bool comes_true(const Machine& machine, const std::string& script, testbed::Millis timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  do {
    if (machine.sh(script).code == 0) return true;
    std::this_thread::sleep_for(site_look_again);
  } while (std::chrono::steady_clock::now() < until);
  return false;
}

nlohmann::json await_status(const Machine& machine,
                            const std::function<bool(const nlohmann::json&)>& wanted) {
  nlohmann::json status;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  do {
    status = nlohmann::json::parse(machine.sh("pointsman status --json").out, nullptr, false);
    if (status.is_object() && wanted(status)) return status;
    std::this_thread::sleep_for(site_look_again);
  } while (std::chrono::steady_clock::now() < until);
  ADD_FAILURE() << "the status never became what was waited for: " << status.dump(2)
                << machine.sh("journalctl -b --no-pager -n 60").out;
  return status;
}

std::string property(const Machine& machine, const std::string& unit, const std::string& name) {
  std::string value = must(machine, "systemctl show --value -p " + name + " " + unit);
  if (value.ends_with('\n')) value.pop_back();
  return value;
}

}  // namespace pointsman::package
