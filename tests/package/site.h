#pragma once

#include <functional>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/package/machine.h"

// What an administrator does on a machine with our packages.
namespace pointsman::package {

constexpr const char* daemon_package = "pointsman";
constexpr const char* agent_package = "pointsman-agent";

bool has(const std::string& text, const std::string& part);

// Runs a script that must succeed; what it printed.
std::string must(const Machine& machine, const std::string& script);

// Copies both packages of the build to /root of the machine, as pointsman.deb and pointsman-agent.deb.
void bring_packages(const Machine& machine);
// The same under a later version, as NAME-next.deb.
constexpr const char* next_version = "999.0";
void bring_next_packages(const Machine& machine);

// Passwords, keys and two small configurations: a daemon and an agent on one machine, dbserv1 beside them,
// and a second server that is not there. Each user has files of its own, which is what the programs demand.
void write_configuration(const Machine& machine);

// A MariaDB server as dbserv1, that systemd runs as its user mysql.
void start_server(const Machine& machine);

// `pointsman status --json`, once it fulfils the condition; what it was last where it never does.
nlohmann::json await_status(const Machine& machine, const std::function<bool(const nlohmann::json&)>& wanted);

// Runs the script until it succeeds; false: not within `timeout`.
bool comes_true(const Machine& machine, const std::string& script,
                testbed::Millis timeout = std::chrono::seconds(20));

// A property of a unit, as `systemctl show` tells it.
std::string property(const Machine& machine, const std::string& unit, const std::string& name);

}  // namespace pointsman::package
