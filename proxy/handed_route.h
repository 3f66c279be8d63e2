#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "conf/config.h"
#include "proxy/route.h"

// A route as one process tells it to another, whose backends may be others, or have other numbers.
namespace pointsman::proxy {

// What a backend is to both: its name and where it is. One that moved is another server.
std::string identity_of(const conf::Backend& backend);
std::vector<std::string> identities_of(const conf::Config& config);  // index == BackendId

// `identities` is the sender's.
nlohmann::json to_json(const Route& route, const std::vector<std::string>& identities);

struct HandedRoute {
  Route route;          // its backend is not set
  std::string backend;  // identity; "": none
};
// nullopt: no route.
std::optional<HandedRoute> route_from_json(const nlohmann::json& in);
// With the number that its backend has in `identities`; null: that is none of these, or is elsewhere now.
RoutePtr route_among(const HandedRoute& handed, const std::vector<std::string>& identities);

}  // namespace pointsman::proxy
