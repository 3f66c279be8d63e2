#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "conf/authkeys.h"
#include "conf/config.h"
#include "health/copy/words.h"
#include "health/core/time.h"
#include "health/io/descriptor.h"
#include "health/mysql/waker.h"

struct ssl_st;
struct ssl_ctx_st;
struct bio_st;

namespace pointsman::copy {

// A TCP connection over which `setup` and the agent of a database host make a copy. TLS 1.3 with a pre-shared
// key that both derive from authkeys, and with fresh Diffie-Hellman keys: the handshake proves by HMAC, over
// what both sides have just drawn at random, that each knows the key; what was recorded before opens nothing.
// Until then no byte of the other side is believed, and it may send no more than handshake_bytes. Then
// everything is encrypted and authenticated, and is a row of frames: a kind, a length, and words or data.
//
// Every call ends by its deadline, when `cancel` rings, or when the other side is gone. No call raises
// SIGPIPE. One thread.
class Channel {
 public:
  enum class Kind : std::uint8_t { words = 1, data = 2 };
  struct Frame {
    Kind kind = Kind::words;
    std::string body;
  };

  static constexpr std::size_t handshake_bytes = 16'384;
  static constexpr std::size_t max_data = 65'536;  // bytes of one frame
  static constexpr core::Duration handshake_time = std::chrono::seconds(5);

  // As the client, with the key that we sign with. `cancel` outlives the channel.
  static std::expected<Channel, std::string> connect(const conf::HostPort& where, const conf::AuthKeys& keys,
                                                     const mysql::Waker& cancel);
  // As the server, on a connection that has come; any of the keys.
  static std::expected<Channel, std::string> accept(io::Descriptor connection, const conf::AuthKeys& keys,
                                                    const mysql::Waker& cancel);

  Channel(Channel&& other) noexcept;
  Channel& operator=(Channel&& other) noexcept;
  ~Channel();

  std::expected<void, std::string> send(const Words& words, core::Duration time);
  std::expected<void, std::string> send_data(std::string_view bytes, core::Duration time);
  std::expected<Frame, std::string> receive(core::Duration time);
  // The next frame, which must be words; data that come before it are thrown away when `skip_data`.
  std::expected<Words, std::string> receive_words(core::Duration time, bool skip_data = false);

  // Something of a frame is here already, or fd() is to be looked at.
  bool has_input() const;
  int fd() const;

 private:
  struct State;
  explicit Channel(std::unique_ptr<State> state);
  static std::expected<Channel, std::string> shake_hands(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace pointsman::copy
