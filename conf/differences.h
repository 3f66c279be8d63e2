#pragma once

#include <expected>
#include <string>
#include <vector>

#include "conf/config.h"
#include "conf/problem.h"

// What `reload` does with a configuration that was read again. Pure; the control loop's thread.
namespace pointsman::conf {

// One key that differs. Values as in TOML; "" where a backend or an optional key is absent. Secrets are never
// shown.
struct Difference {
  std::string key;  // "proxy.max_connections", "backend dbserv1", "backend dbserv1.udp"
  std::string from;
  std::string to;
  bool applied_on_reload = false;  // false: takes a restart

  bool operator==(const Difference&) const = default;
};

// In the order of the schema. The order of the backends in the file means nothing and is no difference. A new
// password in the same file shows as the key of the file.
std::vector<Difference> differences(const Config& old, const Config& now);

// "proxy.threads: 0 -> 4 (at the next takeover or restart)"
std::string to_string(const Difference& difference);

// `running` with all of `read` that a reload can apply. Fails when the keys that wait for a restart make a
// relation impossible until then; the daemon goes on with `running`.
std::expected<Config, std::vector<Problem>> reloaded(const Config& running, const Config& read);

}  // namespace pointsman::conf
