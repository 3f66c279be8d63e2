#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "health/core/gtid_set.h"
#include "health/core/server_report.h"
#include "health/mysql/session.h"
#include "health/mysql/waker.h"
#include "health/verify/verify.h"

namespace pointsman::verify {

// One server and the connection to it. Used by the thread that compares.
class Peer {
 public:
  using Answer = std::expected<mysql::ResultTable, core::Failure>;

  Peer(const Order& order, const Server& server, const mysql::Waker& stop);

  // Connects. True: it accepts writes.
  std::expected<bool, core::Failure> open();
  Answer query(std::string_view sql);
  // All that is committed here, as a position that the others can wait for.
  std::expected<core::GtidSet, core::Failure> position();
  // This replica has applied `position`. False: not within `limit`.
  std::expected<bool, core::Failure> wait_applied(const core::GtidSet& position, core::Duration limit);
  bool pause(core::Duration duration) { return session_.connection().pause(duration); }

  const std::string& name() const { return server_.name; }
  bool is_mysql() const { return flavour_ == core::Flavour::mysql; }

 private:
  const Order& order_;
  const Server& server_;
  mysql::Session session_;
  core::Flavour flavour_ = core::Flavour::mysql;
};

}  // namespace pointsman::verify
