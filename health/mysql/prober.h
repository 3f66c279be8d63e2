#pragma once

#include <expected>
#include <functional>
#include <memory>

#include "conf/config.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

namespace pointsman::mysql {

struct ProbeResult {
  core::Instant started;   // CLOCK_BOOTTIME
  core::Instant finished;  // the moment of the evidence
  std::expected<core::ServerReport, core::Failure> outcome;
};

// One thread that asks one server how it is: every `interval`, and at once on probe_now(). Between two probes
// it watches its idle connection, so that the end of mysqld is reported (kind lost) when the kernel closes
// the socket and not at the next interval; a lost connection is followed at once by a new connect, whose
// outcome is reported too. Owned by the control loop's thread. A stuck call is freed by shutting down its
// socket after `timeout`.
class Prober {
 public:
  struct Options {
    conf::HostPort address;
    conf::Account account;
    core::Duration interval{};
    core::Duration timeout{};  // of one whole probe, connect included
  };
  // Called on the probe thread; must not block.
  using Sink = std::function<void(ProbeResult)>;

  Prober(Options options, Sink sink);
  ~Prober();  // ends within a moment even when a call is stuck; no sink call after it
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  void probe_now();  // any thread

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pointsman::mysql
