#include "health/core/frame.h"

#include <algorithm>
#include <cassert>
#include <concepts>

namespace pointsman::core {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::size_t type_at = 1;
constexpr std::size_t key_at = 2;
constexpr std::size_t name_at = 36;
constexpr std::size_t shortest_mac = 4;
constexpr std::size_t shortest = name_at + 2 + shortest_mac;

constexpr unsigned kill_hung_flag = 1;

constexpr unsigned read_only_known_flag = 1;
constexpr unsigned read_only_flag = 2;
constexpr unsigned lease_held_flag = 4;
constexpr unsigned lease_lost_flag = 8;
constexpr unsigned io_running_flag = 16;
constexpr unsigned sql_running_flag = 32;
constexpr unsigned replicates_flag = 64;
constexpr unsigned fence_failed_flag = 128;
constexpr unsigned killed_bit = 128;  // beside MysqldState

constexpr std::uint8_t mariadb_kind = 1;
constexpr std::uint8_t mysql_kind = 2;
constexpr std::uint8_t received_kinds = 2;  // added to the above

class Writer {
 public:
  template <std::unsigned_integral T>
  void put(T value) {
    for (std::size_t i = sizeof(T); i-- > 0;) {
      out_.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
    }
  }
  void put(std::span<const std::uint8_t> bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  std::vector<std::uint8_t>& bytes() { return out_; }

 private:
  std::vector<std::uint8_t> out_;
};

// Gives zeros beyond the end and remembers that it was asked to.
class FrameReader {
 public:
  explicit FrameReader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T take() {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : take(sizeof(T))) value = value << 8U | byte;
    return static_cast<T>(value);
  }
  // `count` bytes, or none when there are fewer.
  std::span<const std::uint8_t> take(std::size_t count) {
    if (count > rest_.size()) {
      missing_ = true;
      rest_ = {};
      return {};
    }
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  bool used_up_exactly() const { return !missing_ && rest_.empty(); }

 private:
  std::span<const std::uint8_t> rest_;
  bool missing_ = false;
};

std::string_view text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

unsigned flag(bool set, unsigned bit) {
  return set ? bit : 0;
}

void put_word(Writer& out, const ProxyWord& word) {
  out.put(static_cast<std::uint8_t>(word.role));
  out.put(static_cast<std::uint8_t>(flag(word.kill_hung, kill_hung_flag)));
  out.put(word.lease_ms);
}

void put_gtid(Writer& out, const MariaDbGtid& gtid, std::uint8_t kinds) {
  out.put(static_cast<std::uint8_t>(mariadb_kind + kinds));
  out.put(gtid.domain);
  out.put(gtid.server);
  out.put(gtid.sequence);
}

void put_gtid(Writer& out, const MySqlGtid& gtid, std::uint8_t kinds) {
  out.put(static_cast<std::uint8_t>(mysql_kind + kinds));
  out.put(std::span<const std::uint8_t>(gtid.uuid));
  out.put(gtid.number);
}

void put_word(Writer& out, const AgentWord& word) {
  const unsigned flags = flag(word.read_only.has_value(), read_only_known_flag) |
                         flag(word.read_only.value_or(false), read_only_flag) |
                         flag(word.lease_held, lease_held_flag) | flag(word.lease_lost, lease_lost_flag) |
                         flag(word.io_running, io_running_flag) | flag(word.sql_running, sql_running_flag) |
                         flag(word.replicates, replicates_flag) | flag(word.fence_failed, fence_failed_flag);
  out.put(static_cast<std::uint8_t>(static_cast<unsigned>(word.mysqld) | flag(word.killed, killed_bit)));
  out.put(static_cast<std::uint8_t>(flags));
  out.put(word.silent_ms);
  out.put(word.fenced.value);
  const std::size_t received = std::min(word.received.size(), max_frame_gtids);
  const std::size_t own = std::min(word.gtids.size(), max_frame_gtids - received);
  out.put(static_cast<std::uint8_t>(own + received));
  const auto put = [&out](const FrameGtid& one, std::uint8_t kinds) {
    std::visit([&](const auto& gtid) { put_gtid(out, gtid, kinds); }, one);
  };
  for (std::size_t i = 0; i < own; ++i) put(word.gtids[i], 0);
  for (std::size_t i = 0; i < received; ++i) put(word.received[i], received_kinds);
}

std::optional<ProxyWord> take_proxy_word(FrameReader& in) {
  const auto role = in.take<std::uint8_t>();
  const auto flags = in.take<std::uint8_t>();
  ProxyWord word;
  word.lease_ms = in.take<std::uint32_t>();
  if (role > static_cast<std::uint8_t>(GrantedRole::fence) || flags > kill_hung_flag) return std::nullopt;
  word.role = static_cast<GrantedRole>(role);
  word.kill_hung = flags != 0;
  return word;
}

std::optional<FrameGtid> take_gtid(FrameReader& in, std::uint8_t kind) {
  switch (kind) {
    case mariadb_kind: {
      MariaDbGtid gtid;
      gtid.domain = in.take<std::uint32_t>();
      gtid.server = in.take<std::uint32_t>();
      gtid.sequence = in.take<std::uint64_t>();
      return gtid;
    }
    case mysql_kind: {
      MySqlGtid gtid;
      std::ranges::copy(in.take(gtid.uuid.size()), gtid.uuid.begin());
      gtid.number = in.take<std::uint64_t>();
      return gtid;
    }
    default:
      return std::nullopt;
  }
}

std::optional<AgentWord> take_agent_word(FrameReader& in) {
  const unsigned first = in.take<std::uint8_t>();
  const unsigned mysqld = first & ~killed_bit;
  const unsigned flags = in.take<std::uint8_t>();
  const auto is_set = [flags](unsigned bit) { return (flags & bit) != 0; };
  if (mysqld > static_cast<std::uint8_t>(MysqldState::exited)) return std::nullopt;
  if (is_set(read_only_flag) && !is_set(read_only_known_flag)) return std::nullopt;
  AgentWord word;
  word.mysqld = static_cast<MysqldState>(mysqld);
  word.killed = (first & killed_bit) != 0;
  if (word.killed && !ends(word.mysqld)) return std::nullopt;
  if (is_set(read_only_known_flag)) word.read_only = is_set(read_only_flag);
  word.lease_held = is_set(lease_held_flag);
  word.lease_lost = is_set(lease_lost_flag);
  word.io_running = is_set(io_running_flag);
  word.sql_running = is_set(sql_running_flag);
  word.replicates = is_set(replicates_flag);
  word.fence_failed = is_set(fence_failed_flag);
  word.silent_ms = in.take<std::uint16_t>();
  word.fenced.value = in.take<std::uint64_t>();
  const std::size_t count = in.take<std::uint8_t>();
  if (count > max_frame_gtids) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    const auto kind = in.take<std::uint8_t>();
    const bool received = kind > received_kinds;
    const auto gtid = take_gtid(in, static_cast<std::uint8_t>(received ? kind - received_kinds : kind));
    if (!gtid) return std::nullopt;
    (received ? word.received : word.gtids).push_back(*gtid);
  }
  return word;
}

std::optional<Word> take_word(FrameReader& in, FrameType type) {
  if (type == FrameType::proxy) return take_proxy_word(in);
  return take_agent_word(in);
}

// What was signed, all of it meaningful or nothing. `bytes` begins as every frame and holds the sender's
// length.
std::optional<Frame> parse(std::span<const std::uint8_t> bytes, FrameType type) {
  FrameReader in(bytes.subspan(key_at));
  Frame frame;
  frame.key = in.take<std::uint8_t>();
  const auto link = in.take<std::uint8_t>();
  frame.epoch.value = in.take<std::uint64_t>();
  frame.seq = in.take<std::uint32_t>();
  frame.ack = in.take<std::uint32_t>();
  frame.nonce = in.take<std::uint64_t>();
  frame.echo = in.take<std::uint64_t>();
  frame.sender = text(in.take(in.take<std::uint8_t>()));
  auto word = take_word(in, type);
  if (!word || !in.used_up_exactly()) return std::nullopt;
  frame.word = std::move(*word);
  if (link != static_cast<std::uint8_t>(LinkKind::udp) && link != static_cast<std::uint8_t>(LinkKind::serial))
    return std::nullopt;
  frame.link = static_cast<LinkKind>(link);
  if (frame.seq == 0 || frame.nonce == 0 || !valid_node_name(frame.sender)) return std::nullopt;
  return frame;
}

}  // namespace

