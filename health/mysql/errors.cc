#include "health/mysql/errors.h"

#include <cctype>
#include <cerrno>
#include <charconv>

namespace pointsman::mysql {
namespace {

using core::FailureKind;

// MySQL reference manual, "Server Error Message Reference"; MariaDB's share of it is the same below 1900.
enum Server : unsigned {
  con_count = 1040,
  dbaccess_denied = 1044,
  access_denied = 1045,
  server_shutdown = 1053,
  normal_shutdown = 1077,
  shutdown_complete = 1079,
  host_is_blocked = 1129,
  host_not_privileged = 1130,
  table_access_denied = 1142,
  column_access_denied = 1143,
  too_many_user_connections = 1203,
  user_limit_reached = 1226,
  specific_access_denied = 1227,
  not_supported_auth_mode = 1251,
  access_denied_no_password = 1698,
  must_change_password = 1820,
  must_change_password_login = 1862,
  connection_killed = 1927,           // MariaDB
  account_has_been_locked = 3118,     // MySQL
  client_interaction_timeout = 4031,  // MySQL
  account_locked_mariadb = 4151,      // MariaDB
};

// errmsg.h of both libraries.
enum Library : unsigned {
  cr_socket_create = 2001,
  cr_connection = 2002,
  cr_conn_host = 2003,
  cr_ipsock = 2004,
  cr_unknown_host = 2005,
  cr_server_gone = 2006,
  cr_version = 2007,
  cr_handshake = 2012,
  cr_server_lost = 2013,
  cr_ssl_connection = 2026,
  cr_malformed_packet = 2027,
  cr_server_lost_extended = 2055,
  cr_auth_plugin_cannot_load = 2059,
  cr_auth_plugin = 2061,
  cer_restricted_auth = 5010,  // Connector/C
};

FailureKind classify_system(int error) {
  switch (error) {
    case ECONNREFUSED:
      return FailureKind::refused;
    case ETIMEDOUT:
    case EAGAIN:
    case EINPROGRESS:
      return FailureKind::timeout;
    case ECONNRESET:
    case EPIPE:
      return FailureKind::lost;
    default:
      return FailureKind::unreachable;
  }
}

FailureKind classify_server(unsigned code) {
  switch (code) {
    case con_count:
    case too_many_user_connections:
    case user_limit_reached:
      return FailureKind::too_many;
    case dbaccess_denied:
    case access_denied:
    case host_is_blocked:
    case host_not_privileged:
    case table_access_denied:
    case column_access_denied:
    case specific_access_denied:
    case not_supported_auth_mode:
    case access_denied_no_password:
    case must_change_password:
    case must_change_password_login:
    case account_has_been_locked:
    case account_locked_mariadb:
      return FailureKind::denied;
    case server_shutdown:
    case normal_shutdown:
    case shutdown_complete:
      return FailureKind::shutting_down;
    default:
      return FailureKind::server_error;
  }
}

}  // namespace

bool is_server_error(unsigned code) {
  return (code >= 1000 && code < 2000) || (code >= 3000 && code < 5000);
}

bool ends_session(unsigned code) {
  switch (code) {
    case server_shutdown:
    case normal_shutdown:
    case shutdown_complete:
    case connection_killed:
    case client_interaction_timeout:
      return true;
    default:
      return false;
  }
}

std::optional<int> system_errno(std::string_view text) {
  const auto read = [&](std::size_t from) -> std::optional<int> {
    int value = 0;
    const auto result = std::from_chars(text.data() + from, text.data() + text.size(), value);
    if (result.ec != std::errc()) return std::nullopt;
    return value;
  };
  constexpr std::string_view label = "system error: ";
  if (const auto at = text.rfind(label); at != std::string_view::npos) return read(at + label.size());
  if (text.ends_with(')')) {
    if (const auto at = text.rfind('('); at != std::string_view::npos) return read(at + 1);
  }
  return std::nullopt;
}

FailureKind classify(unsigned code, std::string_view text, Phase phase, bool spoke_mysql) {
  if (is_server_error(code)) return classify_server(code);
  switch (code) {
    case cr_connection:
    case cr_conn_host:
    case cr_socket_create:
    case cr_ipsock:
    case cr_unknown_host: {
      const auto error = system_errno(text);
      return error ? classify_system(*error) : FailureKind::unreachable;
    }
    case cr_version:
    case cr_handshake:
    case cr_malformed_packet:
      return FailureKind::not_mysql;
    case cr_auth_plugin_cannot_load:
    case cr_auth_plugin:
    case cer_restricted_auth:
      return spoke_mysql ? FailureKind::denied : FailureKind::not_mysql;
    case cr_server_gone:
    case cr_server_lost:
    case cr_server_lost_extended: {
      // Closed before a word or in the middle of the handshake: a server that just dies looks like this.
      return system_errno(text) == ETIMEDOUT ? FailureKind::timeout : FailureKind::lost;
    }
    case cr_ssl_connection:
      return FailureKind::lost;  // that it ended in the middle, nearly always
    // Any other complaint of the library is about what the server sent.
    default:
      return phase == Phase::connecting && !spoke_mysql ? FailureKind::not_mysql : FailureKind::lost;
  }
}

}  // namespace pointsman::mysql
