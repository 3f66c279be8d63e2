#include "health/mysql/dialect.h"

#include <array>
#include <charconv>

#include "health/mysql/concat.h"

namespace pointsman::mysql {
namespace {

constexpr unsigned oldest_mariadb = 100500;
constexpr unsigned oldest_mysql = 80000;

}  // namespace

std::string_view plain_version(std::string_view version) {
  constexpr std::string_view prefix = "5.5.5-";
  return version.starts_with(prefix) && version.contains("MariaDB") ? version.substr(prefix.size()) : version;
}

unsigned version_number(std::string_view version) {
  version = plain_version(version);
  std::array<unsigned, 3> parts{};
  const char* at = version.data();
  const char* const end = at + version.size();
  for (auto& part : parts) {
    const auto result = std::from_chars(at, end, part);
    if (result.ec != std::errc() || part > 99) return 0;
    at = result.ptr;
    if (at == end || *at != '.') break;
    ++at;
  }
  return parts[0] * 10000 + parts[1] * 100 + parts[2];
}

std::expected<std::unique_ptr<Dialect>, core::Failure> choose_dialect(const Connection& connection) {
  const std::string& version = connection.server_version();
  const bool mariadb = version.contains("MariaDB");
  const unsigned number = version_number(version);
  if (mariadb && number >= oldest_mariadb) return make_mariadb_dialect();
  if (!mariadb && number >= oldest_mysql) return make_mysql_dialect(number);
  return std::unexpected(core::Failure{core::FailureKind::unsupported, 0,
                                       concat("server ", connection.address(), " is version ", version,
                                              "; needed: MariaDB 10.5 or MySQL 8.0, or later")});
}

}  // namespace pointsman::mysql
