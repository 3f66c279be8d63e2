#pragma once

#include <string>
#include <vector>

#include "health/setup/survey.h"

// Servers as `setup` might find them.
namespace pointsman::setup {

core::GtidSet gtids(core::Flavour flavour, const std::string& text);

// Well configured, empty, read-only; `number` makes its name, address, server_id and UUID.
Survey bare(core::Flavour flavour, unsigned number);
Survey with_data(Survey server, const std::string& executed);
// Both threads running, by GTID.
Survey replica_of(Survey server, const Survey& source);

}  // namespace pointsman::setup
