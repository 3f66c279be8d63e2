#pragma once

#include <string>
#include <vector>

#include "conf/config.h"
#include "health/core/command.h"
#include "health/setup/admin.h"

// What a dry run says that the commands of health/mysql would send; those compose their statements while they
// run, so these are told in their words. Nothing is sent.
namespace pointsman::setup {

// MakeWritable on a server of this flavour.
std::vector<std::string> writable_statements(core::Flavour flavour, conf::SemiSync mode);

// Follow on `replica`, which is read-only and empty or a copy by then.
std::vector<std::string> follow_statements(Admin& replica, const core::Follow& order,
                                           const conf::Account& replication);

}  // namespace pointsman::setup
