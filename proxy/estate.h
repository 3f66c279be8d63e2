#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include "health/io/systemd.h"
#include "proxy/admin_server.h"
#include "proxy/handover.h"
#include "proxy/heartbeats.h"
#include "proxy/state_dir.h"
#include "proxy/workers.h"

// What a daemon hands to the process that takes its place. Control loop's thread.
namespace pointsman::proxy {

struct Estate {
  const StateDir& state_dir;
  const AdminServer& admin;
  const Workers& workers;
  const Heartbeats* heartbeats;  // null: no backend has an agent
};

// Its descriptors, and what they are; takeover.h reads them. Valid until one of these changes.
std::vector<Handover::Piece> pieces_of(const Estate& estate);

// Why systemd would not take that process for the main one of our service; "": it would, or there is none.
std::string why_not_of_our_service(const io::Systemd& systemd, pid_t process);

}  // namespace pointsman::proxy
