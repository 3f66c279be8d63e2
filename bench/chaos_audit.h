#pragma once

#include <cstddef>
#include <expected>
#include <map>
#include <string>
#include <vector>

#include "bench/gap.h"
#include "bench/stage.h"

namespace pointsman::bench {

// What writers were told, against what the servers have. Beside the writers' own table there are two that its
// trigger fills in the same transaction: a log without any unique key, in which a row that was applied twice
// is there twice, and a count per writer, in which half a transaction or one applied twice shows. So a
// transaction has an insert, an insert without a key to find it by, and an update.
//
// A run of writers is a round. When it is over, what it wrote never changes again, so its fingerprint must
// not either. One thread.
class Audit {
 public:
  using Outcome = std::expected<void, std::string>;

  struct Count {
    std::size_t acknowledged = 0;
    std::size_t rows = 0;  // that the primary has: also those of which no writer heard
    std::size_t missing = 0;
    std::size_t duplicates = 0;
  };

  explicit Audit(Stage& stage) : stage_(stage) {}

  // As root, on the primary: tables and trigger.
  Outcome prepare(std::size_t primary);
  // Before the writers of a run begin.
  Outcome begin_run(unsigned run, unsigned writers);
  // When they have stopped and both servers have all: counts, and remembers. Error: it cannot be read, or the
  // tables or the servers do not agree; what was counted is in `count` all the same.
  Outcome end_run(unsigned run, std::size_t primary, std::vector<std::vector<Commit>>& writers, Count& count);
  // All runs so far once more, on both servers.
  Outcome again(std::size_t primary);

 private:
  using Fingerprints = std::map<unsigned, std::string>;  // run -> "rows:checksum"

  std::expected<Fingerprints, std::string> fingerprints(std::size_t server, const std::string& table,
                                                        const std::string& condition);
  std::expected<std::string, std::string> ask(std::size_t server, const std::string& sql);
  Outcome compare(std::size_t primary, const std::string& condition, const Fingerprints& wanted);
  Outcome compare_counts(unsigned run, std::size_t server);

  Stage& stage_;
  Fingerprints known_;
};

}  // namespace pointsman::bench
