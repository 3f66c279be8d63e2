#include "health/setup/copy_agent.h"

#include <chrono>
#include <utility>

#include "conf/address.h"
#include "health/mysql/concat.h"

namespace pointsman::setup {

using copy::Channel;
using copy::Words;
using mysql::concat;

std::expected<void, std::string> CopyAgent::open() {
  std::string why = "no address of it is known";
  for (const auto& address : addresses_) {
    auto channel = Channel::connect(address, keys_, cancel_);
    if (channel) {
      channel_ = std::move(*channel);
      return {};
    }
    why = concat(conf::to_string(address), " (tcp): ", channel.error());
  }
  return std::unexpected(concat("the agent of ", server_.name, " is not reached for copies: ", why));
}

std::expected<void, std::string> CopyAgent::order(const Words& words) {
  if (auto opened = open(); !opened) return opened;
  if (auto sent = channel_->send(words, answer_time); !sent) return std::unexpected(named(sent.error()));
  return {};
}

CopyAgent::Said CopyAgent::hear(core::Duration time) {
  while (true) {
    auto words = channel_->receive_words(time);
    if (!words) return std::unexpected(named(words.error()));
    if (words->verb == "progress") continue;
    if (words->verb == "failed") return std::unexpected(named(words->value("why")));
    return words;
  }
}

CopyAgent::Said CopyAgent::expect(const std::string& verb, core::Duration time) {
  auto words = hear(time);
  if (words && words->verb != verb)
    return std::unexpected(named(concat("says ", words->verb, " where ", verb, " was expected")));
  return words;
}

CopyAgent::Said CopyAgent::look(const Words& question) {
  if (auto asked = order(question); !asked) return std::unexpected(asked.error());
  auto facts = expect("facts", std::chrono::minutes(5));
  channel_.reset();
  if (facts && facts->value("node") != server_.name)
    return std::unexpected(named("it is the agent of " + facts->value("node")));
  return facts;
}

std::string CopyAgent::named(const std::string& text) const {
  return concat("the agent of ", server_.name, ": ", text);
}

}  // namespace pointsman::setup
