#include "proxy/heartbeats.h"

#include <algorithm>
#include <utility>

#include "conf/authkeys.h"
#include "health/io/clock.h"

namespace pointsman::proxy {

using namespace std::chrono_literals;

namespace {

constexpr core::Duration told_for = 10s;  // a trouble that has not come again is over
constexpr core::Duration settling = 5s;   // after a restart of an agent both sessions are heard
constexpr std::uint64_t much_noise = 5;   // pieces; a cable that is plugged in makes one or two
constexpr int quick_answers = 4;          // in a keepalive at most, to an agent that has yet to meet us
constexpr const char* compare_keys = "the keys of proxy and agent differ: compare both authkeys files";

std::string why(core::FrameRefusal refusal) {
  switch (refusal) {
    case core::FrameRefusal::bad_mac:
      return std::string("its code was not made with this key, or it is damaged; perhaps ") + compare_keys;
    case core::FrameRefusal::bad_key:
      return std::string("it is signed with a key number that our authkeys has not; ") + compare_keys;
    case core::FrameRefusal::wrong_direction:
      return "a proxy says it, not an agent; does another proxy send here?";
    case core::FrameRefusal::reflected:
      return "it is our own, come back; is the line looped?";
    case core::FrameRefusal::wrong_link:
      return "it was made for the other kind of link; somebody copies frames";
    case core::FrameRefusal::bad_version:
      return "it is of another version, or no heartbeat at all";
    case core::FrameRefusal::replayed:
      return "it was heard before";
    case core::FrameRefusal::old_session:
      return "it is of an agent's session that another one replaced; do two agents go by one name?";
    default:
      return "it is not a heartbeat of Pointsman";
  }
}

bool of_the_handshake(core::FrameRefusal refusal) {
  return refusal == core::FrameRefusal::no_echo || refusal == core::FrameRefusal::unproven;
}

}  // namespace

Heartbeats::Heartbeats(io::Loop& loop, io::Log& log, const conf::Config& config,
                       std::unique_ptr<io::AuthKeyring> keys, Callbacks callbacks, Given given)
    : loop_(loop),
      log_(log),
      node_(config.heartbeat.node),
      listen_(config.heartbeat.listen),
      keepalive_(config.heartbeat.keepalive),
      warntime_(config.heartbeat.warntime),
      deadtime_(config.heartbeat.deadtime),
      keys_(std::move(keys)),
      callbacks_(std::move(callbacks)),
      udp_(loop, {.on_datagram =
                      [this](const io::Address& from, std::span<const std::uint8_t> frame) {
                        hear(frame, core::LinkKind::udp, nullptr, from.to_string());
                      },
                  .on_error = [this](const io::Address& to,
                                     const std::string& text) { note_send_error(to, text); }}),
      timer_(loop, [this] { on_keepalive(); }),
      given_(std::move(given)) {
  for (std::size_t i = 0; i < config.backends.size(); ++i) {
    if (config.backends[i].has_agent()) add_peer(static_cast<core::BackendId>(i), config.backends[i]);
  }
}

void Heartbeats::add_peer(core::BackendId id, const conf::Backend& backend) {
  peers_.push_back(std::make_unique<Peer>(Peer{
      .id = id,
      .name = backend.name,
      .session = core::LinkSession(node_, backend.name, core::FrameType::proxy, keys_, io::random_nonce)}));
  Peer& peer = *peers_.back();
  for (const conf::HostPort& where : backend.udp) {
    peer.udp.push_back(
        std::make_unique<io::Destination>(loop_, where, [this, &peer](const std::string& text) {
          peer.udp_error = text;
          if (const auto held_back = limiter_.pass("resolve " + peer.name, io::now()))
            log_.warn("agent_unknown", {{"backend", peer.name}, {"why", text}, {"suppressed", *held_back}});
        }));
  }
  if (backend.serial) open_line(peer, backend);
}

void Heartbeats::open_line(Peer& peer, const conf::Backend& backend) {
  peer.serial = std::make_unique<io::SerialLink>(
      loop_, *backend.serial, backend.baud,
      io::SerialLink::Callbacks{.on_frame =
                                    [this, &peer](std::span<const std::uint8_t> frame) {
                                      hear(frame, core::LinkKind::serial, &peer, peer.serial->device());
                                    },
                                .on_change = [this, &peer] { tell_line(peer); }},
      std::move(given_.lines[*backend.serial]));
}

std::expected<void, std::string> Heartbeats::start() {
  const bool any_udp = std::ranges::any_of(peers_, [](const auto& peer) { return !peer->udp.empty(); });
  if (any_udp) {
    const auto address = io::Address::numeric(listen_);
    if (!address)
      return std::unexpected("heartbeat.listen " + conf::to_string(listen_) + " must be a numeric address");
    auto bound = given_.udp ? udp_.adopt(std::move(given_.udp)) : udp_.bind(*address);
    if (!bound) return std::unexpected("heartbeat.listen: " + bound.error());
    log_.info("listening", {{"link", "udp"}, {"address", udp_.local().to_string()}});
  }
  for (const auto& peer : peers_) {
    if (peer->serial) tell_line(*peer);
  }
  timer_.start_every(keepalive_);
  for (const auto& peer : peers_) send(*peer);
  return {};
}

void Heartbeats::stop() {
  stopped_ = true;
  timer_.stop();
}

void Heartbeats::suspend() {
  for (const auto& peer : peers_) send(*peer);
  suspended_ = true;
  timer_.stop();
  udp_.pause();
  for (const auto& peer : peers_) {
    if (peer->serial) peer->serial->pause();
  }
}

void Heartbeats::resume() {
  suspended_ = false;
  udp_.resume();
  for (const auto& peer : peers_) {
    if (peer->serial) peer->serial->resume();
  }
  timer_.start_every(keepalive_);
  on_keepalive();
}

void Heartbeats::leave() {
  stop();
  for (const auto& peer : peers_) {
    if (peer->serial) peer->serial->leave();
  }
}

std::map<std::string, int> Heartbeats::lines() const {
  std::map<std::string, int> open;
  for (const auto& peer : peers_) {
    if (peer->serial && peer->serial->fd() >= 0) open[peer->serial->device()] = peer->serial->fd();
  }
  return open;
}

void Heartbeats::reconfigure(const conf::Config& config, std::unique_ptr<io::AuthKeyring> keys) {
  keys_.replace(std::move(keys));
  warntime_ = config.heartbeat.warntime;
  deadtime_ = config.heartbeat.deadtime;
  if (keepalive_ == config.heartbeat.keepalive) return;
  keepalive_ = config.heartbeat.keepalive;
  timer_.start_every(keepalive_);
}

// --- in
// -------------------------------------------------------------------------------------------------------------

Heartbeats::Peer* Heartbeats::find(std::string_view name) {
  const auto found = std::ranges::find_if(peers_, [&](const auto& peer) { return peer->name == name; });
  return found == peers_.end() ? nullptr : found->get();
}

const Heartbeats::Peer* Heartbeats::find(core::BackendId backend) const {
  const auto found = std::ranges::find_if(peers_, [&](const auto& peer) { return peer->id == backend; });
  return found == peers_.end() ? nullptr : found->get();
}

// `line_of`: whose serial line it came on; null for UDP. Who says that he sent it is believed when the
// session has checked it.
void Heartbeats::hear(std::span<const std::uint8_t> bytes, core::LinkKind link, Peer* line_of,
                      const std::string& from) {
  if (stopped_) return;
  const core::Instant now = io::now();
  const auto claimed = core::claimed_sender(bytes);
  Peer* peer = claimed ? find(*claimed) : nullptr;
  // Noise and forgeries without a name are counted where they came in.
  if (peer == nullptr && (!claimed || core::decode(bytes, keys_).has_value() || line_of == nullptr))
    return tell_unknown(bytes, link, from);
  if (peer == nullptr) peer = line_of;
  if (line_of != nullptr && peer != line_of) {
    if (!core::decode(bytes, keys_)) return;
    line_of->crossed = {now, "the serial line of " + line_of->name + " (" + from + ") brings frames of " +
                                 peer->name + ": are the cables crossed?"};
    if (const auto held_back = limiter_.pass("crossed " + line_of->name, now))
      log_.error("lines_crossed", {{"why", line_of->crossed.text}, {"suppressed", *held_back}});
    return;
  }
  const auto received = peer->session.open(bytes, link, now);
  if (received) return take(*peer, *received, link, from);
  note_stranger(*peer, now);
  tell_refused(*peer, received.error(), link, from);
}

void Heartbeats::take(Peer& peer, const core::LinkSession::Received& received, core::LinkKind link,
                      const std::string& from) {
  const core::Instant now = io::now();
  peer.paces[core::index(link)].on_frame(now, warntime_, deadtime_);
  peer.lost.on_frame(received.frame.seq, received.new_session);
  if (received.new_session) {
    peer.strange_at = {};
    log_.info("agent_heard", {{"backend", peer.name},
                              {"link", core::to_string(link)},
                              {"from", from},
                              {"sessions", peer.session.counters().sessions_begun}});
  }
  const auto* word = std::get_if<core::AgentWord>(&received.frame.word);
  if (word == nullptr) return;  // the session takes nothing else
  callbacks_.on_heard({.backend = peer.id,
                       .link = link,
                       .word = *word,
                       .epoch = received.frame.epoch,
                       .newest = received.newest,
                       .ack_sent_at = received.ack_sent_at,
                       .at = now});
  if (received.new_session && !stopped_) send(peer);
}

void Heartbeats::tell_refused(Peer& peer, core::FrameRefusal refusal, core::LinkKind link,
                              const std::string& from) {
  const core::Instant now = io::now();
  if (of_the_handshake(refusal)) {
    // One that was started again: the sooner it hears us, the sooner it counts, and the lease goes on.
    if (now - peer.sent_at[core::index(link)] >= keepalive_ / quick_answers) send(peer, link);
    return;
  }
  if (refusal == core::FrameRefusal::bad_mac || refusal == core::FrameRefusal::bad_key)
    peer.wrong_key = {now, "frames in the name of " + peer.name + "'s agent come by " +
                               core::to_string(link) + " with a wrong code: " + compare_keys};
  // What a slow line brings of the time before the session began.
  const auto begun = peer.session.last_begun()[0];
  if (refusal == core::FrameRefusal::replayed && begun && now - *begun < settling) return;
  const auto held_back = limiter_.pass(peer.name + core::to_string(refusal) + core::to_string(link), now);
  if (!held_back) return;
  log_.warn("frame_refused", {{"backend", peer.name},
                              {"reason", core::to_string(refusal)},
                              {"link", core::to_string(link)},
                              {"from", from},
                              {"why", why(refusal)},
                              {"suppressed", *held_back}});
}

// What nobody that we know says, or says that he says.
void Heartbeats::tell_unknown(std::span<const std::uint8_t> bytes, core::LinkKind link,
                              const std::string& from) {
  const core::Instant now = io::now();
  const auto frame = core::decode(bytes, keys_);
  const bool an_agent = frame && frame->type() == core::FrameType::agent;
  if (an_agent) {
    unknown_ = {now, "an agent at " + from + " goes by the name " + frame->sender +
                         ", which no backend has: is heartbeat.node of its agent.toml right?"};
  }
  const core::FrameRefusal refusal = frame ? core::FrameRefusal::unknown_sender : frame.error();
  ++unknown_frames_[core::index(link)][core::index(refusal)];
  const std::string reason = core::to_string(refusal);
  const auto held_back = limiter_.pass("unknown " + reason + core::to_string(link), now);
  if (!held_back) return;
  const auto claimed = core::claimed_sender(bytes);
  log_.warn("frame_refused", {{"reason", reason},
                              {"link", core::to_string(link)},
                              {"from", from},
                              {"claims", claimed ? std::string(*claimed) : std::string("nobody")},
                              {"why", an_agent ? unknown_.text
                                      : frame  ? why(core::FrameRefusal::wrong_direction)
                                               : why(frame.error())},
                              {"suppressed", *held_back}});
}

// Frames with good codes that are not of the session that lives.
void Heartbeats::note_stranger(Peer& peer, core::Instant now) {
  const auto begun = peer.session.last_begun()[0];
  if (!begun || now - *begun < settling || peer.session.last_stranger() != now) return;
  // One that was started again is a stranger for a moment.
  if (now - std::exchange(peer.strange_at, now) > settling) peer.strange_since = now;
  if (now - peer.strange_since < settling / 2) return;
  peer.stranger = {now, "frames of two agents come under the name " + peer.name +
                            ": two run with one heartbeat.node, or old frames are replayed"};
  if (const auto held_back = limiter_.pass("stranger " + peer.name, now))
    log_.warn("two_by_one_name",
              {{"backend", peer.name}, {"why", peer.stranger.text}, {"suppressed", *held_back}});
}

void Heartbeats::tell_line(Peer& peer) {
  const std::string words = peer.serial->words();
  if (words == peer.line_told) return;
  peer.line_told = words;
  const bool up = peer.serial->state() == io::SerialLink::State::up;
  log_.write(up ? conf::LogLevel::info : conf::LogLevel::warn, "serial_line",
             std::array<io::LogField, 3>{
                 {{"backend", peer.name}, {"device", peer.serial->device()}, {"state", words}}});
}

void Heartbeats::look_at_line(Peer& peer, core::Instant now) {
  const io::LinkStats& stats = peer.serial->stats();
  const std::uint64_t noise = stats.noise + stats.oversized;
  if (now - peer.noise_since > told_for) {
    peer.noise_since = now;
    peer.noise_told = noise;
  }
  if (noise < peer.noise_told + much_noise) return;
  peer.noise = {now, "noise comes on the serial line of " + peer.name + " (" + peer.serial->device() +
                         "): another speed, another program, or a bad cable"};
  const auto held_back = limiter_.pass("noise " + peer.name, now);
  if (!held_back) return;
  log_.warn("serial_noise", {{"backend", peer.name},
                             {"device", peer.serial->device()},
                             {"pieces", noise - peer.noise_told},
                             {"why", peer.noise.text}});
  peer.noise_told = noise;
}

void Heartbeats::note_send_error(const io::Address& to, const std::string& text) {
  const std::string where = to.to_string();
  for (const auto& peer : peers_) {
    const bool theirs = std::ranges::any_of(peer->udp, [&](const auto& destination) {
      return std::ranges::any_of(destination->addresses(),
                                 [&](const io::Address& address) { return address.to_string() == where; });
    });
    if (theirs) peer->udp_error = text;
  }
  if (const auto held_back = limiter_.pass("udp " + where, io::now()))
    log_.info("udp_send_failed", {{"to", where}, {"why", text}, {"suppressed", *held_back}});
}

// --- out
// ------------------------------------------------------------------------------------------------------------

void Heartbeats::on_keepalive() {
  const core::Instant now = io::now();
  for (const auto& peer : peers_) {
    send(*peer);
    if (peer->serial) look_at_line(*peer, now);
  }
}

void Heartbeats::send_changes() {
  if (stopped_ || suspended_ || !timer_.active()) return;
  for (const auto& peer : peers_) {
    if (callbacks_.order_for(peer->id) != peer->sent) send(*peer);
  }
}

void Heartbeats::send(Peer& peer) {
  send(peer, core::LinkKind::udp);
  send(peer, core::LinkKind::serial);
}

void Heartbeats::send(Peer& peer, core::LinkKind link) {
  peer.sent_at[core::index(link)] = io::now();
  if (link == core::LinkKind::serial) {
    if (peer.serial) peer.serial->send(seal(peer, link));
    return;
  }
  for (const auto& destination : peer.udp) {
    for (const io::Address& to : destination->addresses()) udp_.send(to, seal(peer, link));
  }
}

std::vector<std::uint8_t> Heartbeats::seal(Peer& peer, core::LinkKind link) {
  peer.sent = callbacks_.order_for(peer.id);
  auto frame = peer.session.seal(peer.sent.word, peer.sent.epoch, link, io::now());
  callbacks_.on_sealed(peer.id, peer.sent.word, peer.session.acknowledged_at());
  return frame;
}

// --- for people
// -----------------------------------------------------------------------------------------------------

std::optional<LinkReport> Heartbeats::link_report(core::BackendId backend, core::LinkKind link) const {
  const Peer* found = find(backend);
  if (found == nullptr) return std::nullopt;
  const Peer& peer = *found;
  const core::LinkSession::Counters& counters = peer.session.counters();
  const LinkPace& pace = peer.paces[core::index(link)];
  LinkReport report{.sent = counters.sealed[core::index(link)],
                    .received = counters.accepted[core::index(link)],
                    .refused = counters.refused[core::index(link)],
                    .late = pace.late(),
                    .longest_gap = pace.longest_gap()};
  if (link == core::LinkKind::udp) {
    if (peer.udp.empty()) return std::nullopt;
    report.last_error = peer.udp_error;
  } else {
    if (!peer.serial) return std::nullopt;
    report.line = {peer.serial->device(), peer.serial->words(), peer.serial->stats()};
    report.last_error = report.line->stats.last_error;
  }
  return report;
}

std::uint64_t Heartbeats::lost_frames(core::BackendId backend) const {
  const Peer* peer = find(backend);
  return peer == nullptr ? 0 : peer->lost.count();
}

HeartbeatPortReport Heartbeats::port_report() const {
  return {.bound = udp_.local().length > 0,
          .stats = udp_.stats(),
          .receive_drops = udp_.receive_drops(),
          .unknown = unknown_frames_};
}

std::vector<std::string> Heartbeats::warnings() const {
  const core::Instant now = io::now();
  std::vector<std::string> list;
  const auto add = [&](const Trouble& trouble) {
    if (trouble.at && now - *trouble.at < told_for) list.push_back(trouble.text);
  };
  add(unknown_);
  for (const auto& peer : peers_) {
    for (const Trouble* trouble : {&peer->wrong_key, &peer->stranger, &peer->crossed, &peer->noise})
      add(*trouble);
    if (peer->serial && peer->serial->state() != io::SerialLink::State::up)
      list.push_back("the serial line of " + peer->name + " is " + peer->serial->words());
  }
  return list;
}

std::expected<std::unique_ptr<io::AuthKeyring>, std::string> load_keys(const std::string& path,
                                                                       io::Log& log) {
  const auto read = conf::load_authkeys(path);
  if (!read) {
    std::string text;
    for (const conf::Problem& problem : read.error())
      text += (text.empty() ? "" : "\n") + conf::to_string(problem);
    return std::unexpected(text);
  }
  for (const std::string& warning : conf::authkeys_warnings(*read)) log.warn("weak_keys", {{"why", warning}});
  return io::AuthKeyring::make(*read);
}

}  // namespace pointsman::proxy
