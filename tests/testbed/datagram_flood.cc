#include "tests/testbed/datagram_flood.h"

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include "health/core/frame.h"
#include "health/io/address.h"
#include "health/io/keyring.h"

namespace pointsman::testbed {

namespace {

using Datagram = std::vector<std::uint8_t>;

constexpr std::size_t batch = 64;
constexpr std::size_t oversized = 1400;
constexpr const char* nobodys_secret = "a-secret-that-is-in-no-authkeys-file";

// Signed, but not with a key that anybody has.
Datagram forged(const std::string& claimed, const core::Keyring& keys, std::uint32_t seq) {
  core::Frame frame;
  frame.key = keys.sending_key();
  frame.seq = seq;
  frame.nonce = seq;
  frame.echo = seq;
  frame.sender = claimed;
  core::AgentWord word;
  word.mysqld = core::MysqldState::exited;
  frame.word = word;
  return core::encode(frame, keys);
}

Datagram noise(std::size_t length) {
  Datagram bytes(length);
  for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<std::uint8_t>(i * 167 + length);
  return bytes;
}

// Every fourth is noise, every sixteenth too long, the rest forged.
std::vector<Datagram> make_datagrams(const std::string& claimed, const core::Keyring& keys) {
  std::vector<Datagram> all;
  for (std::uint32_t i = 0; i < batch; ++i) {
    if (i % 16 == 0) {
      all.push_back(noise(oversized));
    } else if (i % 4 == 0) {
      all.push_back(noise(i));
    } else {
      all.push_back(forged(claimed, keys, i + 1));
    }
  }
  return all;
}

void send_all(int fd, std::vector<Datagram>& datagrams, std::vector<io::Address>& to,
              std::atomic<std::uint64_t>& sent) {
  std::array<iovec, batch> vectors{};
  std::array<mmsghdr, batch> messages{};
  for (io::Address& address : to) {
    for (std::size_t i = 0; i < batch; ++i) {
      vectors[i] = {datagrams[i].data(), datagrams[i].size()};
      messages[i].msg_hdr.msg_name = address.get();
      messages[i].msg_hdr.msg_namelen = address.length;
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    // Refusals are the receiver's affair: it may have just ended.
    const int done = ::sendmmsg(fd, messages.data(), batch, 0);
    if (done > 0) sent.fetch_add(static_cast<std::uint64_t>(done), std::memory_order_relaxed);
  }
}

}  // namespace

std::expected<DatagramFlood, std::string> DatagramFlood::start(const Options& options) {
  std::vector<io::Address> to;
  for (const conf::HostPort& where : options.to) {
    const auto address = io::Address::numeric(where);
    if (!address) return std::unexpected(where.host + " is no numeric address");
    to.push_back(*address);
  }
  if (to.empty()) return std::unexpected("nobody to flood");
  conf::AuthKeys secret;
  secret.keys.emplace_back();
  secret.keys.back().number = 1;
  secret.keys.back().secret = nobodys_secret;
  secret.sending = 1;
  const auto keys = io::AuthKeyring::make(secret);
  if (!keys) return std::unexpected(keys.error());
  const int fd = ::socket(to.front().family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::unexpected("socket: " + std::generic_category().message(errno));
  DatagramFlood flood;
  flood.thread_ = std::jthread([fd, to = std::move(to), datagrams = make_datagrams(options.claimed, **keys),
                                sent = flood.sent_.get(),
                                max_time = options.max_time](const std::stop_token& stop) mutable {
    const auto end = std::chrono::steady_clock::now() + max_time;
    while (!stop.stop_requested() && std::chrono::steady_clock::now() < end)
      send_all(fd, datagrams, to, *sent);
    ::close(fd);
  });
  return flood;
}

void DatagramFlood::stop() {
  thread_ = {};
}

}  // namespace pointsman::testbed
