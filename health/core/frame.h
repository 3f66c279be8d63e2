#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "health/core/ids.h"
#include "health/core/mac.h"

// The heartbeat frame: what proxy and agent say to each other. Each sends its whole present word, so that any
// one frame that arrives is enough. Pure: bytes in, a value out. All integers are big-endian.
//
//   off size
//   0   1    version, 1
//   1   1    type: 1 proxy to agent, 2 agent to proxy
//   2   1    number of the key that made the MAC
//   3   1    kind of link it was sent on: 1 udp, 2 serial
//   4   8    epoch
//   12  4    seq: counts this sender's frames of this session on all links, never 0
//   16  4    ack: highest seq heard of the receiver's session, 0 none
//   20  8    nonce of the sender's session, never 0
//   28  8    echo: the nonce of the receiver's session as far as the sender knows it, 0 unknown
//   36  1+n  the sender's name: length 1 to 16, bytes of [A-Za-z0-9_.-]
//   then the body:
//     proxy's word: role u8, flags u8, lease in ms u32
//     agent's word: mysqld u8 (with 128: killed), flags u8, silence in ms u16, fenced epoch u64, number of
//     GTIDs u8 (0 to 2), and each
//       kind u8: 1 MariaDB: domain u32, server u32, sequence number u64; 2 MySQL: uuid 16 bytes, number u64;
//       3 and 4 the same, not committed by the server itself but received from its source
//   then the MAC over all before it: 16 bytes, or 4 for the method crc.
//
// Without GTIDs a frame has at most 82 bytes, with two of them 132.
namespace pointsman::core {

inline constexpr std::size_t max_frame = 160;  // bytes; a longer one is refused unread
inline constexpr std::size_t max_node_name = 16;
inline constexpr std::size_t max_frame_gtids = 2;

enum class FrameType : std::uint8_t { proxy = 1, agent = 2 };  // who says it

// The kind is part of what is signed: a frame copied from one path to the other does not keep that path
// alive.
enum class LinkKind : std::uint8_t { udp = 1, serial = 2 };
inline constexpr std::size_t link_kinds = 2;
inline std::size_t index(LinkKind kind) {
  return static_cast<std::size_t>(kind) - 1;
}
const char* to_string(LinkKind kind);

// The role that the proxy grants.
enum class GrantedRole : std::uint8_t { none = 0, primary = 1, standby = 2, fence = 3 };
const char* to_string(GrantedRole role);

struct ProxyWord {
  GrantedRole role = GrantedRole::none;
  bool kill_hung = false;      // a mysqld that does not answer may be killed, with role fence: shall be
  std::uint32_t lease_ms = 0;  // from the agent's receiving it; 0: no lease is kept
  bool operator==(const ProxyWord&) const = default;
};

enum class MysqldState : std::uint8_t {
  unknown = 0,
  absent = 1,   // no process
  answers = 2,  // the agent's last ping
  silent = 3,   // runs, and has not answered for silent_ms
  dying = 4,    // the kernel takes it down; it commits nothing any more
  exited = 5,   // seen to exit
};
const char* to_string(MysqldState state);
// It was there, and is not any more or not for long.
inline bool ends(MysqldState state) {
  return state == MysqldState::dying || state == MysqldState::exited;
}

// The last transaction of a server's own. A MySQL tag has no place here.
struct MariaDbGtid {
  std::uint32_t domain = 0;
  std::uint32_t server = 0;
  std::uint64_t sequence = 0;
  bool operator==(const MariaDbGtid&) const = default;
};
struct MySqlGtid {
  std::array<std::uint8_t, 16> uuid{};
  std::uint64_t number = 0;
  bool operator==(const MySqlGtid&) const = default;
};
using FrameGtid = std::variant<MariaDbGtid, MySqlGtid>;

struct AgentWord {
  MysqldState mysqld = MysqldState::unknown;
  std::optional<bool> read_only;  // nullopt: not known
  bool lease_held = false;
  bool lease_lost = false;  // it ran out and writes were stopped, until they are accepted again
  bool io_running = false;  // replication
  bool sql_running = false;
  bool replicates = false;  // is set up as a replica
  bool fence_failed = false;
  // Of one that is dying or has exited: a signal ended it, and until then it served. It was not shut down, so
  // it has not let go of what waited.
  bool killed = false;
  std::uint16_t silent_ms = 0;  // of mysqld's answers; 65535: so long or longer
  Epoch fenced{};               // the highest whose fence order was carried out and is still in force; 0 none
  std::vector<FrameGtid> gtids{};     // the last of its own, committed
  std::vector<FrameGtid> received{};  // of a replica: the last from its source, applied or not
  // Of both together at most max_frame_gtids are sent, what was received first.
  bool operator==(const AgentWord&) const = default;
};

using Word = std::variant<ProxyWord, AgentWord>;

struct Frame {
  std::uint8_t key = 0;
  LinkKind link = LinkKind::udp;
  Epoch epoch{};
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint64_t nonce = 0;
  std::uint64_t echo = 0;
  std::string sender{};
  Word word{};  // its kind is the frame's type

  FrameType type() const { return word.index() == 0 ? FrameType::proxy : FrameType::agent; }
  bool operator==(const Frame&) const = default;
};

// Why a frame was not taken, for counting. decode() gives those up to bad_body, LinkSession all of them.
enum class FrameRefusal : std::uint8_t {
  too_short,
  too_long,
  bad_version,
  bad_type,
  bad_key,   // made with a key that we do not have
  bad_mac,   // not made with the key that it names, or damaged
  bad_body,  // the MAC holds, the content makes no sense: trailing or missing bytes, unknown enumerator, bad
             // name
  wrong_direction,  // says what we say, and is not ours
  wrong_link,       // was sent on the other kind of link
  unknown_sender,
  reflected,    // our own, come back
  no_echo,      // does not echo our present nonce: its sender does not know us (yet), or it is old
  unproven,     // echoes us, but its session has yet to acknowledge what we sent after we met it
  replayed,     // the sequence number is not new
  old_session,  // of a session that another one replaced
  lower_epoch,
};
inline constexpr std::size_t frame_refusals = 16;
// The enumerator's name, as in the metrics.
const char* to_string(FrameRefusal refusal);
inline std::size_t index(FrameRefusal refusal) {
  return static_cast<std::size_t>(refusal);
}

bool valid_node_name(std::string_view name);

// The bytes to send, signed with frame.key. The frame must be such as decode() gives: a known key, a valid
// sender, seq and nonce not 0.
std::vector<std::uint8_t> encode(const Frame& frame, const Keyring& keys);

// Reads what anybody may have sent; never beyond its end. Of a frame that was refused nothing is believed.
std::expected<Frame, FrameRefusal> decode(std::span<const std::uint8_t> bytes, const Keyring& keys);

// Who says that he sent these bytes, to find the session that is to judge them: nothing was checked yet.
// nullopt where no valid name stands.
std::optional<std::string_view> claimed_sender(std::span<const std::uint8_t> bytes);

}  // namespace pointsman::core
