#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "health/core/action.h"
#include "health/core/cluster.h"

namespace pointsman::core {

// Collects the actions of one step and numbers what will be answered.
class Outbox {
 public:
  CommandId command(BackendId backend, Command command) {
    const auto id = static_cast<CommandId>(++last_command_);
    actions_.emplace_back(SendCommand{id, backend, std::move(command)});
    return id;
  }
  // For a command that leaves a server half-way should we die meanwhile: it is sent when the state that is
  // stored next is durable, so that whoever starts after us knows of it. That storing fails does not hold it
  // up for ever.
  CommandId command_once_stored(BackendId backend, Command command) {
    const auto id = static_cast<CommandId>(++last_command_);
    waiting_.push_back({last_version_ + 1, backend, SendCommand{id, backend, std::move(command)}});
    return id;
  }
  CommandId take_back_once_stored(TakeBack order) {
    order.id = static_cast<CommandId>(++last_command_);
    const CommandId id = order.id;
    waiting_.push_back({last_version_ + 1, order.backend, std::move(order)});
    return id;
  }
  // Says that something is done when the state that is stored next is durable: what an operator was told
  // holds, also for whoever starts after us.
  void reply_once_stored(RequestId id, std::string text) {
    unanswered_.push_back({last_version_ + 1, id, std::move(text)});
  }
  // StateStored came for `version`.
  void stored(std::uint64_t version, const std::expected<void, std::string>& result) {
    for (auto& held : waiting_) {
      if (held.version <= version) actions_.push_back(std::move(held.action));
    }
    std::erase_if(waiting_, [version](const Waiting& held) { return held.version <= version; });
    for (auto& held : unanswered_) {
      if (held.version > version) continue;
      if (result) {
        reply(held.id, true, std::move(held.text));
      } else {
        reply(held.id, false, held.text + ", until the daemon ends: it cannot be stored: " + result.error());
      }
    }
    std::erase_if(unanswered_, [version](const Unanswered& held) { return held.version <= version; });
    if (!result) return;
    for (const auto& held : unstored_) {
      if (held.version <= version) stored_epoch_ = std::max(stored_epoch_, held.epoch);
    }
    std::erase_if(unstored_, [version](const Unstored& held) { return held.version <= version; });
  }
  // Ends what runs and waits on a server.
  void abort_commands(BackendId backend) {
    forget_waiting(backend);
    actions_.emplace_back(AbortCommands{backend});
  }
  void abort_take_back(BackendId backend) {
    forget_waiting(backend);
    actions_.emplace_back(AbortTakeBack{backend});
  }
  // Returns the token that RouteApplied will carry.
  std::uint64_t route(Epoch epoch, RouteMode mode, std::optional<BackendId> backend, std::string reason) {
    route_ = {++last_token_, epoch, mode, backend, std::move(reason)};
    actions_.emplace_back(route_);
    return route_.token;
  }
  // Returns the version that StateStored will carry.
  std::uint64_t store(const DurableState& state) {
    actions_.emplace_back(StoreState{++last_version_, state});
    if (state.epoch > stored_epoch_) unstored_.push_back({last_version_, state.epoch});
    return last_version_;
  }
  // The highest epoch that is durable: no other may be told to anybody outside.
  Epoch stored_epoch() const { return stored_epoch_; }
  void begin_with(Epoch stored) { stored_epoch_ = stored; }
  void record(HistoryRecord record) { actions_.emplace_back(Record{std::move(record)}); }
  void reply(RequestId id, bool ok, std::string text) { reply({id, ok, std::move(text), {}, {}, {}, {}}); }
  void reply(Reply reply) { actions_.emplace_back(std::move(reply)); }
  void add(Action action) { actions_.push_back(std::move(action)); }

  // The route that was asked for last.
  const SetRoute& current_route() const { return route_; }
  Actions take() { return std::exchange(actions_, {}); }

 private:
  struct Waiting {
    std::uint64_t version;
    BackendId backend;
    Action action;
  };

  struct Unanswered {
    std::uint64_t version;
    RequestId id;
    std::string text;
  };

  struct Unstored {
    std::uint64_t version;
    Epoch epoch;
  };

  void forget_waiting(BackendId backend) {
    std::erase_if(waiting_, [backend](const Waiting& held) { return held.backend == backend; });
  }

  Actions actions_;
  std::vector<Waiting> waiting_;        // at most one for each server
  std::vector<Unanswered> unanswered_;  // at most one for each client of the admin socket
  std::vector<Unstored> unstored_;      // emptied by the next store that succeeds
  Epoch stored_epoch_;
  SetRoute route_;
  std::uint64_t last_command_ = 0;
  std::uint64_t last_token_ = 0;
  std::uint64_t last_version_ = 0;
};

}  // namespace pointsman::core
