#pragma once

#include <functional>
#include <string>

#include <uv.h>

#include "health/core/time.h"
#include "health/io/address.h"
#include "health/io/handle.h"
#include "health/io/loop.h"
#include "health/io/timer.h"

namespace pointsman::io {

// One TCP connect, closed again at once: is there anybody who listens? Confirms a crash by refused connects.
//
// Used on the loop's thread; destroying it cancels without a callback, also inside the callback. An accepted
// connect that is closed before the handshake counts as an interrupted one against max_connect_errors of a
// MySQL server, so this is for servers that are believed dead, not for a steady pulse.
class ConnectCheck {
 public:
  enum class Outcome { accepted, refused, timed_out, failed };
  struct Result {
    Outcome outcome = Outcome::failed;
    std::string text;  // what the system said; empty when accepted
    core::Duration took{};
  };

  ConnectCheck(Loop& loop, std::function<void(const Result&)> on_result);
  ConnectCheck(const ConnectCheck&) = delete;
  ConnectCheck& operator=(const ConnectCheck&) = delete;

  // Never calls back before it returns. A check that still runs is abandoned.
  void start(const Address& to, core::Duration timeout);
  void cancel();
  bool running() const { return connecting_ != nullptr; }

 private:
  void finish(int status);

  Loop& loop_;
  std::function<void(const Result&)> on_result_;
  Timer timeout_;
  Handle<uv_tcp_t> connecting_;
  int failed_at_once_ = 0;
  core::Instant started_{};
};

const char* to_string(ConnectCheck::Outcome outcome);

}  // namespace pointsman::io
