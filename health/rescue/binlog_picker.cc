#include "health/rescue/binlog_picker.h"

#include <algorithm>

#include "health/mysql/clean_text.h"

namespace pointsman::rescue {
namespace {

constexpr std::size_t flags_at = 17;
constexpr char in_use_flag = 1;  // LOG_EVENT_BINLOG_IN_USE_F; not covered by the checksum
constexpr std::size_t max_shown = 80;

// In a server's files only the times and positions of format descriptions differ as long as it keeps its
// version and its checksum.
bool same_format(std::string_view a, std::string_view b) {
  if (a.size() != b.size() || a.size() < format_created_at + 4 + 4) return false;
  const auto told = [](std::string_view event) { return event.substr(19, 52); };
  const auto lengths = [](std::string_view event) {
    return event.substr(format_created_at + 4, event.size() - format_created_at - 4 - 4);
  };
  return told(a) == told(b) && lengths(a) == lengths(b);
}

// "created" is the time of the server's start in the first file that it begins, 0 in those that follow by
// rotation.
bool begins_run(std::string_view format) {
  if (format.size() < format_created_at + 4) return true;
  const auto created = format.substr(format_created_at, 4);
  return std::ranges::any_of(created, [](char byte) { return byte != 0; });
}

// Between transactions; of no use in a file of our own.
bool stands_alone(EventType type) {
  switch (type) {
    case EventType::stop:
    case EventType::rotate:
    case EventType::heartbeat:
    case EventType::heartbeat_v2:
    case EventType::previous_gtids:
    case EventType::binlog_checkpoint:
    case EventType::mariadb_gtid_list:
    case EventType::start_encryption:
      return true;
    default:
      return false;
  }
}

std::string shown(std::string_view sql) {
  auto text = mysql::clean_text(sql.substr(0, max_shown));
  return sql.size() > max_shown ? text + "..." : text;
}

}  // namespace

bool BinlogPicker::has_tags(const core::GtidSet& set) {
  return std::ranges::any_of(set.newest(), [](const auto& newest) { return newest.first.contains(':'); });
}

std::expected<void, std::string> BinlogPicker::feed(std::string_view bytes) {
  return reader_.feed(bytes, [this](const Event& event) { return on(event); });
}

std::expected<void, std::string> BinlogPicker::end_file() {
  if (!reader_.complete()) return std::unexpected("the binary log came to its end in the middle of an event");
  reader_ = {};
  taking_ = false;
  return {};
}

std::expected<void, std::string> BinlogPicker::on(const Event& event) {
  if (event.type == EventType::format_description) {
    format_ = event.bytes;
    file_begins_run_ = begins_run(event.bytes);
    started_since_first_ = started_since_first_ || (transactions_ > 0 && file_begins_run_);
    started_since_last_ = started_since_last_ || file_begins_run_;
    format_[flags_at] = static_cast<char>(format_[flags_at] & ~in_use_flag);
    taking_ = false;
    return {};
  }
  if (event.type == EventType::stop && transactions_ > 0 && !started_since_last_) shut_down_after_ = true;
  if (stands_alone(event.type)) return {};
  if (begins_group(event)) {
    if (auto begun = begin_group(event); !begun) return begun;
  }
  if (!taking_) return {};
  judge(event);
  return keep(event);
}

bool BinlogPicker::begins_group(const Event& event) const {
  if (flavour_ == core::Flavour::mariadb) return event.type == EventType::mariadb_gtid;
  return event.type == EventType::mysql_gtid || event.type == EventType::mysql_gtid_tagged ||
         event.type == EventType::mysql_anonymous_gtid;
}

std::expected<void, std::string> BinlogPicker::begin_group(const Event& event) {
  maps_.clear();
  std::string exact;
  if (flavour_ == core::Flavour::mariadb) {
    const auto gtid = read_mariadb_gtid(event);
    if (!gtid) return std::unexpected("a GTID event that cannot be read in the binary log");
    gtid_ = gtid->text();
    exact = gtid_ + ".." + std::to_string(gtid->sequence);
  } else if (event.type == EventType::mysql_gtid) {
    const auto gtid = read_mysql_gtid(event);
    if (!gtid) return std::unexpected("a GTID event that cannot be read in the binary log");
    exact = gtid_ = *gtid;
  } else {
    // Those with a tag are not read: when some are wanted, the server chose what to send.
    taking_ = event.type == EventType::mysql_gtid_tagged && has_tags_;
    gtid_ = event.type == EventType::mysql_gtid_tagged ? "a transaction with a tag"
                                                       : "a transaction without a GTID";
    if (taking_) ++transactions_;
    if (!taking_ && transactions_ > 0) object(gtid_ + ", which the primary has, was written after them");
    return {};
  }
  const auto one = core::GtidSet::parse(flavour_, exact);
  if (!one) return std::unexpected(one.error());
  taking_ = wanted_.contains(*one);
  if (taking_) {
    if (transactions_ == 0) begins_with_start_ = file_begins_run_;
    started_between_ = started_between_ || started_since_first_;
    started_since_last_ = shut_down_after_ = false;
    ++transactions_;
    found_ = found_.united(*one);
  } else if (transactions_ > 0) {
    object(gtid_ + ", which the primary has, was written after them");
  }
  return {};
}

std::expected<void, std::string> BinlogPicker::keep(const Event& event) {
  if (!same_format(format_, written_format_)) {
    if (format_.empty()) return std::unexpected("a binary log without a format description");
    const std::string begin = written_format_.empty() ? std::string(binlog_magic) + format_ : format_;
    if (auto done = write_(begin); !done) return done;
    bytes_ += begin.size();
    written_format_ = format_;
  }
  bytes_ += event.bytes.size();
  return write_(event.bytes);
}

void BinlogPicker::object(const std::string& why) {
  if (why_not_.empty()) why_not_ = why;
}

void BinlogPicker::judge(const Event& event) {
  if (const auto gtid = read_mariadb_gtid(event)) {
    if ((gtid->flags & MariaDbGtid::xa) != 0) return object(gtid_ + " is part of an XA transaction");
    return;  // a statement of its own is told better by its text, which follows
  }
  if (const auto map = read_table_map(event)) {
    maps_[map->id] = {map->database, map->table};
    return;
  }
  if (const auto rows = read_rows(event)) return judge_rows(*rows);
  if (const auto query = read_query(event)) {
    if (query->sql == "BEGIN" || query->sql.starts_with("SAVEPOINT ")) return;
    if (query->sql == "COMMIT") return object(gtid_ + " changed a table that has no transactions");
    return object(gtid_ + " is a statement, not a change of rows: " + shown(query->sql));
  }
  switch (event.type) {
    case EventType::mysql_gtid:
    case EventType::xid:
    case EventType::annotate_rows:
    case EventType::rows_query:
      return;
    case EventType::mysql_gtid_tagged:
      return object("their GTIDs have tags");
    case EventType::xa_prepare:
      return object(gtid_ + " is part of an XA transaction");
    case EventType::partial_update_rows:
      return object(gtid_ +
                    " has only a part of the JSON documents that it changed (binlog_row_value_options)");
    case EventType::transaction_payload:
      return object(gtid_ + " is compressed (binlog_transaction_compression)");
    default:
      object(gtid_ + " has something else than changes of rows (event type " +
             std::to_string(static_cast<unsigned>(event.type)) + ")");
  }
}

void BinlogPicker::judge_rows(const RowsEvent& rows) {
  const auto map = maps_.find(rows.table_id);
  if (map == maps_.end()) return object(gtid_ + " changes rows of a table that it does not name");
  bool& only_inserts = tables_.try_emplace(map->second, true).first->second;
  const bool cascades_logged =
      flavour_ == core::Flavour::mysql && (rows.flags & RowsEvent::cascades_logged) != 0;
  if (rows.kind != RowsEvent::Kind::write && !cascades_logged) only_inserts = false;
  if (!rows.full_image) {
    object(gtid_ + " has not all columns of the rows that it changed in " + map->second.first + "." +
           map->second.second + " (binlog_row_image was not FULL)");
  }
}

std::vector<BinlogPicker::Table> BinlogPicker::tables() const {
  std::vector<Table> list;
  list.reserve(tables_.size());
  for (const auto& [name, only_inserts] : tables_) list.push_back({name.first, name.second, only_inserts});
  return list;
}

}  // namespace pointsman::rescue
