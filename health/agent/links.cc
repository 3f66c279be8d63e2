#include "health/agent/links.h"

#include <algorithm>
#include <utility>

#include "health/io/clock.h"
#include "health/io/keyring.h"

namespace pointsman::agent {

using namespace std::chrono_literals;

namespace {

std::string why(core::FrameRefusal refusal) {
  switch (refusal) {
    case core::FrameRefusal::bad_mac:
      return "its code was not made with this key, or it is damaged; do the keys of proxy and agent differ? "
             "compare both authkeys files";
    case core::FrameRefusal::bad_key:
      return "it is signed with a key number that our authkeys has not; do the keys of proxy and agent "
             "differ? "
             "compare both authkeys files";
    case core::FrameRefusal::wrong_direction:
      return "an agent says it, not a proxy; is `proxies` right on that host?";
    case core::FrameRefusal::reflected:
      return "it is our own, come back; is the line looped, or does another host go by our name?";
    case core::FrameRefusal::wrong_link:
      return "it was made for the other kind of link; somebody copies frames";
    case core::FrameRefusal::bad_version:
      return "it is of another version, or no heartbeat at all";
    case core::FrameRefusal::replayed:
      return "it was heard before";
    case core::FrameRefusal::old_session:
      return "it is of a proxy's session that another one replaced; do two proxies go by one name?";
    case core::FrameRefusal::lower_epoch:
      return "it is of a lower epoch than ours; the proxy has lost its state, or it is an older proxy";
    default:
      return "it is not a heartbeat of Pointsman";
  }
}

bool of_the_handshake(core::FrameRefusal refusal) {
  return refusal == core::FrameRefusal::no_echo || refusal == core::FrameRefusal::unproven;
}

}  // namespace

const char* Links::to_string(State state) {
  constexpr std::array names{"unheard", "alive", "late", "dead"};
  return names.at(static_cast<std::size_t>(state));
}

Links::Links(io::Loop& loop, io::Log& log, const conf::AgentHeartbeat& config, const core::Keyring& keys,
             Callbacks callbacks)
    : loop_(loop),
      log_(log),
      config_(config),
      callbacks_(std::move(callbacks)),
      peers_(config.node, keys, io::random_nonce),
      complaints_(config.node, "proxy", core::FrameType::agent, keys, io::random_nonce),
      udp_(loop, {.on_datagram =
                      [this](const io::Address& from, std::span<const std::uint8_t> frame) {
                        hear(frame, core::LinkKind::udp, from);
                      },
                  .on_error =
                      [this](const io::Address& to, const std::string& text) {
                        const auto held_back = limiter_.pass("udp " + to.to_string(), io::now());
                        if (held_back)
                          log_.info("udp_send_failed",
                                    {{"to", to.to_string()}, {"why", text}, {"suppressed", *held_back}});
                      }}) {
  for (const conf::HostPort& where : config.proxies) {
    proxies_.push_back(std::make_unique<io::Destination>(loop, where, [this, where](const std::string& why) {
      if (const auto held_back = limiter_.pass("resolve " + where.host, io::now()))
        log_.warn("proxy_unknown",
                  {{"proxy", conf::to_string(where)}, {"why", why}, {"suppressed", *held_back}});
    }));
  }
}

std::expected<void, std::string> Links::start() {
  const auto listen = io::Address::numeric(config_.listen);
  if (!listen)
    return std::unexpected("heartbeat.listen " + conf::to_string(config_.listen) +
                           " must be a numeric address");
  if (auto bound = udp_.bind(*listen); !bound) return bound;
  log_.info("listening", {{"link", "udp"}, {"address", udp_.local().to_string()}});
  if (!config_.serial) return {};
  serial_.emplace(loop_, *config_.serial, config_.baud,
                  io::SerialLink::Callbacks{.on_frame =
                                                [this](std::span<const std::uint8_t> frame) {
                                                  hear(frame, core::LinkKind::serial, std::nullopt);
                                                },
                                            .on_change = [this] { tell_line(); }});
  tell_line();
  return {};
}

void Links::tell_line() {
  const std::string words = serial_->words();
  if (words == line_told_) return;
  line_told_ = words;
  const bool up = serial_->state() == io::SerialLink::State::up;
  log_.write(up ? conf::LogLevel::info : conf::LogLevel::warn, "serial_line",
             std::array<io::LogField, 2>{{{"device", serial_->device()}, {"state", words}}});
}

void Links::hear(std::span<const std::uint8_t> bytes, core::LinkKind link,
                 const std::optional<io::Address>& from) {
  const core::Instant now = io::now();
  const Peers::Heard heard = peers_.hear(bytes, link, from, callbacks_.least_epoch(), now);
  if (!heard.result) {
    if (heard.peer != nullptr) tell_stranger(*heard.peer, now);
    const core::FrameRefusal refusal = heard.result.error();
    if (refusal == core::FrameRefusal::bad_key || refusal == core::FrameRefusal::bad_mac) complain(link);
    return tell_refused(bytes, link, from, heard.result.error());
  }
  if (heard.result->new_session) {
    log_.info("proxy_heard", {{"proxy", heard.peer->name()},
                              {"link", core::to_string(link)},
                              {"from", from ? from->to_string() : std::string("serial")},
                              {"sessions", heard.peer->session.counters().sessions_begun}});
  }
  const core::Duration silent =
      alive_at_[core::index(link)] ? now - *alive_at_[core::index(link)] : core::Duration{};
  alive_at_[core::index(link)] = now;
  set_state(link, State::alive, silent);
  const auto* word = std::get_if<core::ProxyWord>(&heard.result->frame.word);
  if (word == nullptr) return;  // Peers takes nothing else
  callbacks_.on_word({.word = *word,
                      .epoch = heard.result->frame.epoch,
                      .ack_sent_at = heard.result->ack_sent_at,
                      .newest = heard.result->newest,
                      .peer = heard.peer->name(),
                      .link = link});
}

// Signed with another key nothing can be answered. A frame of ours, signed with ours, lets the other side see
// the same, and say it. Once a second.
void Links::complain(core::LinkKind link) {
  const core::Instant now = io::now();
  if (!complaint_limiter_.pass(core::to_string(link), now)) return;
  const core::AgentWord nothing;
  if (link == core::LinkKind::serial) {
    if (serial_) serial_->send(complaints_.seal(nothing, core::Epoch{}, link, now));
    return;
  }
  for (const auto& proxy : proxies_) {
    for (const io::Address& to : proxy->addresses())
      udp_.send(to, complaints_.seal(nothing, core::Epoch{}, link, now));
  }
}

void Links::tell_refused(std::span<const std::uint8_t> bytes, core::LinkKind link,
                         const std::optional<io::Address>& from, core::FrameRefusal refusal) {
  const std::string reason = core::to_string(refusal);
  if (of_the_handshake(refusal)) {
    log_.debug("frame_refused", {{"reason", reason}, {"link", core::to_string(link)}});
    return;
  }
  const auto held_back = limiter_.pass("refused " + reason + core::to_string(link), io::now());
  if (!held_back) return;
  const auto claimed = core::claimed_sender(bytes);
  log_.warn("frame_refused", {{"reason", reason},
                              {"link", core::to_string(link)},
                              {"from", from ? from->to_string() : *config_.serial},
                              {"claims", claimed ? std::string(*claimed) : std::string("nobody")},
                              {"why", why(refusal)},
                              {"suppressed", *held_back}});
}

// Frames with good codes that are not of the session that lives.
void Links::tell_stranger(const Peer& peer, core::Instant now) {
  constexpr core::Duration settling = 5s;  // after a restart of the proxy both are heard for a moment
  const auto begun = peer.session.last_begun()[0];
  if (!begun || now - *begun < settling || peer.session.last_stranger() != now) return;
  if (!peer.alive(now, dead_after * config_.keepalive)) return;
  if (const auto held_back = limiter_.pass("stranger " + peer.name(), now)) {
    log_.warn("two_by_one_name",
              {{"proxy", peer.name()},
               {"why",
                "frames of another process than the one that is heard come under its name: two proxies run "
                "with one node name, or old frames are replayed"},
               {"suppressed", *held_back}});
  }
}

std::vector<io::Address> Links::targets(const Peer& peer) const {
  std::vector<io::Address> to;
  if (peers_.sole(peer)) {
    for (const auto& proxy : proxies_)
      to.insert(to.end(), proxy->addresses().begin(), proxy->addresses().end());
  }
  if (peer.address) {
    const std::string heard_from = peer.address->to_string();
    const bool there = std::ranges::any_of(
        to, [&](const io::Address& address) { return address.to_string() == heard_from; });
    if (!there) to.push_back(*peer.address);
  }
  return to;
}

void Links::send(const core::AgentWord& word, core::Epoch epoch) {
  const core::Instant now = io::now();
  for (Peer& peer : peers_.all()) {
    for (const io::Address& to : targets(peer))
      udp_.send(to, peer.session.seal(word, epoch, core::LinkKind::udp, now));
    if (serial_ && (peer.on_serial || peers_.sole(peer)))
      serial_->send(peer.session.seal(word, epoch, core::LinkKind::serial, now));
  }
}

void Links::set_state(core::LinkKind link, State state, core::Duration silent) {
  State& known = states_[core::index(link)];
  if (known == state) return;
  const State before = std::exchange(known, state);
  log_.write(state == State::alive ? conf::LogLevel::info : conf::LogLevel::warn, "link",
             std::array<io::LogField, 4>{{{"link", core::to_string(link)},
                                          {"state", to_string(state)},
                                          {"before", to_string(before)},
                                          {"silent_ms", core::to_ms(silent)}}});
}

void Links::look() {
  const core::Instant now = io::now();
  peers_.forget_old(now);
  for (const core::LinkKind link : {core::LinkKind::udp, core::LinkKind::serial}) {
    const auto& at = alive_at_[core::index(link)];
    if (!at) continue;
    const core::Duration silent = now - *at;
    if (silent > dead_after * config_.keepalive) {
      set_state(link, State::dead, silent);
    } else if (silent > late_after * config_.keepalive) {
      set_state(link, State::late, silent);
    }
  }
  std::string names;
  std::size_t alive = 0;
  for (const Peer& peer : peers_.all()) {
    if (!peer.alive(now, dead_after * config_.keepalive)) continue;
    ++alive;
    names += (names.empty() ? "" : ", ") + peer.name();
  }
  if (alive > 1 && !std::exchange(two_told_, true)) {
    log_.error(
        "two_proxies",
        {{"proxies", names},
         {"why",
          "more than one proxy gives orders to this host; the highest epoch is obeyed. Stop all but one"}});
  } else if (alive <= 1) {
    two_told_ = false;
  }
  if (serial_) look_at_line(now);
}

void Links::look_at_line(core::Instant now) {
  const io::LinkStats& stats = serial_->stats();
  const std::uint64_t noise = stats.noise + stats.oversized;
  if (noise == noise_told_ || !limiter_.pass("noise", now)) return;
  log_.warn("serial_noise",
            {{"device", serial_->device()},
             {"pieces", noise - std::exchange(noise_told_, noise)},
             {"why", "bytes came that are no frames: line noise, another speed, or another program"}});
}

std::string Links::summary() const {
  std::string text = std::string("udp ") + to_string(states_[core::index(core::LinkKind::udp)]);
  if (serial_) text += std::string(", serial ") + to_string(states_[core::index(core::LinkKind::serial)]);
  return text;
}

}  // namespace pointsman::agent
