#include "health/mysql/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <poll.h>
#include <sys/socket.h>

#include "health/mysql/boot_clock.h"
#include "health/mysql/clean_text.h"
#include "health/mysql/concat.h"
#include "health/mysql/dialect.h"
#include "health/mysql/errors.h"
#include "health/mysql/poll_until.h"

namespace pointsman::mysql {
namespace {

using core::Failure;
using core::FailureKind;

// For waits of which the library does not say what they wait for.
constexpr core::Duration short_tick = std::chrono::milliseconds(1);
constexpr std::size_t max_shown_statement = 60;

std::string printable(std::string_view bytes) {
  std::string text;
  for (const char c : bytes.substr(0, 32)) text += c >= ' ' && c <= '~' ? c : '.';
  return text;
}

bool has_peer(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  return ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
}

std::string first_words(std::string_view sql) {
  return sql.size() <= max_shown_statement ? std::string(sql)
                                           : std::string(sql.substr(0, max_shown_statement)) + "...";
}

// Servers quote the statement in their syntax errors, so a secret could come back in one.
std::string without(std::string text, const std::string& secret) {
  if (secret.empty()) return text;
  for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at))
    text.replace(at, secret.size(), "***");
  return text;
}

}  // namespace

Connection::Connection(Options options, const Waker& interrupt)
    : options_(std::move(options)),
      interrupt_(interrupt),
      resolver_(options_.address.host),
      shown_address_(conf::to_string(options_.address)) {}

Connection::~Connection() = default;

void Connection::close() {
  if (!client_) return;
  if (const int fd = client_->fd(); fd >= 0) ::shutdown(fd, SHUT_RDWR);  // so that the goodbye cannot block
  client_.reset();
}

void Connection::begin(core::Instant deadline) {
  deadline_ = deadline;
  began_ = boot_now();
  stop_ = Stop::none;
}

std::expected<void, Failure> Connection::connect(core::Instant deadline) {
  close();
  begin(deadline);
  if (options_.address.host.starts_with('/')) return connect_to(options_.address.host);
  const auto addresses = resolver_.resolve(deadline, interrupt_);
  if (!addresses) return std::unexpected(addresses.error());
  std::expected<void, Failure> outcome;
  for (const auto& host : *addresses) {
    outcome = connect_to(host);
    // Only a server that could not be reached at all is worth a try of the name's next address.
    if (outcome || reached_ || stop_ != Stop::none) break;
  }
  return outcome;
}

std::expected<void, Failure> Connection::connect_to(const std::string& host) {
  expect_greeting_ = true;
  reached_ = greeted_ = false;
  seen_.clear();
  client_ = std::make_unique<Client>();
  const auto done = client_->connect(
      {host, options_.address.port, options_.account.user, options_.account.password}, *this);
  if (done) {
    version_ = clean_text(client_->server_version());
    return {};
  }
  auto failure = connect_failure(done.error(), host);
  client_.reset();
  return std::unexpected(std::move(failure));
}

Failure Connection::connect_failure(const Client::Error& error, const std::string& host) const {
  const std::string where =
      host == options_.address.host ? shown_address_ : concat(shown_address_, " (", host, ")");
  const auto waited = core::to_ms(boot_now() - began_);
  const char* missing = !reached_   ? "no connection"
                        : !greeted_ ? "no greeting"
                                    : "the login was not answered";
  switch (stop_) {
    case Stop::interrupt:
      return {FailureKind::timeout, 0, concat("connect to ", where, ": given up")};
    case Stop::deadline:
      return {FailureKind::timeout, 0,
              concat("connect to ", where, ": ", missing, " within ", waited, " ms")};
    case Stop::not_mysql:
      return {FailureKind::not_mysql, 0,
              concat("connect to ", where, ": not a MySQL greeting: \"", seen_, "\"")};
    case Stop::none:
      break;
  }
  const auto kind =
      classify(error.code, error.text, Phase::connecting, version_number(client_->server_version()) != 0);
  const unsigned server_errno = is_server_error(error.code) ? error.code : 0;
  if (kind == FailureKind::lost) {
    const char* when = greeted_ ? "during the login" : "before a greeting";
    return {kind, 0,
            concat("connect to ", where, ": the connection was closed ", when, " (", error.text, ")")};
  }
  return {kind, server_errno,
          concat("connect to ", where, " as ", options_.account.user, ": ", error.code, " ",
                 without(error.text, options_.account.password))};
}

