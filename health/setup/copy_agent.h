#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "conf/authkeys.h"
#include "conf/config.h"
#include "health/copy/channel.h"
#include "health/copy/words.h"
#include "health/mysql/waker.h"
#include "health/setup/copy.h"

namespace pointsman::setup {

// The agent beside one end of a copy. A connection is for one order; errors are sentences that name the
// agent. One thread; the constructor's arguments outlive it.
class CopyAgent {
 public:
  using Said = std::expected<copy::Words, std::string>;

  // `cancel` ends the waiting for it.
  CopyAgent(const Endpoint& server, const std::vector<conf::HostPort>& addresses, const conf::AuthKeys& keys,
            const mysql::Waker& cancel)
      : server_(server), addresses_(addresses), keys_(keys), cancel_(cancel) {}

  std::expected<void, std::string> order(const copy::Words& words);
  // Its next word within `time`. `failed` is an error, and `progress` is passed over.
  Said hear(core::Duration time);
  Said expect(const std::string& verb, core::Duration time);
  // The facts of a server, of whom it says that they are of this one. Closes.
  Said look(const copy::Words& question);

  copy::Channel& channel() { return *channel_; }
  bool is_open() const { return channel_.has_value(); }
  void close() { channel_.reset(); }
  std::string named(const std::string& text) const;

  // For an answer that takes no work.
  static constexpr core::Duration answer_time = std::chrono::minutes(1);

 private:
  std::expected<void, std::string> open();

  const Endpoint& server_;
  const std::vector<conf::HostPort>& addresses_;
  const conf::AuthKeys& keys_;
  const mysql::Waker& cancel_;
  std::optional<copy::Channel> channel_;
};

}  // namespace pointsman::setup
