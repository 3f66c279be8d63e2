#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"

namespace pointsman::testbed {

struct SqlError {
  unsigned code = 0;  // the server's or the client library's errno, e.g. 1290, 2013
  std::string text;   // what was tried, and what the answer was

  bool operator==(const SqlError&) const = default;
};

struct Login {
  std::string user;
  std::string password;
};

struct Result {
  using Row = std::vector<std::optional<std::string>>;  // nullopt: NULL

  std::vector<std::string> columns;
  std::vector<Row> rows;
  std::uint64_t affected = 0;

  // The first row's value of a column; "" when there is no row, no such column or it is NULL.
  std::string value(std::string_view column, std::size_t row = 0) const;
  // The first value of the first row, "" when there is none.
  std::string scalar() const;
};

// One connection of a test or a demo to one server, or through the proxy. Plain and blocking; every wait is
// bounded by `timeout`. One thread at a time.
class Sql {
 public:
  struct Options {
    std::filesystem::path socket{};  // when set, instead of the address
    conf::HostPort address{};
    Login login{"root", ""};
    std::string database{};
    std::string from{};                // an address of this host to come from
    std::string proxy_header{};        // sent before the login; MariaDB's client library only
    std::chrono::seconds timeout{30};  // of connecting, of each read and of each write; whole seconds
  };

  static std::expected<Sql, SqlError> connect(const Options& options);

  // For statements whose result is of no interest; a result is read and dropped.
  std::expected<void, SqlError> execute(const std::string& statement);
  // Several, one after another, until one fails.
  std::expected<void, SqlError> execute_all(const std::vector<std::string>& statements);
  std::expected<Result, SqlError> query(const std::string& statement);
  // The first value of the first row.
  std::expected<std::string, SqlError> scalar(const std::string& statement);

  std::uint64_t connection_id() const;
  std::string server_version() const;

  struct Close {
    void operator()(void* mysql) const;
  };

 private:
  explicit Sql(void* mysql) : mysql_(mysql) {}
  std::unique_ptr<void, Close>
      mysql_;  // a MYSQL*; its type stays out of this header, as two libraries define it
};

// 'text' as a literal, for names and passwords that a test chose.
std::string quote(std::string_view text);

}  // namespace pointsman::testbed
