#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "conf/agent_config.h"
#include "health/copy/channel.h"
#include "health/mysql/waker.h"

namespace pointsman::agent {

// The local server's data as a stream of mariadb-backup, sent over the channel. The server goes on serving.
// Blocks; ends early when the other side goes away or says anything, or `cancel` rings. Error: what went
// wrong, which the other side has been told. The value: bytes sent.
std::expected<std::uint64_t, std::string> send_copy(const conf::AgentConfig& config, copy::Channel& channel,
                                                    const copy::Words& order, const mysql::Waker& cancel);

}  // namespace pointsman::agent
