#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "health/io/mailbox.h"
#include "proxy/admin_server.h"
#include "proxy/control.h"
#include "proxy/former_processes.h"
#include "proxy/history.h"
#include "proxy/workers.h"

namespace pointsman::proxy {

class Heartbeats;

// Answers the admin socket's requests: what is asked is looked up, what is ordered goes to the core. Control
// loop's thread.
class AdminRequests {
 public:
  // A sentence about what changed, or why not. It may come later, or, when we end first, never.
  using OnChange = std::function<void(const std::expected<std::string, std::string>&)>;

  struct Parts {
    Control& control;
    Workers& workers;
    History& history;
    io::Mailbox& mailbox;
    const Heartbeats* heartbeats;  // null: no backend has an agent
    const FormerProcesses& formers;
    core::Instant started;
    std::function<void(OnChange)> reload;
    // nullopt: for as long as the configuration says.
    std::function<void(std::optional<core::Duration>, OnChange)> drain;
    std::function<std::optional<core::Duration>()> drain_left;  // nullopt: it does not drain
  };

  explicit AdminRequests(Parts parts) : parts_(std::move(parts)) {}

  void handle(const nlohmann::json& request, const std::shared_ptr<Responder>& responder);
  // To everybody who follows the events.
  void publish(const nlohmann::json& event);

  static constexpr std::size_t default_events = 50;
  static constexpr std::size_t max_sessions = 1000;
  static constexpr std::size_t max_wait_ms = 3'600'000;        // of a switchover for what is in the way
  static constexpr std::size_t max_drain_ms = 31'536'000'000;  // a year

 private:
  using ResponderPtr = std::shared_ptr<Responder>;

  nlohmann::json status() const;
  void drain(const nlohmann::json& request, const ResponderPtr& responder);
  void events(const nlohmann::json& request, const ResponderPtr& responder);
  void sessions(const nlohmann::json& request, const ResponderPtr& responder);
  void change(const nlohmann::json& request, const ResponderPtr& responder, bool planned);
  void order(const nlohmann::json& request, const ResponderPtr& responder, const std::string& command);

  Parts parts_;
  std::list<ResponderPtr> followers_;
};

}  // namespace pointsman::proxy
