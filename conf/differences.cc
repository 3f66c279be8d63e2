#include "conf/differences.h"

#include <algorithm>
#include <memory>
#include <variant>

#include "conf/schema.h"
#include "conf/validate.h"

namespace pointsman::conf {
namespace {

constexpr const char* hidden = "(a password)";

template <class Root>
void compare(const Key<Root>& key, const std::string& name, const Root& old, const Root& now,
             std::vector<Difference>& found) {
  const std::string from = value_text(key.field, old);
  const std::string to = value_text(key.field, now);
  if (from != to) found.push_back({name, from, to, key.change});
}

const Account* account_of(const Key<Config>& key, const Config& config) {
  if (key.name != "password_file") return nullptr;
  return key.section == "monitor" ? &config.monitor.account : &config.replication.account;
}

template <class AConfig>
auto* find(AConfig& config, const std::string& name) {
  const auto found = std::ranges::find(config.backends, name, &Backend::name);
  return found == config.backends.end() ? nullptr : std::to_address(found);
}

std::string address_text(const Backend& backend) {
  return "\"" + to_string(backend.address) + "\"";
}

template <class Root>
void copy(const Field<Root>& field, const Root& from, Root& to) {
  std::visit(
      [&](const auto& f) {
        if constexpr (requires { f.access; }) {
          f.access.at(to) = f.access.get(from);
        } else {
          f.set(to, f.get(from));
        }
      },
      field);
}

}  // namespace

std::vector<Difference> differences(const Config& old, const Config& now) {
  std::vector<Difference> found;
  for (const Key<Config>& key : config_keys()) {
    const std::string name = std::string(key.section) + "." + std::string(key.name);
    compare(key, name, old, now, found);
    const Account* const before = account_of(key, old);
    if (before == nullptr) continue;
    const Account* const after = account_of(key, now);
    if (before->password_file == after->password_file && before->password != after->password) {
      found.push_back({name, hidden, hidden, key.change});
    }
  }
  for (const Backend& before : old.backends) {
    const std::string name = "backend " + before.name;
    const auto* const after = find(now, before.name);
    if (after == nullptr) {
      found.push_back({name, address_text(before), "", Change::on_takeover});
      continue;
    }
    for (const Key<Backend>& key : backend_keys()) {
      compare(key, name + "." + std::string(key.name), before, *after, found);
    }
  }
  for (const Backend& added : now.backends) {
    if (find(old, added.name) == nullptr)
      found.push_back({"backend " + added.name, "", address_text(added), Change::on_takeover});
  }
  // An agent may still go by the longer one, which only the daemon's absence outlasts.
  if (now.heartbeat.lease < old.heartbeat.lease) {
    for (Difference& difference : found) {
      if (difference.key == "heartbeat.lease") difference.change = Change::on_restart;
    }
  }
  return found;
}

std::string to_string(const Difference& difference) {
  const auto shown = [](const std::string& value) { return value.empty() ? std::string("(none)") : value; };
  const std::string change =
      difference.from == hidden ? "another password" : shown(difference.from) + " -> " + shown(difference.to);
  switch (difference.change) {
    case Change::on_reload:
      return difference.key + ": " + change;
    case Change::on_takeover:
      return difference.key + ": " + change + " (takes a new process)";
    case Change::on_restart:
      return difference.key + ": " + change + " (at the next restart)";
  }
  return {};
}

std::expected<Config, std::vector<Problem>> reloaded(const Config& running, const Config& read) {
  Config merged = running;
  for (const Key<Config>& key : config_keys()) {
    if (key.change == Change::on_reload) copy(key.field, read, merged);
  }
  for (Backend& backend : merged.backends) {
    const Backend* const again = find(read, backend.name);
    if (again == nullptr) continue;
    for (const Key<Backend>& key : backend_keys()) {
      if (key.change == Change::on_reload) copy(key.field, *again, backend);
    }
  }
  merged.monitor.account.password = read.monitor.account.password;
  merged.replication.account.password = read.replication.account.password;

  // Each of the two is valid; the mixture can only fail where a relation has a key of both kinds.
  Positions positions(read.file);
  for (const char* key :
       {"heartbeat.deadtime", "heartbeat.keepalive", "heartbeat.warntime", "heartbeat.lease",
        "monitor.interval", "monitor.timeout", "admin.metrics", "proxy.listen"}) {
    positions.add(key, {});
  }
  std::vector<Problem> problems = validate(merged, positions);
  if (problems.empty()) return merged;
  for (Problem& problem : problems) {
    problem.line = problem.column = 0;
    problem.message = "cannot be applied without a new process or a restart: " + problem.message;
  }
  return std::unexpected(std::move(problems));
}

}  // namespace pointsman::conf
