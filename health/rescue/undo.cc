#include "health/rescue/undo.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <ranges>
#include <utility>

#include <openssl/evp.h>

#include "health/mysql/concat.h"
#include "health/mysql/quote.h"
#include "health/rescue/binlog_program.h"
#include "health/rescue/files.h"
#include "health/rescue/row_inverse.h"

namespace pointsman::rescue {

using core::Failure;
using core::Flavour;
using mysql::concat;
using mysql::quote;

namespace {

// A lock on the server that was not got in time is no verdict on the undo.
constexpr unsigned lock_wait_timeout_errno = 1205;
constexpr unsigned deadlock_errno = 1213;
// Somebody made the server more read-only than we need it.
constexpr unsigned read_only_errno = 1290;
constexpr std::string_view statement_begin = "BINLOG '";
constexpr std::size_t line_bytes = 57;      // 76 letters, as the programs write them
constexpr std::size_t packet_spare = 1024;  // of max_allowed_packet, for what is round a statement's text

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

// The rows are written to the binary log whole, so that this too could be undone.
constexpr std::string_view whole_rows =
    "SET SESSION binlog_row_image = FULL, SESSION binlog_row_value_options = '',"
    " SESSION binlog_transaction_compression = OFF";

// The next transaction of this session gets the marker's GTID. MariaDB: one after the other, as a number is
// judged by the domain that is set at that moment.
std::expected<void, Failure> begin(ServerCall& call, const Record& record) {
  if (record.flavour == Flavour::mysql) {
    if (auto set = call.run(whole_rows); !set) return set;
    if (auto set = call.run("SET SESSION gtid_next = " + quote(record.marker)); !set) return set;
  } else {
    const auto domain = record.marker.substr(0, record.marker.find('-'));
    const auto sequence = record.marker.substr(record.marker.rfind('-') + 1);
    if (auto set = call.run("SET SESSION gtid_domain_id = " + domain); !set) return set;
    if (auto set = call.run("SET SESSION gtid_seq_no = " + sequence); !set) return set;
  }
  return call.run("START TRANSACTION");
}

std::expected<void, Failure> send(ServerCall& call, const Record& record) {
  // The first is the format description, which is about the session; the rest changes rows.
  bool described = false;
  auto sent = each_statement(
      record.directory / undo_name, [&](const std::string& sql) -> std::expected<void, Failure> {
        if (auto done = call.run_long(sql, "the undo"); !done) return done;
        return std::exchange(described, true) ? std::expected<void, Failure>() : begin(call, record);
      });
  if (!sent) return sent;
  if (!described)
    return std::unexpected(unsupported("there is nothing in " + (record.directory / undo_name).string()));
  if (auto done = call.run_long("COMMIT", "COMMIT of the undo"); !done) return done;
  // After a transaction with a GTID of its own a session says for each of the next whose it is.
  return record.flavour == Flavour::mysql ? call.run("SET SESSION gtid_next = AUTOMATIC")
                                          : std::expected<void, Failure>();
}

// As a server takes it, base64 in lines.
std::string binlog_statement(std::string_view events) {
  std::string out = concat(statement_begin, "\n");
  std::array<unsigned char, line_bytes / 3 * 4 + 1> line{};  // it is ended with a zero
  for (std::size_t at = 0; at < events.size(); at += line_bytes) {
    const auto part = events.substr(at, line_bytes);
    const int letters = EVP_EncodeBlock(line.data(), reinterpret_cast<const unsigned char*>(part.data()),
                                        static_cast<int>(part.size()));
    out.append(reinterpret_cast<const char*>(line.data()), static_cast<std::size_t>(letters));
    out += '\n';
  }
  return out + "'";
}

std::expected<void, Failure> flashback(LimitedFile& file, const Record& record, const Order& order,
                                       core::Instant deadline) {
  const auto program = BinlogProgram::find(order.binlog_program, order.flavour);
  if (!program) return std::unexpected(program.error());
  const BinlogProgram::Run run{
      .arguments = {"--flashback", "--skip-annotate-row-events", (record.directory / binlog_name).string()},
      .deadline = deadline,
      .stop = order.stop};
  return program->run(run, [&](std::size_t, std::string_view bytes) { return file.write(bytes); });
}

std::expected<std::string, Failure> invert(ServerCall& call, LimitedFile& file, const Record& record) {
  const auto path = record.directory / binlog_name;
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::unexpected(unsupported("cannot read " + path.string()));
  BinlogReader reader;
  RowInverse inverse;
  std::array<char, 1 << 16> piece{};
  while (in.read(piece.data(), piece.size()), in.gcount() > 0) {
    const std::string_view bytes(piece.data(), static_cast<std::size_t>(in.gcount()));
    if (auto fed = reader.feed(bytes, [&](const Event& event) { return inverse.add(event); }); !fed)
      return fed.error();
  }
  if (in.bad() || !reader.complete() || inverse.format().empty())
    return std::unexpected(unsupported(path.string() + " is not whole"));

  const auto packet = call.query("SELECT @@session.max_allowed_packet");
  if (!packet) return std::unexpected(packet.error());
  const auto most = mysql::to_number(packet->at(0, 0).value_or("0"));
  const auto write = [&file](const std::string& statement) { return file.write(statement + ";\n"); };
  if (auto done = write(binlog_statement(inverse.format())); !done) return std::unexpected(done.error());
  for (const auto& change : std::views::reverse(inverse.changes())) {
    const auto statement = binlog_statement(change);
    if (statement.size() + packet_spare > most)
      return concat("a change of rows has ", change.size() >> 10U,
                    " KiB, which is too much for one statement (max_allowed_packet)");
    if (auto done = write(statement); !done) return std::unexpected(done.error());
  }
  return std::string();
}

}  // namespace

std::expected<std::string, Failure> write_undo(ServerCall& call, const Record& record, const Order& order) {
  auto file =
      LimitedFile::create(record.directory / undo_name, {order.limits.saved_bytes, order.limits.spare_bytes});
  if (!file) return std::unexpected(file.error());
  if (record.flavour == Flavour::mysql) {
    auto why = invert(call, *file, record);
    if (!why || !why->empty()) return why;
  } else if (auto done = flashback(*file, record, order, call.deadline()); !done) {
    return std::unexpected(done.error());
  }
  if (auto synced = file->sync(); !synced) return std::unexpected(synced.error());
  return std::string();
}

std::expected<std::string, Failure> apply_undo(ServerCall& call, const Record& record) {
  const auto done = send(call, record);
  if (done) return std::string();
  // Rolled back by the server at the end of the session at the latest; the lock of this call goes with it.
  call.session().close();
  const auto& error = done.error();
  // Of an account that was made for an older version of ours.
  if (record.flavour == Flavour::mysql && error.kind == core::FailureKind::denied)
    return "the monitor account lacks a privilege: " + error.text;
  const bool verdict = error.kind == core::FailureKind::server_error &&
                       error.server_errno != lock_wait_timeout_errno &&
                       error.server_errno != deadlock_errno && error.server_errno != read_only_errno;
  if (verdict) return "the server refused the undo: " + error.text;
  return std::unexpected(error);
}

}  // namespace pointsman::rescue
