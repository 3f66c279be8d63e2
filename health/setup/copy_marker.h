#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "health/setup/admin.h"

// The mark on a MariaDB server that a copy is being made of, in a schema of its own that no binary log knows:
// what is on a server that has it may be thrown away while it says `loading`, and is a whole copy when it
// says `whole`. MySQL needs none: the server itself knows of a clone that did not end.
namespace pointsman::setup {

inline constexpr const char* mark_schema = "pointsman_copy";

struct CopyMark {
  bool whole = false;
  std::string donor;            // its name
  std::string event_scheduler;  // what it was before, "ON" or "OFF"
};

std::expected<std::optional<CopyMark>, core::Failure> read_copy_mark(Admin& admin);
Outcome write_copy_mark(Admin& admin, const CopyMark& mark);
Outcome drop_copy_mark(Admin& admin);  // also when there is none

std::vector<std::string> write_mark_statements(const CopyMark& mark);
std::vector<std::string> drop_mark_statements();

}  // namespace pointsman::setup
