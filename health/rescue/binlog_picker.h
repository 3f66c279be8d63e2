#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "health/core/gtid_set.h"
#include "health/rescue/binlog_events.h"

namespace pointsman::rescue {

// Takes given transactions out of a server's binary logs, in their order, and writes them as one binary log
// file; and judges on the way whether they could be undone row by row. Fed with whole files, one after
// another, that begin before the first of them. One thread.
class BinlogPicker {
 public:
  // What it says ends the picking.
  using Write = std::function<std::expected<void, std::string>(std::string_view)>;
  struct Table {
    std::string database;
    std::string name;
    // Nothing can have followed its rows by foreign keys that is not in the binary log: nothing was updated
    // or deleted, or MySQL says that it has written what followed.
    bool only_inserts = true;
    auto operator<=>(const Table&) const = default;
  };

  BinlogPicker(core::Flavour flavour, const core::GtidSet& wanted, Write write)
      : flavour_(flavour), wanted_(wanted), has_tags_(has_tags(wanted)), write_(std::move(write)) {}

  // MySQL: the GTID events of transactions with a tag are not read, so when some are wanted the server has to
  // choose what it sends, and everything that it sends is taken.
  static bool has_tags(const core::GtidSet& set);

  std::expected<void, std::string> feed(std::string_view bytes);
  // Error: the file ended in the middle of an event or of a wanted transaction.
  std::expected<void, std::string> end_file();

  std::uint64_t transactions() const { return transactions_; }
  std::uint64_t bytes() const { return bytes_; }
  // Which of them were seen. MySQL: without those that have a tag, which are counted only.
  const core::GtidSet& found() const { return found_; }
  // Why they could not be undone, for the operator; "": nothing seen that speaks against it. Table
  // engines are not in the binary log; that they are InnoDB's is for the caller to ask.
  const std::string& why_not() const { return why_not_; }
  std::vector<Table> tables() const;
  // Whether the server was started when the first file that holds some of them was begun.
  bool begins_with_start() const { return begins_with_start_; }
  // Whether it was started between the first and the last of them.
  bool started_between() const { return started_between_; }
  // Whether the run of the server that wrote the last of them ended by a shutdown, which a killed server does
  // not note.
  bool shut_down_after() const { return shut_down_after_; }

 private:
  std::expected<void, std::string> on(const Event& event);
  bool begins_group(const Event& event) const;
  std::expected<void, std::string> begin_group(const Event& event);
  std::expected<void, std::string> keep(const Event& event);
  void judge(const Event& event);
  void judge_rows(const RowsEvent& rows);
  void object(const std::string& why);

  const core::Flavour flavour_;
  const core::GtidSet wanted_;
  const bool has_tags_;
  const Write write_;
  BinlogReader reader_;
  std::string format_;          // the format description of the present file
  std::string written_format_;  // the last one that was written
  bool file_begins_run_ = false;
  bool begins_with_start_ = false;
  bool started_since_first_ = false;
  bool started_since_last_ = false;
  bool started_between_ = false;
  bool shut_down_after_ = false;
  bool taking_ = false;  // within a wanted transaction
  std::string gtid_;     // of the present transaction
  std::uint64_t transactions_ = 0;
  std::uint64_t bytes_ = 0;
  core::GtidSet found_;
  std::string why_not_;
  std::map<std::uint64_t, std::pair<std::string, std::string>> maps_;  // table ids of the present transaction
  std::map<std::pair<std::string, std::string>, bool> tables_;         // only inserts
};

}  // namespace pointsman::rescue
