#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "health/core/frame.h"
#include "health/core/time.h"

namespace pointsman::core {

// What one peer and we have of each other, over all links between us: says whether a frame that came proves
// that the peer lives now. Pure; time is handed in. One for each peer, owned by who owns the links, used by
// the control loop's thread alone; the keyring outlives it.
//
// A session is one process at one end, named by a random nonce; each side tells its own in every frame and
// echoes the other's. How two that do not know each other meet (a restart of B; `s` is A's counter):
//
//   B to A   nonce b, echo 0           A: who is b? no_echo; from now on b is the candidate
//   A to B   nonce a, echo b, seq s    B: echoes me, but who is a? unproven; a is the candidate
//   B to A   nonce b, echo a, ack s    A: acknowledges what I sent after I met b, so b lives now: a new
//   session A to B   nonce a, echo b, ack ...  B: the same
//
// so after two frames each way both count each other as alive (three, where frames cross). That the echo
// alone is not enough is on purpose: our own nonce lives for months, and a frame that echoes it may have been
// sent, and held back or recorded, at any time since. Acknowledging a frame that was not sent before the
// meeting cannot be recorded beforehand.
//
// What holds, whatever is lost, delayed, doubled, reordered, replayed or forged:
//  * A frame counts at most once, and only when it comes for the first time on its own kind of link: in a
//  session the
//    sequence number grows, and a session begins above every number that was heard in it.
//  * A session that another one replaced never comes back: retired nonces are refused. When max_retired of
//  them are
//    kept we take a new nonce of our own, which makes everything recorded so far worthless.
//  * What is replayed may make us echo a wrong nonce, but in no more than every second frame while the peer
//  is heard,
//    and only until its next frame comes. The session itself stays.
// Somebody who holds back genuine frames can let them through late; each still counts but once. How old the
// word is that the peer has of us tells Received::ack_sent_at.
class LinkSession {
 public:
  // A new nonce at each call, from a good source of random numbers.
  using NonceSource = std::function<std::uint64_t()>;

  static constexpr std::size_t max_retired = 64;
  static constexpr std::size_t remembered_seqs = 256;

  // `we` says which kind of word we send; the peer sends the other. Names as valid_node_name() takes them.
  LinkSession(std::string own_name, std::string peer_name, FrameType we, const Keyring& keys,
              NonceSource nonces);

  // The next frame to the peer, to be sent on a link of this kind, once. `word` is of our type.
  std::vector<std::uint8_t> seal(const Word& word, Epoch epoch, LinkKind link, Instant now);

  struct Received {
    Frame frame;
    // When we sent the latest of our frames that the peer has heard; nullopt: none yet, or longer ago than
    // remembered_seqs frames. It heard that frame; whether it obeyed is said in its word.
    std::optional<Instant> ack_sent_at;
    bool new_session = false;  // the first frame of another process of the peer, or of the first one
    // The peer has said nothing later that was accepted. A slow link delivers what another one has made old:
    // such a frame proves life, and its word is history.
    bool newest = true;
  };
  // The peer's word, when `bytes`, which came on a link of this kind, prove that it lives.
  std::expected<Received, FrameRefusal> open(std::span<const std::uint8_t> bytes, LinkKind link, Instant now);

  // When the latest frame of the peer came that the last sealed one acknowledges; nullopt: it acknowledges
  // none. What the peer does on the strength of that acknowledgement counts from a moment before this one.
  std::optional<Instant> acknowledged_at() const { return acknowledged_at_; }

  // Frames of a lower epoch are refused from now on; 0 at the beginning.
  void set_least_epoch(Epoch least) { least_epoch_ = least; }

  struct Counters {
    std::array<std::uint64_t, link_kinds> sealed{};
    std::array<std::uint64_t, link_kinds> accepted{};
    // Index by link, then by reason.
    std::array<std::array<std::uint64_t, frame_refusals>, link_kinds> refused{};
    std::uint64_t sessions_begun = 0;  // of the peer
    std::uint64_t own_nonces = 0;      // that we had so far; 1 from the beginning
  };
  const Counters& counters() const { return counters_; }

  const std::string& peer_name() const { return peer_name_; }
  bool established() const { return present_.has_value(); }
  // When the present session of the peer began, and when the one before it did.
  const std::array<std::optional<Instant>, 2>& last_begun() const { return last_begun_; }
  // When a frame with a good MAC last came that is neither of the present session nor retired. Again and
  // again: two processes go by one name, or somebody replays. Of two such processes that both hear us, the
  // one that last met us stays; the other is refused as old_session, which is then counted at the pace of its
  // frames, until it is started again.
  std::optional<Instant> last_stranger() const { return last_stranger_; }

 private:
  // A session of the peer that counts as alive when its frames come.
  struct Present {
    std::uint64_t nonce = 0;
    std::array<std::uint32_t, link_kinds> highest{};  // accepted; what is not above it is replayed
    std::uint32_t heard = 0;                          // on any link, accepted or not; what we acknowledge
    Instant heard_at{};                               // when that came
    std::uint32_t accepted = 0;                       // highest, on any link
    bool since_seal = false;                          // heard since our last frame
  };
  // A session that may be the peer's next, and that we echo so that it can prove itself.
  struct Candidate {
    std::uint64_t nonce = 0;
    std::uint32_t heard = 0;      // highest of its numbers since it became the candidate
    Instant heard_at{};           // when that came
    std::uint32_t challenge = 0;  // our first number since then; who acknowledges it or a later one lives
    bool since_seal = false;
  };

  std::expected<Received, FrameRefusal> judge(std::span<const std::uint8_t> bytes, LinkKind link,
                                              Instant now);
  std::optional<FrameRefusal> check_origin(const Frame& frame, LinkKind link) const;
  std::optional<FrameRefusal> check_present(const Frame& frame);
  std::optional<FrameRefusal> check_candidate(const Frame& frame, Instant now);
  void note_heard(std::uint32_t seq, Instant now);
  void begin_session(const Frame& frame, Instant now);
  bool echoes_candidate_next() const;
  void take_new_nonce();
  std::optional<Instant> sent_at(std::uint32_t seq) const;

  std::string own_name_;
  std::string peer_name_;
  FrameType we_;
  const Keyring* keys_;
  NonceSource nonces_;

  std::uint64_t nonce_ = 0;
  std::uint32_t seq_ = 0;  // of our last frame in this session
  std::array<Instant, remembered_seqs> sent_at_{};
  bool echoed_candidate_ = false;  // in our last frame
  std::optional<Instant> acknowledged_at_;

  std::optional<Present> present_;
  std::optional<Candidate> candidate_;
  std::vector<std::uint64_t> retired_;  // at most max_retired
  Epoch least_epoch_;

  Counters counters_;
  std::array<std::optional<Instant>, 2> last_begun_;
  std::optional<Instant> last_stranger_;
};

}  // namespace pointsman::core
