#include "health/mysql/client.h"

#include <mutex>
#include <new>

#include <mysql.h>
#include <poll.h>
#include <sys/socket.h>

#include "health/mysql/clean_text.h"

#if defined(MARIADB_BASE_VERSION) || defined(LIBMARIADB) || defined(MARIADB_PACKAGE_VERSION_ID)
#define PM_CONNECTOR_C 1
#endif

namespace pointsman::mysql {
namespace {

// Both libraries set themselves up at the first mysql_init(), which is not safe from two threads at once, and
// keep memory for each thread that called them.
void prepare_library() {
  static std::once_flag once;
  std::call_once(once, [] { mysql_library_init(0, nullptr, nullptr); });
  struct ThreadEnd {
    ThreadEnd() { mysql_thread_init(); }
    ~ThreadEnd() { mysql_thread_end(); }
  };
  thread_local const ThreadEnd thread_end;
}

// Both libraries take the socket only for this name.
const char* host_of(const Client::Login& login) {
  return login.host.starts_with('/') ? "localhost" : login.host.c_str();
}
const char* socket_of(const Client::Login& login) {
  return login.host.starts_with('/') ? login.host.c_str() : nullptr;
}

#ifdef PM_CONNECTOR_C

// The coroutine that a call runs on needs room for OpenSSL's RSA (caching_sha2_password without TLS).
constexpr std::size_t coroutine_stack = std::size_t{256} << 10;

void set_options(MYSQL* mysql) {
  mysql_options(mysql, MYSQL_OPT_NONBLOCK, &coroutine_stack);
  // A server chooses the client's plugin. Without this list it could ask for `dialog`, which reads our
  // terminal, or for `mysql_clear_password`, which hands it the password.
  mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH,
                "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519");
}

int descriptor_of(MYSQL* mysql) {
  const auto fd = mysql_get_socket(mysql);
  return fd == MARIADB_INVALID_SOCKET ? -1 : static_cast<int>(fd);
}

// Runs one call of the library to its end, waiting by `waiter` whenever it is suspended. After the waiter
// gave up, each further wait of the same call is told that its time is over, so the call unwinds without
// blocking.
template <class Start, class Continue>
void drive(MYSQL* mysql, Waiter& waiter, Start start, Continue resume) {
  bool given_up = false;
  for (int status = start(); status != 0;) {
    const short events = static_cast<short>(((status & MYSQL_WAIT_READ) != 0 ? POLLIN : 0) |
                                            ((status & MYSQL_WAIT_WRITE) != 0 ? POLLOUT : 0));
    if (!given_up) given_up = !waiter.wait(descriptor_of(mysql), events, events == 0);
    status = resume(given_up ? MYSQL_WAIT_TIMEOUT : status & ~MYSQL_WAIT_TIMEOUT);
  }
}

bool call_connect(MYSQL* mysql, const Client::Login& login, Waiter& waiter) {
  MYSQL* result = nullptr;
  drive(
      mysql, waiter,
      [&] {
        return mysql_real_connect_start(&result, mysql, host_of(login), login.user.c_str(),
                                        login.password.c_str(), nullptr, login.port, socket_of(login), 0);
      },
      [&](int ready) { return mysql_real_connect_cont(&result, mysql, ready); });
  return result != nullptr;
}

bool call_query(MYSQL* mysql, std::string_view sql, Waiter& waiter) {
  int failed = 1;
  drive(
      mysql, waiter, [&] { return mysql_real_query_start(&failed, mysql, sql.data(), sql.size()); },
      [&](int ready) { return mysql_real_query_cont(&failed, mysql, ready); });
  return failed == 0;
}

// False: failed or given up. A null `row` without that is the end.
bool call_fetch_row(MYSQL* mysql, MYSQL_RES* result, Waiter& waiter, MYSQL_ROW& row) {
  drive(
      mysql, waiter, [&] { return mysql_fetch_row_start(&row, result); },
      [&](int ready) { return mysql_fetch_row_cont(&row, result, ready); });
  return row != nullptr || mysql_errno(mysql) == 0;
}

#else  // Oracle's libmysqlclient, 8.0.16 or later

void set_options(MYSQL* mysql) {
  // caching_sha2_password over a connection without TLS: ask the server for its RSA key, as Connector/C
  // always does.
  const bool on = true;
  mysql_options(mysql, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &on);
}

int descriptor_of(MYSQL* mysql) {
  return mysql->net.vio != nullptr ? static_cast<int>(mysql->net.fd) : -1;
}

// This library says that it is not ready, but not what it waits for. Nearly always that is the server's
// answer; a short wait covers the rest: a connect in progress, a full send buffer, and above all TLS, which
// is not ready between its own steps although nothing more will come from the server. False: the waiter gave
// up in the middle of a call, which is then abandoned; only mysql_close() may follow.
template <class Step>
bool drive(MYSQL* mysql, Waiter& waiter, Step step) {
  net_async_status status = step();
  while (status == NET_ASYNC_NOT_READY) {
    if (!waiter.wait(descriptor_of(mysql), POLLIN, true)) return false;
    status = step();
  }
  return status == NET_ASYNC_COMPLETE;
}

bool call_connect(MYSQL* mysql, const Client::Login& login, Waiter& waiter) {
  return drive(mysql, waiter, [&] {
    return mysql_real_connect_nonblocking(mysql, host_of(login), login.user.c_str(), login.password.c_str(),
                                          nullptr, login.port, socket_of(login), 0);
  });
}

bool call_query(MYSQL* mysql, std::string_view sql, Waiter& waiter) {
  return drive(mysql, waiter, [&] { return mysql_real_query_nonblocking(mysql, sql.data(), sql.size()); });
}

bool call_fetch_row(MYSQL* mysql, MYSQL_RES* result, Waiter& waiter, MYSQL_ROW& row) {
  const bool done = drive(mysql, waiter, [&] { return mysql_fetch_row_nonblocking(result, &row); });
  return done && (row != nullptr || mysql_errno(mysql) == 0);
}

#endif

struct FreeResult {
  void operator()(MYSQL_RES* result) const { mysql_free_result(result); }
};

}  // namespace

