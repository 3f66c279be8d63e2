#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "conf/config.h"
#include "health/core/server_report.h"
#include "health/core/time.h"
#include "health/mysql/client.h"
#include "health/mysql/resolver.h"
#include "health/mysql/result_table.h"
#include "health/mysql/waker.h"

namespace pointsman::mysql {

// One connection to one server, owned and used by one thread. Every call ends by its deadline or as soon as
// `interrupt` rings, whatever the server does or does not do; it then fails with kind timeout. No error text
// contains the password.
class Connection final : private Waiter {
 public:
  struct Options {
    conf::HostPort address;  // a host that is an absolute path is a Unix socket
    conf::Account account;
  };

  // `interrupt` outlives this; while it is rung every call fails at once.
  Connection(Options options, const Waker& interrupt);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Closes what was open, then TCP, greeting and login, on each address of the name in turn.
  std::expected<void, core::Failure> connect(core::Instant deadline);

  // One statement. Afterwards the connection is still open when the server answered, be it with an error.
  // `shown` stands for the statement in the failure's text (default: its first words); give it when `sql` has
  // secrets.
  std::expected<ResultTable, core::Failure> query(std::string_view sql, core::Instant deadline,
                                                  std::string_view shown = {});

  // An idle connection became readable: nullopt when the server has something to say (the next query reads
  // it), else how the connection ended; it is closed then.
  std::optional<core::Failure> check_idle();

  // Waits without asking the server anything; false: `interrupt` rang.
  bool pause(core::Duration duration) const;

  // The server's id of the last session that was given up in the middle of a statement, which the server may
  // still carry out; 0: none. Asked once.
  std::uint64_t take_abandoned() { return std::exchange(abandoned_, 0); }

  bool is_open() const { return client_ != nullptr; }
  void close();  // without waiting
  int fd() const { return client_ ? client_->fd() : -1; }
  const std::string& server_version() const { return version_; }
  const std::string& address() const { return shown_address_; }  // as the operator wrote it

 private:
  // What stopped the running call, when it was not the server.
  enum class Stop { none, deadline, interrupt, not_mysql };

  bool wait(int fd, short events, bool short_wait) override;
  bool inspect_greeting(int fd);
  std::expected<void, core::Failure> connect_to(const std::string& host);
  core::Failure connect_failure(const Client::Error& error, const std::string& host) const;
  void begin(core::Instant deadline);

  Options options_;
  const Waker& interrupt_;
  Resolver resolver_;
  std::string shown_address_;
  std::unique_ptr<Client> client_;
  std::string version_;
  std::uint64_t abandoned_ = 0;

  // Of the running call.
  core::Instant deadline_{};
  core::Instant began_{};
  Stop stop_ = Stop::none;
  bool expect_greeting_ = false;  // the server's first bytes have not been looked at
  bool reached_ = false;          // TCP is connected
  bool greeted_ = false;          // the server has sent something
  std::string seen_;              // what it sent instead of a greeting
};

}  // namespace pointsman::mysql
