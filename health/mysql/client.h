#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "health/mysql/result_table.h"

namespace pointsman::mysql {

// How a call of the client library waits for its socket. Implemented by Connection, which knows the deadline.
class Waiter {
 public:
  virtual ~Waiter() = default;
  // Waits until `fd` is ready for `events` (those of poll(2)). `short_wait`: the library does not say what it
  // waits for, so return after a moment at the latest. False: give up; the call then unwinds, and the
  // connection is of no more use.
  virtual bool wait(int fd, short events, bool short_wait) = 0;
};

// The only file that knows the client library, Oracle's libmysqlclient or MariaDB Connector/C, which differ
// in exactly the part that matters here: calls that do not block. Those give this thread its own poll(2) in
// every wait, connect and greeting included, so that deadlines are exact (the libraries' own are whole
// seconds, and a server that drips bytes restarts them) and the owner can end a call without a second thread
// touching a descriptor.
//
// One thread only. Not copyable. `host` is a numeric address (a lookup would block in both libraries), or the
// absolute path of a Unix socket.
class Client {
 public:
  struct Login {
    std::string host;
    std::uint16_t port = 0;
    std::string user;
    std::string password;
  };
  // As the library says it: 1..1999 and 3000.. are the server's, 2000..2999 the library's own (CR_*).
  struct Error {
    unsigned code = 0;
    std::string text;
  };

  Client();
  ~Client();  // does not wait for the server
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Once per object.
  std::expected<void, Error> connect(const Login& login, Waiter& waiter);
  // One statement. An empty table when it yields no rows.
  std::expected<ResultTable, Error> query(std::string_view sql, Waiter& waiter);

  int fd() const;                      // -1 when there is none (yet)
  std::string server_version() const;  // "" before the greeting
  std::uint64_t thread_id() const;     // what KILL takes

  // An answer beyond these is an error, so that no server can exhaust our memory.
  static constexpr std::size_t max_answer_bytes = std::size_t{16} << 20;
  static constexpr std::size_t max_answer_rows = 100'000;
  static constexpr unsigned error_answer_too_big = 2999;  // not a number of either library

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace pointsman::mysql
