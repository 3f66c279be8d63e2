#include "tests/testbed/sql.h"

#include <mutex>

#include <mysql.h>

namespace pointsman::testbed {

namespace {

MYSQL* handle(void* mysql) {
  return static_cast<MYSQL*>(mysql);
}

SqlError error_of(MYSQL* mysql, const std::string& what) {
  return {mysql_errno(mysql), what + ": " + std::to_string(mysql_errno(mysql)) + " " + mysql_error(mysql)};
}

std::string shorten(const std::string& statement) {
  constexpr std::size_t limit = 200;
  return statement.size() <= limit ? statement : statement.substr(0, limit) + "...";
}

}  // namespace

std::string Result::value(std::string_view column, std::size_t row) const {
  if (row >= rows.size()) return "";
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] == column) return rows[row][i].value_or("");
  }
  return "";
}

std::string Result::scalar() const {
  return rows.empty() || rows.front().empty() ? "" : rows.front().front().value_or("");
}

void Sql::Close::operator()(void* mysql) const {
  mysql_close(handle(mysql));
}

std::expected<Sql, SqlError> Sql::connect(const Options& options) {
  static std::once_flag initialised;  // mysql_init() does it too, but not safely from two threads at once
  std::call_once(initialised, [] { mysql_library_init(0, nullptr, nullptr); });
  Sql sql(mysql_init(nullptr));
  MYSQL* mysql = handle(sql.mysql_.get());
  if (mysql == nullptr) return std::unexpected(SqlError{2008, "mysql_init: out of memory"});

  const auto seconds = static_cast<unsigned>(options.timeout.count());
  mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
  mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &seconds);
  mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
  if (!options.from.empty()) mysql_options(mysql, MYSQL_OPT_BIND, options.from.c_str());
#ifdef MARIADB_PACKAGE_VERSION
  if (!options.proxy_header.empty())
    mysql_optionsv(mysql, MARIADB_OPT_PROXY_HEADER, options.proxy_header.data(), options.proxy_header.size());
#else
  // Oracle's library asks for the RSA key of caching_sha2_password only when told to; MariaDB's does so by
  // itself.
  const bool yes = true;
  mysql_options(mysql, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &yes);
#endif
  const bool by_socket = !options.socket.empty();
  const char* database = options.database.empty() ? nullptr : options.database.c_str();
  const std::string socket = options.socket.string();
  const MYSQL* connected =
      mysql_real_connect(mysql, by_socket ? nullptr : options.address.host.c_str(),
                         options.login.user.c_str(), options.login.password.c_str(), database,
                         by_socket ? 0 : options.address.port, by_socket ? socket.c_str() : nullptr, 0);
  if (connected == nullptr) {
    return std::unexpected(error_of(mysql, "connect to " + (by_socket ? socket : to_string(options.address)) +
                                               " as " + options.login.user));
  }
  return sql;
}

std::expected<Result, SqlError> Sql::query(const std::string& statement) {
  MYSQL* mysql = handle(mysql_.get());
  if (mysql_real_query(mysql, statement.data(), statement.size()) != 0) {
    return std::unexpected(error_of(mysql, shorten(statement)));
  }
  Result result;
  const std::unique_ptr<MYSQL_RES, decltype(&mysql_free_result)> stored(mysql_store_result(mysql),
                                                                        mysql_free_result);
  if (stored == nullptr) {
    if (mysql_field_count(mysql) != 0) return std::unexpected(error_of(mysql, shorten(statement)));
    result.affected = mysql_affected_rows(mysql);
    return result;
  }
  const unsigned count = mysql_num_fields(stored.get());
  const MYSQL_FIELD* fields = mysql_fetch_fields(stored.get());
  for (unsigned i = 0; i < count; ++i) result.columns.emplace_back(fields[i].name);
  while (MYSQL_ROW values = mysql_fetch_row(stored.get())) {
    const unsigned long* lengths = mysql_fetch_lengths(stored.get());
    Result::Row& row = result.rows.emplace_back(count);
    for (unsigned i = 0; i < count; ++i) {
      if (values[i] != nullptr) row[i] = std::string(values[i], lengths[i]);
    }
  }
  return result;
}

std::expected<void, SqlError> Sql::execute(const std::string& statement) {
  auto result = query(statement);
  if (!result) return std::unexpected(std::move(result.error()));
  return {};
}

std::expected<void, SqlError> Sql::execute_all(const std::vector<std::string>& statements) {
  for (const std::string& statement : statements) {
    if (auto done = execute(statement); !done) return done;
  }
  return {};
}

std::expected<std::string, SqlError> Sql::scalar(const std::string& statement) {
  auto result = query(statement);
  if (!result) return std::unexpected(std::move(result.error()));
  return result->scalar();
}

std::uint64_t Sql::connection_id() const {
  return mysql_thread_id(handle(mysql_.get()));
}

std::string Sql::server_version() const {
  return mysql_get_server_info(handle(mysql_.get()));
}

std::string quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

}  // namespace pointsman::testbed
