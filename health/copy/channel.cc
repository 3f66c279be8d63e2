#include "health/copy/channel.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include "conf/address.h"
#include "health/copy/key.h"
#include "health/io/system_text.h"
#include "health/mysql/boot_clock.h"
#include "health/mysql/concat.h"
#include "health/mysql/resolver.h"

namespace pointsman::copy {

using io::Descriptor;
using io::system_text;

namespace {

using mysql::concat;
using Outcome = std::expected<void, std::string>;

constexpr std::size_t head_bytes = 5;  // kind, length
constexpr std::size_t piece = 16'384;  // of what comes and goes on the socket
constexpr core::Duration connect_time = std::chrono::seconds(5);
// A host that is gone without a word is noticed by the kernel.
constexpr int keepalive_s = 10;
constexpr int keepalive_tries = 6;

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

std::string openssl_says() {
  std::array<char, 256> text{};
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason is given";
  const char* reason = ERR_reason_error_string(code);
  if (reason != nullptr) return reason;
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

unsigned give_key(const std::optional<Key>& key, unsigned char* out, unsigned room) {
  if (!key || room < key->size()) return 0;
  std::ranges::copy(*key, out);
  return static_cast<unsigned>(key->size());
}

void keep_alive(int fd) {
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keepalive_s, sizeof keepalive_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &keepalive_s, sizeof keepalive_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &keepalive_tries, sizeof keepalive_tries);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

struct Channel::State {
  State(const conf::AuthKeys& keyring, const mysql::Waker& bell) : keys(keyring), cancel(&bell) {}

  Outcome prepare(bool server);
  Outcome wait(short events, core::Instant deadline) const;
  Outcome flush(core::Instant deadline);
  Outcome fill(core::Instant deadline);
  // Repeats an operation of OpenSSL until it is done, and moves the bytes that it wants moved.
  template <class Operation>
  Outcome drive(core::Instant deadline, const Operation& operation);
  Outcome write(std::string_view bytes, core::Instant deadline);
  Outcome read(char* out, std::size_t size, core::Instant deadline);

  static unsigned client_key(SSL* ssl, const char* /*hint*/, char* identity, unsigned identity_room,
                             unsigned char* key, unsigned key_room);
  static unsigned server_key(SSL* ssl, const char* identity, unsigned char* key, unsigned key_room);

  Descriptor socket;
  const conf::AuthKeys keys;
  const mysql::Waker* cancel;
  std::unique_ptr<SSL_CTX, FreeContext> context;
  std::unique_ptr<SSL, FreeSsl> ssl;
  BIO* in = nullptr;   // of ssl: what has come
  BIO* out = nullptr;  // of ssl: what is to go
  std::size_t received = 0;
  bool proven = false;
};

unsigned Channel::State::client_key(SSL* ssl, const char* /*hint*/, char* identity, unsigned identity_room,
                                    unsigned char* key, unsigned key_room) {
  const auto* state = static_cast<const State*>(SSL_get_app_data(ssl));
  const std::string name = key_identity(state->keys.sending);
  if (name.size() + 1 > identity_room) return 0;
  std::memcpy(identity, name.c_str(), name.size() + 1);
  return give_key(channel_key(state->keys, state->keys.sending), key, key_room);
}

unsigned Channel::State::server_key(SSL* ssl, const char* identity, unsigned char* key, unsigned key_room) {
  const auto* state = static_cast<const State*>(SSL_get_app_data(ssl));
  const auto number = key_number(identity);
  return number ? give_key(channel_key(state->keys, *number), key, key_room) : 0;
}

Outcome Channel::State::prepare(bool server) {
  context.reset(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  if (context == nullptr) return std::unexpected("no TLS: " + openssl_says());
  // SHA-256 is what a key without a certificate goes with. There is no certificate, so nothing but the key
  // opens a channel; a server that came with a certificate instead would not be trusted.
  const bool set = SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) == 1 &&
                   SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256") == 1;
  if (!set) return std::unexpected("no TLS 1.3: " + openssl_says());
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (server) {
    SSL_CTX_set_psk_server_callback(context.get(), server_key);
  } else {
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_psk_client_callback(context.get(), client_key);
  }
  ssl.reset(SSL_new(context.get()));
  in = BIO_new(BIO_s_mem());
  out = BIO_new(BIO_s_mem());
  if (ssl == nullptr || in == nullptr || out == nullptr) return std::unexpected("no TLS: " + openssl_says());
  BIO_set_mem_eof_return(in, -1);  // "nothing yet" is no end
  SSL_set_bio(ssl.get(), in, out);
  SSL_set_app_data(ssl.get(), this);
  if (server) {
    SSL_set_accept_state(ssl.get());
  } else {
    SSL_set_connect_state(ssl.get());
  }
  ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
  keep_alive(socket.get());
  return {};
}

Outcome Channel::State::wait(short events, core::Instant deadline) const {
  while (true) {
    const auto left = deadline - mysql::boot_now();
    if (left <= core::Duration::zero()) return std::unexpected("the other side is silent");
    std::array<pollfd, 2> fds{pollfd{socket.get(), events, 0}, pollfd{cancel->fd(), POLLIN, 0}};
    const int ready = ::poll(fds.data(), fds.size(),
                             static_cast<int>(std::min<std::int64_t>(core::to_ms(left) + 1, 60'000)));
    if (ready < 0 && errno != EINTR) return std::unexpected("poll: " + system_text(errno));
    if (fds[1].revents != 0) return std::unexpected("given up");
    if (ready > 0 && fds[0].revents != 0) return {};
  }
}

Outcome Channel::State::flush(core::Instant deadline) {
  std::array<char, piece> buffer{};
  while (BIO_ctrl_pending(out) > 0) {
    const int got = BIO_read(out, buffer.data(), static_cast<int>(buffer.size()));
    if (got <= 0) return std::unexpected("TLS: " + openssl_says());
    for (std::size_t sent = 0; sent < static_cast<std::size_t>(got);) {
      const ssize_t n =
          ::send(socket.get(), buffer.data() + sent, static_cast<std::size_t>(got) - sent, MSG_NOSIGNAL);
      if (n >= 0) {
        sent += static_cast<std::size_t>(n);
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return std::unexpected("the connection broke: " + system_text(errno));
      if (auto ready = wait(POLLOUT, deadline); !ready) return ready;
    }
  }
  return {};
}

Outcome Channel::State::fill(core::Instant deadline) {
  std::array<char, piece> buffer{};
  while (true) {
    const ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (n == 0) return std::unexpected("the other side has closed the connection");
    if (n > 0) {
      received += static_cast<std::size_t>(n);
      if (!proven && received > handshake_bytes)
        return std::unexpected("the other side sends too much before it has proven who it is");
      BIO_write(in, buffer.data(), static_cast<int>(n));
      return {};
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return std::unexpected("the connection broke: " + system_text(errno));
    if (auto ready = wait(POLLIN, deadline); !ready) return ready;
  }
}

template <class Operation>
Outcome Channel::State::drive(core::Instant deadline, const Operation& operation) {
  while (true) {
    ERR_clear_error();
    const int result = operation();
    const int error = result > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl.get(), result);
    const std::string why = error == SSL_ERROR_SSL ? openssl_says() : "";
    // Also what is to be said at the end of a handshake that failed.
    const Outcome sent = flush(deadline);
    if (error == SSL_ERROR_SSL) return std::unexpected(why);
    if (!sent) return sent;
    if (error == SSL_ERROR_NONE) return {};
    if (error == SSL_ERROR_ZERO_RETURN) return std::unexpected("the other side has ended the connection");
    if (error != SSL_ERROR_WANT_READ) return std::unexpected("TLS: " + openssl_says());
    if (auto filled = fill(deadline); !filled) return filled;
  }
}

Outcome Channel::State::write(std::string_view bytes, core::Instant deadline) {
  return drive(deadline, [&] { return SSL_write(ssl.get(), bytes.data(), static_cast<int>(bytes.size())); });
}

Outcome Channel::State::read(char* target, std::size_t size, core::Instant deadline) {
  for (std::size_t have = 0; have < size;) {
    int got = 0;
    const auto done = drive(deadline, [&] {
      got = SSL_read(ssl.get(), target + have, static_cast<int>(size - have));
      return got;
    });
    if (!done) return done;
    have += static_cast<std::size_t>(got);
  }
  return {};
}

Channel::Channel(std::unique_ptr<State> state) : state_(std::move(state)) {}
Channel::Channel(Channel&& other) noexcept = default;
Channel& Channel::operator=(Channel&& other) noexcept = default;
Channel::~Channel() = default;

std::expected<Channel, std::string> Channel::shake_hands(std::unique_ptr<State> state) {
  State& s = *state;
  const auto shaken =
      s.drive(mysql::boot_now() + handshake_time, [&] { return SSL_do_handshake(s.ssl.get()); });
  if (!shaken) return std::unexpected(shaken.error());
  // A handshake by anything but the shared key does not come this far, having no certificate; this says so.
  if (SSL_session_reused(s.ssl.get()) != 1) return std::unexpected("the other side has not used the key");
  s.proven = true;
  return Channel(std::move(state));
}

std::expected<Channel, std::string> Channel::accept(Descriptor connection, const conf::AuthKeys& keys,
                                                    const mysql::Waker& cancel) {
  auto state = std::make_unique<State>(keys, cancel);
  state->socket = std::move(connection);
  if (auto ready = state->prepare(true); !ready) return std::unexpected(ready.error());
  return shake_hands(std::move(state));
}

std::expected<Channel, std::string> Channel::connect(const conf::HostPort& where, const conf::AuthKeys& keys,
                                                     const mysql::Waker& cancel) {
  if (!channel_key(keys, keys.sending)) {
    return std::unexpected(concat("key ", keys.sending, " of ", keys.file, " is crc, which proves nothing"));
  }
  const auto deadline = mysql::boot_now() + connect_time;
  const auto hosts = mysql::Resolver(where.host).resolve(deadline, cancel);
  if (!hosts) return std::unexpected(hosts.error().text);
  std::string why = "there is no such address";
  for (const std::string& host : *hosts) {
    auto state = std::make_unique<State>(keys, cancel);
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), std::to_string(where.port).c_str(), &hints, &found) != 0) continue;
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, ::freeaddrinfo);
    state->socket = Descriptor(::socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int error = ::connect(state->socket.get(), list->ai_addr, list->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      if (auto ready = state->wait(POLLOUT, deadline); !ready) {
        why = ready.error();
        continue;
      }
      socklen_t size = sizeof error;
      ::getsockopt(state->socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error != 0) {
      why = system_text(error);
      continue;
    }
    if (auto ready = state->prepare(false); !ready) return std::unexpected(ready.error());
    return shake_hands(std::move(state));
  }
  return std::unexpected(why);
}

std::expected<void, std::string> Channel::send(const Words& words, core::Duration time) {
  const std::string body = encode(words);
  if (body.size() > max_words) return std::unexpected("too many words");
  std::string frame(head_bytes, '\0');
  frame[0] = static_cast<char>(Kind::words);
  for (std::size_t i = 0; i < 4; ++i) frame[1 + i] = static_cast<char>(body.size() >> (24 - 8 * i));
  return state_->write(frame + body, mysql::boot_now() + time);
}

std::expected<void, std::string> Channel::send_data(std::string_view bytes, core::Duration time) {
  const auto deadline = mysql::boot_now() + time;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), max_data))) {
    const std::string_view part = bytes.substr(0, max_data);
    std::array<char, head_bytes> head{static_cast<char>(Kind::data)};
    for (std::size_t i = 0; i < 4; ++i) head.at(1 + i) = static_cast<char>(part.size() >> (24 - 8 * i));
    if (auto sent = state_->write({head.data(), head.size()}, deadline); !sent) return sent;
    if (auto sent = state_->write(part, deadline); !sent) return sent;
  }
  return {};
}

std::expected<Channel::Frame, std::string> Channel::receive(core::Duration time) {
  const auto deadline = mysql::boot_now() + time;
  std::array<char, head_bytes> head{};
  if (auto got = state_->read(head.data(), head.size(), deadline); !got) return std::unexpected(got.error());
  std::size_t size = 0;
  for (std::size_t i = 1; i < head_bytes; ++i) size = size << 8U | static_cast<unsigned char>(head.at(i));
  const bool words = head[0] == static_cast<char>(Kind::words);
  if (!words && head[0] != static_cast<char>(Kind::data)) return std::unexpected("a frame of no kind");
  if (size > (words ? max_words : max_data)) return std::unexpected("a frame that is too long");
  Frame frame{.kind = words ? Kind::words : Kind::data, .body = std::string(size, '\0')};
  if (auto got = state_->read(frame.body.data(), size, deadline); !got) return std::unexpected(got.error());
  return frame;
}

std::expected<Words, std::string> Channel::receive_words(core::Duration time, bool skip_data) {
  const auto until = mysql::boot_now() + time;
  while (true) {
    auto frame = receive(until - mysql::boot_now());
    if (!frame) return std::unexpected(frame.error());
    if (frame->kind == Kind::data && skip_data) continue;
    if (frame->kind == Kind::data) return std::unexpected("data, where words were expected");
    return decode(frame->body);
  }
}

bool Channel::has_input() const {
  return SSL_pending(state_->ssl.get()) > 0 || BIO_ctrl_pending(state_->in) > 0;
}

int Channel::fd() const {
  return state_->socket.get();
}

}  // namespace pointsman::copy
