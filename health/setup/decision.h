#pragma once

#include <cstddef>
#include <expected>
#include <set>
#include <string>
#include <vector>

#include "health/setup/survey.h"

namespace pointsman::setup {

// What the operator and the daemon say.
struct Wishes {
  std::string primary;              // "": found out
  std::set<std::string> overwrite;  // whose data may be thrown away
  std::string daemons_primary;      // whom a running daemon sends its clients to; "": nobody
};

enum class Action {
  adopt,   // it replicates from the primary already: nothing is touched
  follow,  // all that it has is the primary's, who still has the rest in its binary logs
  copy,    // the primary's data are copied to it, then it follows
};

struct Assignment {
  std::size_t server = 0;  // index in the list
  Action action = Action::copy;
  bool overwrite = false;  // of data
  std::string why;
};

struct Decision {
  std::size_t primary = 0;
  std::string why;                   // it is the primary
  std::vector<Assignment> replicas;  // every other server, in the order of the list

  bool nothing_to_do() const;
};

// Who becomes what. Pure. Error: every reason why not, each with what would help. The servers are of one
// flavour, with different server_ids.
std::expected<Decision, std::vector<std::string>> decide(const std::vector<Survey>& servers,
                                                         const Wishes& wishes);

// `replica` is configured to replicate from `source`, however its address was written.
bool replicates_from(const Survey& replica, const Survey& source);

}  // namespace pointsman::setup
