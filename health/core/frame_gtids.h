#pragma once

#include <vector>

#include "health/core/frame.h"
#include "health/core/gtid_set.h"
#include "health/core/server_report.h"

// Transactions as a frame has room for them: the last of each origin. Pure.
namespace pointsman::core {

// A server's own last transactions, as a frame carries them; at most max_frame_gtids.
std::vector<FrameGtid> own_gtids(const ServerReport& report);
// The same of what a replica has from its source, applied or not.
std::vector<FrameGtid> received_gtids(const ServerReport& report);
// The other way: what they say that the server has.
GtidSet gtids_of(const std::vector<FrameGtid>& gtids);

}  // namespace pointsman::core