std::expected<ResultTable, Failure> Connection::query(std::string_view sql, core::Instant deadline,
                                                      std::string_view shown) {
  const std::string label = shown.empty() ? first_words(sql) : std::string(shown);
  if (!client_)
    return std::unexpected(
        Failure{FailureKind::lost, 0, concat(label, " on ", shown_address_, ": not connected")});
  begin(deadline);
  expect_greeting_ = false;
  auto table = client_->query(sql, *this);
  if (table && stop_ == Stop::none) return std::move(*table);

  const Client::Error error = table ? Client::Error{} : table.error();
  Failure failure;
  if (stop_ != Stop::none) {
    const char* what = stop_ == Stop::interrupt ? "given up" : "no answer";
    failure = {FailureKind::timeout, 0,
               concat(label, " on ", shown_address_, ": ", what, " after ", core::to_ms(boot_now() - began_),
                      " ms")};
  } else {
    const auto kind = classify(error.code, error.text, Phase::connected, true);
    failure = {kind, is_server_error(error.code) ? error.code : 0,
               concat(label, " on ", shown_address_, ": ", error.code, " ", error.text)};
  }
  if (stop_ != Stop::none) abandoned_ = client_->thread_id();
  if (stop_ != Stop::none || !is_server_error(error.code) || ends_session(error.code)) close();
  return std::unexpected(std::move(failure));
}

std::optional<Failure> Connection::check_idle() {
  std::array<char, 1> byte{};
  const auto got = ::recv(fd(), byte.data(), byte.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return std::nullopt;
  const std::string why = got == 0 ? "closed by the server" : std::generic_category().message(errno);
  close();
  return Failure{FailureKind::lost, 0, concat("idle connection to ", shown_address_, ": ", why)};
}

bool Connection::pause(core::Duration duration) const {
  std::array<pollfd, 1> fds{{{interrupt_.fd(), POLLIN, 0}}};
  return !poll_until(fds, boot_now() + duration);
}

bool Connection::wait(int fd, short events, bool short_wait) {
  if (stop_ != Stop::none) return false;
  const auto now = boot_now();
  const auto until = short_wait ? std::min(deadline_, now + short_tick) : deadline_;
  if (!reached_) reached_ = has_peer(fd);
  std::array<pollfd, 2> fds{{{interrupt_.fd(), POLLIN, 0}, {fd, events, 0}}};
  const bool ready = poll_until(fds, until);
  if (fds[0].revents != 0) {
    stop_ = Stop::interrupt;
  } else if (!ready && boot_now() >= deadline_) {
    stop_ = Stop::deadline;
  } else if (expect_greeting_ && (fds[1].revents & POLLIN) != 0 && !inspect_greeting(fd)) {
    stop_ = Stop::not_mysql;
  }
  return stop_ == Stop::none;
}

// A server speaks first (MySQL internals, "Connection Phase"): packet length in three bytes, sequence number
// 0, then protocol version 10, or 255 and an error such as 1040. Looked at here because the libraries' own
// judgement of other bytes differs, and ranges from "malformed packet" to waiting for a packet of 5 MB.
bool Connection::inspect_greeting(int fd) {
  std::array<char, 32> bytes{};
  if (!client_->server_version().empty()) {  // the library has it already, these are later bytes
    greeted_ = true;
    expect_greeting_ = false;
    return true;
  }
  const auto got = ::recv(fd, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got <= 0) return true;  // the end of the stream: the library says so
  greeted_ = true;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const auto count = static_cast<std::size_t>(got);
  constexpr unsigned longest = 4096;
  expect_greeting_ = false;
  const bool ok = (count < 3 || (at(0) | at(1) << 8 | at(2) << 16) <= static_cast<int>(longest)) &&
                  (count < 4 || at(3) == 0) && (count < 5 || at(4) == 10 || at(4) == 255);
  if (!ok) seen_ = printable({bytes.data(), count});
  return ok;
}

}  // namespace pointsman::mysql