const char* to_string(LinkKind kind) {
  return kind == LinkKind::udp ? "udp" : "serial";
}

const char* to_string(GrantedRole role) {
  constexpr std::array names{"none", "primary", "standby", "fence"};
  return names.at(static_cast<std::size_t>(role));
}

const char* to_string(MysqldState state) {
  constexpr std::array names{"unknown", "absent", "answers", "silent", "dying", "exited"};
  return names.at(static_cast<std::size_t>(state));
}

const char* to_string(FrameRefusal refusal) {
  constexpr std::array<const char*, frame_refusals> names{
      "too_short", "too_long",        "bad_version", "bad_type",       "bad_key",   "bad_mac",
      "bad_body",  "wrong_direction", "wrong_link",  "unknown_sender", "reflected", "no_echo",
      "unproven",  "replayed",        "old_session", "lower_epoch"};
  return names.at(index(refusal));
}

bool valid_node_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  return !name.empty() && name.size() <= max_node_name && std::ranges::all_of(name, allowed);
}

std::vector<std::uint8_t> encode(const Frame& frame, const Keyring& keys) {
  assert(valid_node_name(frame.sender) && frame.seq != 0 && frame.nonce != 0);
  Writer out;
  out.bytes().reserve(max_frame);
  out.put(version);
  out.put(static_cast<std::uint8_t>(frame.type()));
  out.put(frame.key);
  out.put(static_cast<std::uint8_t>(frame.link));
  out.put(frame.epoch.value);
  out.put(frame.seq);
  out.put(frame.ack);
  out.put(frame.nonce);
  out.put(frame.echo);
  out.put(static_cast<std::uint8_t>(frame.sender.size()));
  for (const char c : frame.sender) out.put(static_cast<std::uint8_t>(c));
  std::visit([&out](const auto& word) { put_word(out, word); }, frame.word);

  const std::optional<std::size_t> mac_size = keys.mac_size(frame.key);
  assert(mac_size && *mac_size >= shortest_mac && *mac_size <= Keyring::max_mac);
  std::vector<std::uint8_t> bytes = std::move(out.bytes());
  const std::size_t size = bytes.size();
  bytes.resize(size + mac_size.value_or(0));
  const std::span<std::uint8_t> whole(bytes);
  keys.sign(frame.key, whole.first(size), whole.subspan(size));
  return bytes;
}

