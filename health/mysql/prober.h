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
// the socket and not at the next interval; a lost connection is followed at once by new connects, whose
// outcomes are reported too: up to max_quick_reconnects within a few milliseconds, until one succeeds, at
// most one such series per interval. Owned by the control loop's thread. Every call ends by its deadline or
// with the prober.
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

  static constexpr unsigned max_quick_reconnects = 5;  // 0, 1, 3, 7 and 15 ms after one another

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pointsman::mysql
