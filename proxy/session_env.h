#pragma once

#include "health/io/address.h"
#include "proxy/chunk_filter.h"
#include "proxy/deadlines.h"
#include "proxy/hold_queue.h"
#include "proxy/loop_clock.h"
#include "proxy/proxy_header.h"
#include "proxy/route.h"
#include "proxy/shared_state.h"
#include "proxy/stream.h"

namespace pointsman::proxy {

class Session;

// Who owns the sessions.
class SessionOwner {
 public:
  SessionOwner() = default;
  SessionOwner(const SessionOwner&) = delete;
  SessionOwner& operator=(const SessionOwner&) = delete;
  // It has ended and acts no more; it is deleted later in this iteration.
  virtual void session_ended(Session& session) = 0;
  // A client was turned away for the header with which its connection began, or did not begin; for the log.
  virtual void header_refused(const io::Address& peer, proxy_header::Fault fault) = 0;

 protected:
  ~SessionOwner() = default;
};

// What a worker lends to its sessions. Everything outlives them.
struct SessionEnv {
  StreamEnv streams;
  LoopClock& clock;
  Deadlines& deadlines;
  Shared& shared;
  WorkerStats& stats;
  HoldQueue& holds;
  ChunkFilter& filter;
  const RoutePtr& route;  // the one that the worker acts on now; never null
  SessionOwner& owner;
};

}  // namespace pointsman::proxy
