#include "health/core/link_session.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

namespace pointsman::core {

LinkSession::LinkSession(std::string own_name, std::string peer_name, FrameType we, const Keyring& keys,
                         NonceSource nonces)
    : own_name_(std::move(own_name)),
      peer_name_(std::move(peer_name)),
      we_(we),
      keys_(&keys),
      nonces_(std::move(nonces)) {
  assert(valid_node_name(own_name_) && valid_node_name(peer_name_));
  take_new_nonce();
}

std::vector<std::uint8_t> LinkSession::seal(const Word& word, Epoch epoch, LinkKind link, Instant now) {
  // After 2^32 frames numbers would begin to repeat within the session.
  if (seq_ == std::numeric_limits<std::uint32_t>::max()) take_new_nonce();
  ++seq_;
  sent_at_[seq_ % remembered_seqs] = now;
  ++counters_.sealed[index(link)];

  Frame frame{.key = keys_->sending_key(),
              .link = link,
              .epoch = epoch,
              .seq = seq_,
              .nonce = nonce_,
              .sender = own_name_,
              .word = word};
  assert(frame.type() == we_);
  echoed_candidate_ = echoes_candidate_next();
  // What is acknowledged belongs to the session that is echoed.
  if (echoed_candidate_) {
    frame.echo = candidate_->nonce;
    frame.ack = candidate_->heard;
    acknowledged_at_ = candidate_->heard_at;
  } else if (present_) {
    frame.echo = present_->nonce;
    frame.ack = present_->heard;
    acknowledged_at_ = present_->heard_at;
  }
  if (present_) present_->since_seal = false;
  if (candidate_) candidate_->since_seal = false;
  return encode(frame, *keys_);
}

// Between a present session and a candidate neither may be starved by frames that somebody replays: not the
// present one while it is heard, not the candidate that has just come forward; and when nothing is heard,
// both get their turn, since the other side may be waiting for its echo before it says anything that counts.
bool LinkSession::echoes_candidate_next() const {
  if (!candidate_) return false;
  if (!present_ || !echoed_candidate_) return true;
  return !present_->since_seal && candidate_->since_seal;
}

std::expected<LinkSession::Received, FrameRefusal> LinkSession::open(std::span<const std::uint8_t> bytes,
                                                                     LinkKind link, Instant now) {
  auto result = judge(bytes, link, now);
  if (result) {
    ++counters_.accepted[index(link)];
  } else {
    ++counters_.refused[index(link)][index(result.error())];
  }
  return result;
}

std::expected<LinkSession::Received, FrameRefusal> LinkSession::judge(std::span<const std::uint8_t> bytes,
                                                                      LinkKind link, Instant now) {
  auto frame = decode(bytes, *keys_);
  if (!frame) return std::unexpected(frame.error());
  if (const auto refusal = check_origin(*frame, link)) return std::unexpected(*refusal);

  const bool known = present_ && frame->nonce == present_->nonce;
  if (!known && present_) last_stranger_ = now;
  if (known) note_heard(frame->seq, now);
  if (const auto refusal = known ? check_present(*frame) : check_candidate(*frame, now))
    return std::unexpected(*refusal);
  // The number is new and is used up even if the epoch is too low: should that be allowed one day, the frame
  // must not count then.
  std::optional<Instant> ack_sent_at = sent_at(frame->ack);
  if (known) present_->highest[index(link)] = frame->seq;
  if (frame->epoch < least_epoch_) return std::unexpected(FrameRefusal::lower_epoch);
  if (!known) begin_session(*frame, now);
  const bool newest = frame->seq > present_->accepted;
  if (newest) present_->accepted = frame->seq;
  return Received{
      .frame = std::move(*frame), .ack_sent_at = ack_sent_at, .new_session = !known, .newest = newest};
}

// A frame of the present session whose number is the highest so far was never here before. It need not count,
// and yet the peer may need our acknowledgement to see that we live; and a candidate was old, or belongs to a
// second process.
void LinkSession::note_heard(std::uint32_t seq, Instant now) {
  if (seq <= present_->heard) return;
  present_->heard = seq;
  present_->heard_at = now;
  present_->since_seal = true;
  candidate_.reset();
}

std::optional<FrameRefusal> LinkSession::check_origin(const Frame& frame, LinkKind link) const {
  const bool says_what_we_say = frame.type() == we_;
  if (frame.nonce == nonce_ || (says_what_we_say && frame.sender == own_name_))
    return FrameRefusal::reflected;
  if (says_what_we_say) return FrameRefusal::wrong_direction;
  if (frame.sender != peer_name_) return FrameRefusal::unknown_sender;
  if (frame.link != link) return FrameRefusal::wrong_link;
  if (std::ranges::find(retired_, frame.nonce) != retired_.end()) return FrameRefusal::old_session;
  return std::nullopt;
}

std::optional<FrameRefusal> LinkSession::check_present(const Frame& frame) {
  if (frame.echo != nonce_) return FrameRefusal::no_echo;
  if (frame.seq <= present_->highest[index(frame.link)]) return FrameRefusal::replayed;
  return std::nullopt;
}

// None: this frame, which is not of the present session, proves that its own lives now.
std::optional<FrameRefusal> LinkSession::check_candidate(const Frame& frame, Instant now) {
  if (!candidate_ || candidate_->nonce != frame.nonce) {
    // In our last frame before the numbers end nobody can be challenged; the one after it has a new nonce,
    // and meets everybody anew.
    candidate_ = Candidate{.nonce = frame.nonce, .challenge = seq_ + 1};
  }
  if (frame.seq > candidate_->heard) {
    candidate_->heard = frame.seq;
    candidate_->heard_at = now;
  }
  candidate_->since_seal = true;
  if (frame.echo != nonce_) return FrameRefusal::no_echo;
  const bool proven = candidate_->challenge != 0 && frame.ack >= candidate_->challenge && frame.ack <= seq_;
  return proven ? std::nullopt : std::optional(FrameRefusal::unproven);
}

void LinkSession::begin_session(const Frame& frame, Instant now) {
  if (present_) retired_.push_back(present_->nonce);
  Present begun{
      .nonce = frame.nonce, .heard = candidate_->heard, .heard_at = candidate_->heard_at, .since_seal = true};
  // Above every number heard, on all links: what came while it was unproven was recorded perhaps, and never
  // counts.
  begun.highest.fill(candidate_->heard);
  present_ = begun;
  candidate_.reset();
  ++counters_.sessions_begun;
  last_begun_ = {now, last_begun_[0]};
  if (retired_.size() >= max_retired) take_new_nonce();
}

// Frames that echo the old nonce count no longer, so nothing has to be known of the sessions that they are
// of.
void LinkSession::take_new_nonce() {
  const std::uint64_t old = nonce_;
  constexpr int tries = 8;
  for (int i = 0; i < tries; ++i) {
    nonce_ = nonces_();
    if (nonce_ != 0 && nonce_ != old) break;
  }
  // A source so poor is not worth a failure: what matters most is that the nonce is another one.
  if (nonce_ == 0 || nonce_ == old) nonce_ = old == std::numeric_limits<std::uint64_t>::max() ? 1 : old + 1;
  ++counters_.own_nonces;
  seq_ = 0;
  candidate_.reset();
  retired_.clear();
}

std::optional<Instant> LinkSession::sent_at(std::uint32_t seq) const {
  if (seq == 0 || seq > seq_ || seq_ - seq >= remembered_seqs) return std::nullopt;
  return sent_at_[seq % remembered_seqs];
}

}  // namespace pointsman::core
