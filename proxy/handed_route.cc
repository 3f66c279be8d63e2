#include "proxy/handed_route.h"

#include <algorithm>
#include <array>
#include <exception>

#include "conf/address.h"
#include "health/io/address.h"

namespace pointsman::proxy {

namespace {

constexpr std::array mode_words{"open", "holding", "draining", "closed"};  // in the order of Route::Mode

}  // namespace

std::string identity_of(const conf::Backend& backend) {
  return backend.name + "@" + conf::to_string(backend.address);
}

std::vector<std::string> identities_of(const conf::Config& config) {
  std::vector<std::string> list;
  list.reserve(config.backends.size());
  for (const auto& backend : config.backends) list.push_back(identity_of(backend));
  return list;
}

nlohmann::json to_json(const Route& route, const std::vector<std::string>& identities) {
  nlohmann::json out{{"epoch", route.epoch.value},
                     {"mode", mode_words.at(static_cast<std::size_t>(route.mode))},
                     {"reason", route.reason}};
  if (route.backend && core::index(*route.backend) < identities.size())
    out["backend"] = identities[core::index(*route.backend)];
  if (route.address_length > 0) {
    out["address"] =
        io::Address::from(reinterpret_cast<const sockaddr*>(&route.address), route.address_length)
            .to_string();
  }
  return out;
}

std::optional<HandedRoute> route_from_json(const nlohmann::json& in) {
  // The library reports what is missing or of another type by exceptions; they end here.
  try {
    HandedRoute handed;
    const auto mode = std::ranges::find(mode_words, in.at("mode").get<std::string>());
    if (mode == mode_words.end()) return std::nullopt;
    handed.route.mode = static_cast<Route::Mode>(mode - mode_words.begin());
    handed.route.epoch.value = in.at("epoch").get<std::uint64_t>();
    handed.route.reason = in.at("reason").get<std::string>();
    handed.backend = in.value("backend", "");
    const auto where = conf::parse_address(in.value("address", ""));
    if (const auto address = where ? io::Address::numeric(*where) : std::nullopt) {
      handed.route.address = address->storage;
      handed.route.address_length = address->length;
    }
    return handed;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

RoutePtr route_among(const HandedRoute& handed, const std::vector<std::string>& identities) {
  const auto found = std::ranges::find(identities, handed.backend);
  if (found == identities.end()) return nullptr;
  auto route = std::make_shared<Route>(handed.route);
  route->backend = static_cast<core::BackendId>(found - identities.begin());
  return route;
}

}  // namespace pointsman::proxy
