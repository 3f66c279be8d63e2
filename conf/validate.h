#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "conf/config.h"
#include "conf/problem.h"

namespace pointsman::conf {

// What one heartbeat takes of a serial line: an ordinary frame of at most 94 bytes, one byte of COBS, one
// delimiter. A line must carry that twice over in each `keepalive`, each direction on its own wire. 19200
// baud does so, exactly, at the default of 100ms; a frame of the largest size that the format allows (160 + 2
// bytes) still passes in time.
inline constexpr unsigned serial_frame_bytes = 96;
inline constexpr unsigned serial_bits_per_byte = 10;  // start and stop bit included
// What such a frame has room for.
inline constexpr std::size_t max_node_name = 16;

// Why a line of `baud` does not carry a frame each `keepalive` twice over, and what would; "": it does.
std::string why_line_too_slow(unsigned baud, Duration keepalive);

// The relations between keys, of a Config whose values are each in range. A relation with a key that was
// refused is left out, and so is one about links that no backend has, unless the operator wrote the key.
// Touches no file. Pure.
std::vector<Problem> validate(const Config& config, const Positions& positions);

}  // namespace pointsman::conf
