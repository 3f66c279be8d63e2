#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "conf/authkeys.h"

namespace pointsman::copy {

// What both sides of a channel must know: derived from a secret of authkeys and good for nothing else, so
// that nothing that is said here helps with heartbeats, or the reverse.
using Key = std::array<std::uint8_t, 32>;

// HMAC-SHA256 of a fixed text under the secret of key `number`. nullopt: there is no such key, or it is
// `crc`, which proves nothing.
std::optional<Key> channel_key(const conf::AuthKeys& keys, unsigned number);

// The name that the key goes by on the wire, and back; nullopt: it is none.
std::string key_identity(unsigned number);
std::optional<unsigned> key_number(std::string_view identity);

}  // namespace pointsman::copy