struct Client::Handle {
  MYSQL* mysql = nullptr;

  Error error() const { return {mysql_errno(mysql), clean_text(mysql_error(mysql))}; }
  // Whatever the library still wants to send or read then ends at once.
  void cut() const {
    if (const int fd = descriptor_of(mysql); fd >= 0) ::shutdown(fd, SHUT_RDWR);
  }
};

Client::Client() : handle_(std::make_unique<Handle>()) {
  prepare_library();
  handle_->mysql = mysql_init(nullptr);
  if (handle_->mysql == nullptr) throw std::bad_alloc();
}

Client::~Client() {
  // mysql_close() says goodbye to the server. Five bytes into an empty send buffer do not block, and a
  // connection that is not in order was cut before.
  mysql_close(handle_->mysql);
}

std::expected<void, Client::Error> Client::connect(const Login& login, Waiter& waiter) {
  MYSQL* mysql = handle_->mysql;
  const unsigned protocol = socket_of(login) != nullptr ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
  const unsigned long packet = max_answer_bytes;
  mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
  mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
  mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  const unsigned local_infile = 0;  // else a server could ask for any file that we can read
  mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &local_infile);
  set_options(mysql);
  if (call_connect(mysql, login, waiter)) return {};
  auto error = handle_->error();
  handle_->cut();
  return std::unexpected(std::move(error));
}

std::expected<ResultTable, Client::Error> Client::query(std::string_view sql, Waiter& waiter) {
  MYSQL* mysql = handle_->mysql;
  if (!call_query(mysql, sql, waiter)) return std::unexpected(handle_->error());
  ResultTable table;
  if (mysql_field_count(mysql) == 0) return table;

  const std::unique_ptr<MYSQL_RES, FreeResult> result(mysql_use_result(mysql));
  if (!result) return std::unexpected(handle_->error());
  const unsigned columns = mysql_num_fields(result.get());
  const MYSQL_FIELD* fields = mysql_fetch_fields(result.get());
  for (unsigned i = 0; i < columns; ++i) table.add_column(fields[i].name != nullptr ? fields[i].name : "");

  std::size_t bytes = 0;
  for (MYSQL_ROW values = nullptr;;) {
    // To free a result is to read the rest of it, so what ends early is cut first.
    if (!call_fetch_row(mysql, result.get(), waiter, values)) {
      auto error = handle_->error();
      handle_->cut();
      return std::unexpected(std::move(error));
    }
    if (values == nullptr) return table;
    const unsigned long* lengths = mysql_fetch_lengths(result.get());
    std::vector<std::optional<std::string>> row(columns);
    for (unsigned i = 0; i < columns; ++i) {
      if (values[i] == nullptr) continue;
      bytes += lengths[i];
      row[i].emplace(values[i], lengths[i]);
    }
    bytes += columns * sizeof(std::string);
    table.add_row(std::move(row));
    if (bytes > max_answer_bytes || table.rows() > max_answer_rows) {
      handle_->cut();
      return std::unexpected(Error{error_answer_too_big, "the answer is larger than we accept"});
    }
  }
}

int Client::fd() const {
  return descriptor_of(handle_->mysql);
}

std::uint64_t Client::thread_id() const {
  return mysql_thread_id(handle_->mysql);
}

std::string Client::server_version() const {
  const char* version = mysql_get_server_info(handle_->mysql);
  return version != nullptr ? version : "";
}

}  // namespace pointsman::mysql