std::expected<Frame, FrameRefusal> decode(std::span<const std::uint8_t> bytes, const Keyring& keys) {
  if (bytes.size() > max_frame) return std::unexpected(FrameRefusal::too_long);
  if (bytes.size() < shortest) return std::unexpected(FrameRefusal::too_short);
  if (bytes[0] != version) return std::unexpected(FrameRefusal::bad_version);
  const std::uint8_t type = bytes[type_at];
  if (type != static_cast<std::uint8_t>(FrameType::proxy) &&
      type != static_cast<std::uint8_t>(FrameType::agent)) {
    return std::unexpected(FrameRefusal::bad_type);
  }
  const std::optional<std::size_t> mac_size = keys.mac_size(bytes[key_at]);
  if (!mac_size) return std::unexpected(FrameRefusal::bad_key);
  if (bytes.size() < name_at + 2 + *mac_size) return std::unexpected(FrameRefusal::too_short);
  const auto content = bytes.first(bytes.size() - *mac_size);
  if (!keys.verify(bytes[key_at], content, bytes.last(*mac_size)))
    return std::unexpected(FrameRefusal::bad_mac);
  auto frame = parse(content, static_cast<FrameType>(type));
  if (!frame) return std::unexpected(FrameRefusal::bad_body);
  return std::move(*frame);
}

std::optional<std::string_view> claimed_sender(std::span<const std::uint8_t> bytes) {
  if (bytes.size() <= name_at || bytes.size() > max_frame || bytes[0] != version) return std::nullopt;
  const std::size_t length = bytes[name_at];
  if (bytes.size() - name_at - 1 < length) return std::nullopt;
  const std::string_view name = text(bytes.subspan(name_at + 1, length));
  return valid_node_name(name) ? std::optional(name) : std::nullopt;
}

}  // namespace pointsman::core
