#include "health/verify/peer.h"

#include <algorithm>

#include "health/mysql/boot_clock.h"
#include "health/mysql/report_parts.h"

namespace pointsman::verify {

using core::Failure;
using mysql::boot_now;

namespace {

constexpr core::Duration quick = std::chrono::seconds(15);
constexpr std::chrono::milliseconds longest_slice{1000};

}  // namespace

Peer::Peer(const Order& order, const Server& server, const mysql::Waker& stop)
    : order_(order),
      server_(server),
      session_({server.address, order.account}, mysql::Session::Leftover::kill, stop) {}

// Times in one time zone and keys in one character set, whatever the server's defaults are.
std::expected<bool, Failure> Peer::open() {
  if (auto opened = session_.open(boot_now() + quick); !opened) return std::unexpected(opened.error());
  flavour_ = session_.dialect().flavour();
  for (const auto* sql : {"SET NAMES utf8mb4", "SET SESSION time_zone = '+00:00'"}) {
    if (auto set = mysql::run(session_.connection(), sql, boot_now() + quick); !set)
      return std::unexpected(set.error());
  }
  const auto told = query("SELECT @@global.read_only");
  if (!told) return std::unexpected(told.error());
  const auto value = told->at(0, 0).value_or("0");
  return value == "0" || mysql::equal_nocase(value, "OFF");
}

Peer::Answer Peer::query(std::string_view sql) {
  return session_.connection().query(sql, boot_now() + order_.statement_timeout);
}

std::expected<core::GtidSet, Failure> Peer::position() {
  const auto told = query(is_mysql() ? "SELECT @@global.gtid_executed" : "SELECT @@global.gtid_current_pos");
  if (!told) return std::unexpected(told.error());
  return mysql::parse_gtids(flavour_, told->at(0, 0).value_or(""), "the GTID position",
                            session_.connection());
}

std::expected<bool, Failure> Peer::wait_applied(const core::GtidSet& position, core::Duration limit) {
  const auto deadline = boot_now() + limit;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - boot_now());
    const auto slice = std::clamp(left, std::chrono::milliseconds(1), longest_slice);
    const auto answer = query(session_.dialect().wait_applied(position, slice));
    if (!answer) return std::unexpected(answer.error());
    if (answer->at(0, 0).value_or("") == "0") return true;
    if (boot_now() >= deadline) return false;
  }
}

}  // namespace pointsman::verify
