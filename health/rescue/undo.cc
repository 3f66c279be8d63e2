#include "health/rescue/undo.h"

#include <fstream>
#include <functional>
#include <utility>

#include "health/mysql/clean_text.h"
#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/rescue/files.h"

namespace pointsman::rescue {

using core::Failure;
using mysql::concat;
using mysql::quote;

namespace {

// A lock on the server that was not got in time is no verdict on the undo.
constexpr unsigned lock_wait_timeout_errno = 1205;
constexpr unsigned deadlock_errno = 1213;
constexpr std::string_view statement_begin = "BINLOG '";

// A literal, as bytes, in the character set in which InnoDB has it.
std::string file_name_of(const std::string& name) {
  return concat("CAST(CONVERT(_utf8mb4", quote(name), " USING filename) AS BINARY)");
}

// As InnoDB names tables.
std::string innodb_name(const BinlogPicker::Table& table) {
  return concat("CONCAT(", file_name_of(table.database), ", '/', ", file_name_of(table.name), ")");
}

// The monitor account may read InnoDB's own tables of names (PROCESS), but not the tables of the users.
std::expected<std::string, Failure> why_not_table(ServerCall& call, const BinlogPicker::Table& table) {
  const auto shown = mysql::clean_text(table.database + "." + table.name);
  const auto name = innodb_name(table);
  // A table in partitions is there once for each: app/t#P#p0.
  const auto there =
      call.query(concat("SELECT COUNT(*) FROM information_schema.INNODB_SYS_TABLES WHERE"
                        " SUBSTRING_INDEX(REPLACE(CAST(NAME AS BINARY), '#p#', '#P#'), '#P#', 1) = ",
                        name));
  if (!there) return std::unexpected(there.error());
  if (mysql::to_number(there->at(0, 0).value_or("0")) == 0) return shown + " is no InnoDB table";

  const auto versioned = call.query(concat(
      "SELECT COUNT(*) FROM information_schema.INNODB_SYS_COLUMNS c JOIN information_schema.INNODB_SYS_TABLES"
      " t USING (TABLE_ID) WHERE CAST(t.NAME AS BINARY) = ",
      name, " AND c.PRTYPE & 49152 <> 0"));
  if (!versioned) return std::unexpected(versioned.error());
  if (mysql::to_number(versioned->at(0, 0).value_or("0")) != 0)
    return shown + " is system-versioned, and an undo would become part of its history";

  if (table.only_inserts) return "";
  const auto children = call.query(concat(
      "SELECT FOR_NAME FROM information_schema.INNODB_SYS_FOREIGN WHERE CAST(REF_NAME AS BINARY) = ", name,
      " AND TYPE & 15 <> 0 LIMIT 1"));
  if (!children) return std::unexpected(children.error());
  if (children->empty()) return "";
  return concat("rows of ", shown, " were changed or deleted, ",
                mysql::clean_text(children->text(0, {"FOR_NAME"})),
                " follows them by a foreign key, and what that changed is not in the binary log");
}

// Calls `apply` with each BINLOG statement of the file, in order, without what stands round it.
std::expected<void, Failure> each_statement(
    const std::filesystem::path& path,
    const std::function<std::expected<void, Failure>(const std::string&)>& apply) {
  std::ifstream in(path);
  if (!in) return std::unexpected(unsupported("cannot read " + path.string()));
  std::string line;
  std::string statement;
  while (std::getline(in, line)) {
    if (statement.empty() && !line.starts_with(statement_begin)) {
      if (line.find("binlog_fragment") != std::string::npos)
        return std::unexpected(
            unsupported("a change of rows in " + path.string() + " is too large for one statement"));
      continue;
    }
    const auto end = line.find('\'', statement.empty() ? statement_begin.size() : 0);
    statement += line.substr(0, end) + "\n";
    if (end == std::string::npos) continue;
    statement += "'";
    if (auto done = apply(statement); !done) return done;
    statement.clear();
  }
  if (!statement.empty())
    return std::unexpected(unsupported(path.string() + " ends in the middle of a statement"));
  return {};
}

std::expected<void, Failure> send(ServerCall& call, const Record& record) {
  // The GTID of the next transaction of this session. One after the other: a number is judged by the domain
  // that is set at that moment.
  const auto domain = record.marker.substr(0, record.marker.find('-'));
  const auto sequence = record.marker.substr(record.marker.rfind('-') + 1);
  if (auto set = call.run("SET SESSION gtid_domain_id = " + domain); !set) return set;
  if (auto set = call.run("SET SESSION gtid_seq_no = " + sequence); !set) return set;
  // The first is the format description, which is about the session; the rest changes rows.
  bool described = false;
  auto sent = each_statement(record.directory / undo_name,
                             [&](const std::string& sql) -> std::expected<void, Failure> {
                               if (auto done = call.run_long(sql, "the undo"); !done) return done;
                               return std::exchange(described, true) ? std::expected<void, Failure>()
                                                                     : call.run("START TRANSACTION");
                             });
  if (!sent) return sent;
  if (!described)
    return std::unexpected(unsupported("there is nothing in " + (record.directory / undo_name).string()));
  return call.run_long("COMMIT", "COMMIT of the undo");
}

}  // namespace

std::expected<std::string, Failure> why_no_flashback(ServerCall& call, const Record& record,
                                                     const Limits& limits) {
  if (!record.why_not.empty()) return record.why_not;
  if (record.bytes > limits.undo_bytes)
    return concat("they have ", record.bytes >> 20U, " MiB, and at most ", limits.undo_bytes >> 20U,
                  " MiB are undone in one transaction");
  const auto triggers = call.query("SELECT @@global.slave_run_triggers_for_rbr");
  if (!triggers) return std::unexpected(triggers.error());
  if (triggers->at(0, 0).value_or("") != "NO")
    return std::string("slave_run_triggers_for_rbr is not NO, so that triggers would act on the undo");
  for (const auto& table : record.tables) {
    auto why = why_not_table(call, table);
    if (!why || !why->empty()) return why;
  }
  return std::string();
}

std::expected<void, Failure> write_undo(const Record& record, const Order& order,
                                        const BinlogProgram& program, core::Instant deadline) {
  auto file =
      LimitedFile::create(record.directory / undo_name, {order.limits.saved_bytes, order.limits.spare_bytes});
  if (!file) return std::unexpected(file.error());
  const BinlogProgram::Run run{
      .arguments = {"--flashback", "--skip-annotate-row-events", (record.directory / binlog_name).string()},
      .deadline = deadline,
      .stop = order.stop};
  auto done = program.run(run, [&](std::size_t, std::string_view bytes) { return file->write(bytes); });
  return done ? file->sync() : done;
}

std::expected<std::string, Failure> apply_undo(ServerCall& call, const Record& record) {
  const auto done = send(call, record);
  if (done) return std::string();
  // Rolled back by the server at the end of the session at the latest; the lock of this call goes with it.
  call.session().close();
  const auto& error = done.error();
  const bool verdict = error.kind == core::FailureKind::server_error &&
                       error.server_errno != lock_wait_timeout_errno && error.server_errno != deadlock_errno;
  if (verdict) return "the server refused the undo: " + error.text;
  return std::unexpected(error);
}

}  // namespace pointsman::rescue
