#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "health/core/server_report.h"
#include "health/verify/peer.h"
#include "health/verify/table.h"
#include "health/verify/verify.h"

namespace pointsman::verify {

// Compares one table of the primary with the same table of its replicas. Failures are the primary's; a
// replica that fails is put into `unknown` and left out from then on.
class Comparison {
 public:
  // A replica that still answers; nullptr: given up.
  using Replicas = std::vector<Peer*>;

  Comparison(const Order& order, Peer& primary, Replicas& replicas, Report& report)
      : order_(order), primary_(primary), replicas_(replicas), report_(report) {}

  std::expected<void, core::Failure> compare(const Table& table, std::uint64_t tables_done);

 private:
  struct Sum {
    std::uint64_t rows = 0;
    std::string x, s;
    bool operator==(const Sum&) const = default;
  };
  enum class Verdict { equal, different, restless, gone };

  std::expected<void, core::Failure> compare_chunk(const Table& table, const std::string& where);
  std::expected<Verdict, core::Failure> judge(const Table& table, const std::string& where, Peer*& replica,
                                              Sum& ours, Sum& theirs);
  // One look at both; equal or not. `limit`: for the replica to arrive.
  std::expected<Verdict, core::Failure> look(const Table& table, const std::string& sql, Peer*& replica,
                                             Sum& ours, Sum& theirs, core::Duration limit);
  std::expected<Verdict, core::Failure> look_locked(const Table& table, const std::string& where,
                                                    Peer*& replica, Sum& ours, Sum& theirs);
  static std::expected<Sum, core::Failure> sum(Peer& peer, const std::string& sql);
  Verdict give_up(Peer*& replica, const Table& table, const std::string& why);
  void note(const Peer& replica, const Table& table, const std::string& where, const Sum& ours,
            const Sum& theirs);

  const Order& order_;
  Peer& primary_;
  Replicas& replicas_;
  Report& report_;
};

}  // namespace pointsman::verify
