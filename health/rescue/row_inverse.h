#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "health/rescue/binlog_events.h"
#include "health/rescue/row_values.h"

namespace pointsman::rescue {

// Turns changes of rows in MySQL's binary log into those that undo them: what was inserted is deleted, what
// was deleted is inserted, and of an update the images before and after change places; the last row first.
// For changes of whole rows only (binlog_row_image = FULL). Pure; one thread.
//
// Foreign keys are not checked and nothing follows by them, because what is made here leads back to a state
// that was there, row by row, those that had followed included.
class RowInverse {
 public:
  // In the order of the binary log. What it says is why they cannot be undone.
  std::expected<void, std::string> add(const Event& event);

  // The format description of what follows, which has no checksums. Empty: none was seen.
  const std::string& format() const { return format_; }
  // A table map and the rows after it, to be applied one by one from the last to the first.
  const std::vector<std::string>& changes() const { return changes_; }

 private:
  struct Table {
    std::string map;  // the event
    std::vector<Column> columns;
  };

  std::expected<void, std::string> on_format(const Event& event);
  std::expected<void, std::string> on_rows(const Event& event, const RowsEvent& rows);

  std::string format_;
  std::map<std::uint64_t, Table> tables_;  // of the present transaction
  std::vector<std::string> changes_;
};

}  // namespace pointsman::rescue
