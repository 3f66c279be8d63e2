#pragma once

#include <expected>
#include <string>
#include <vector>

#include "conf/config.h"
#include "conf/problem.h"
#include "conf/schema.h"

// What `reload` does with a configuration that was read again. Pure; the control loop's thread.
namespace pointsman::conf {

// One key that differs. Values as in TOML; "" where a backend or an optional key is absent. Secrets are never
// shown.
struct Difference {
  std::string key;  // "proxy.max_connections", "backend dbserv1", "backend dbserv1.udp"
  std::string from;
  std::string to;
  Change change = Change::on_reload;

  bool operator==(const Difference&) const = default;
};

// In the order of the schema. The order of the backends in the file means nothing and is no difference. A new
// password in the same file shows as the key of the file.
std::vector<Difference> differences(const Config& old, const Config& now);

// "proxy.threads: 0 -> 4 (takes a new process)"
std::string to_string(const Difference& difference);

// `running` with all of `read` that counts at once. Fails when the keys that wait make a relation impossible
// until then.
std::expected<Config, std::vector<Problem>> reloaded(const Config& running, const Config& read);

}  // namespace pointsman::conf
