#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "health/core/server_report.h"
#include "health/core/time.h"
#include "health/mysql/waker.h"

namespace pointsman::mysql {

// Turns a host name into numeric addresses without ever blocking its thread beyond a deadline: the C
// library's lookup can take half a minute and cannot be interrupted, so it runs in a thread of its own that
// is left behind when it is late. At most one lookup is under way per resolver. Used by one thread.
class Resolver {
 public:
  explicit Resolver(std::string host);
  ~Resolver();

  // Numeric addresses in the order in which the system prefers them, at most max_addresses. When the lookup
  // fails or is late, the last answer is used again: trouble with DNS must not look like the death of a
  // database.
  std::expected<std::vector<std::string>, core::Failure> resolve(core::Instant deadline,
                                                                 const Waker& interrupt);

  static constexpr std::size_t max_addresses = 8;

 private:
  struct Lookup;
  std::string host_;
  std::shared_ptr<Lookup> lookup_;
  std::vector<std::string> last_;
};

}  // namespace pointsman::mysql
