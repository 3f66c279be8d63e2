#include "bench/chaos_audit.h"

#include <utility>

namespace pointsman::bench {

namespace {

const std::string the_log = "app.writes_log";
const std::string the_counts = "app.writes_count";

// The application defines the trigger, so that its privileges, and not root's, are those of what it writes.
std::vector<std::string> table_statements(const std::string& table, const std::string& user) {
  return {"CREATE TABLE " + the_log +
              " (run INT UNSIGNED NOT NULL, writer INT UNSIGNED NOT NULL, n BIGINT UNSIGNED NOT NULL,"
              " server INT UNSIGNED NOT NULL, KEY (run, writer, n)) ENGINE=InnoDB",
          "CREATE TABLE " + the_counts +
              " (run INT UNSIGNED NOT NULL, writer INT UNSIGNED NOT NULL, n BIGINT UNSIGNED NOT NULL,"
              " PRIMARY KEY (run, writer)) ENGINE=InnoDB",
          "CREATE DEFINER=" + testbed::quote(user) + "@'%' TRIGGER app.writes_logged AFTER INSERT ON " +
              table + " FOR EACH ROW BEGIN INSERT INTO " + the_log +
              " VALUES (NEW.run, NEW.writer, NEW.n, NEW.server); UPDATE " + the_counts +
              " SET n = n + 1 WHERE run = NEW.run AND writer = NEW.writer; END"};
}

}  // namespace

std::expected<std::string, std::string> Audit::ask(std::size_t server, const std::string& sql) {
  auto root = stage_.server(server).root();
  if (!root) return std::unexpected(root.error().text);
  auto answer = root->scalar(sql);
  if (!answer) return std::unexpected(answer.error().text);
  return *answer;
}

Audit::Outcome Audit::prepare(std::size_t primary) {
  auto root = stage_.server(primary).root();
  if (!root) return std::unexpected(root.error().text);
  const auto made =
      root->execute_all(table_statements(stage_.table(), stage_.cluster().accounts().application.user));
  if (!made) return std::unexpected(made.error().text);
  return {};
}

Audit::Outcome Audit::begin_run(unsigned run, unsigned writers) {
  auto sql = stage_.hosts().connect(stage_.cluster().accounts().application);
  if (!sql) return std::unexpected("through the proxy: " + sql.error().text);
  std::string rows;
  for (unsigned i = 0; i < writers; ++i)
    rows += (i == 0 ? "(" : ", (") + std::to_string(run) + ", " + std::to_string(i) + ", 0)";
  const auto done = sql->execute("INSERT INTO " + the_counts + " VALUES " + rows);
  if (!done) return std::unexpected("through the proxy: " + done.error().text);
  return {};
}

std::expected<Audit::Fingerprints, std::string> Audit::fingerprints(std::size_t server,
                                                                    const std::string& table,
                                                                    const std::string& condition) {
  auto root = stage_.server(server).root();
  if (!root) return std::unexpected(root.error().text);
  const auto rows = root->query(
      "SELECT run, COUNT(*), BIT_XOR(CRC32(CONCAT_WS(',', run, writer, n, server))), SUM(n) FROM " + table +
      " WHERE " + condition + " GROUP BY run ORDER BY run");
  if (!rows) return std::unexpected(rows.error().text);
  Fingerprints found;
  for (const auto& row : rows->rows)
    found[static_cast<unsigned>(std::stoul(row[0].value_or("0")))] =
        row[1].value_or("") + " rows, checksum " + row[2].value_or("") + ", sum " + row[3].value_or("");
  return found;
}

Audit::Outcome Audit::compare(std::size_t primary, const std::string& condition, const Fingerprints& wanted) {
  for (const std::size_t server : {primary, Stage::other(primary)}) {
    for (const std::string& table : {stage_.table(), the_log}) {
      const auto found = fingerprints(server, table, condition);
      if (!found) return std::unexpected(found.error());
      if (*found == wanted) continue;
      std::string text = table + " on " + stage_.server(server).name() + " is not what it was, or was on " +
                         stage_.server(primary).name() + ":";
      for (const auto& [run, print] : wanted) {
        const auto other = found->find(run);
        if (other == found->end() || other->second != print)
          text += " round " + std::to_string(run) + " had " + print + " and has " +
                  (other == found->end() ? "nothing" : other->second) + ";";
      }
      for (const auto& [run, print] : *found) {
        if (!wanted.contains(run))
          text += " round " + std::to_string(run) + " had nothing and has " + print + ";";
      }
      return std::unexpected(text);
    }
  }
  return {};
}

Audit::Outcome Audit::compare_counts(unsigned run, std::size_t server) {
  const std::string condition = "run = " + std::to_string(run);
  const auto wrong = ask(
      server,
      "SELECT GROUP_CONCAT(CONCAT('writer ', c.writer, ' counted ', c.n, ' of ', l.rows_of_it)) FROM " +
          the_counts + " c JOIN (SELECT writer, COUNT(*) rows_of_it FROM " + the_log + " WHERE " + condition +
          " GROUP BY writer) l ON c.writer = l.writer WHERE c." + condition + " AND c.n <> l.rows_of_it");
  if (!wrong) return std::unexpected(wrong.error());
  if (!wrong->empty())
    return std::unexpected("round " + std::to_string(run) + " on " + stage_.server(server).name() + ": " +
                           *wrong);
  return {};
}

Audit::Outcome Audit::end_run(unsigned run, std::size_t primary, std::vector<std::vector<Commit>>& writers,
                              Count& count) {
  for (const auto& commits : writers) count.acknowledged += commits.size();
  if (auto found = stage_.look_up(primary, run, writers); !found) return found;
  count.missing = count_missing(writers);

  const std::string condition = "run = " + std::to_string(run);
  const auto twice =
      ask(primary, "SELECT COUNT(*) - COUNT(DISTINCT writer, n) FROM " + the_log + " WHERE " + condition);
  if (!twice) return std::unexpected(twice.error());
  count.duplicates = std::stoull(*twice);
  const auto rows = ask(primary, "SELECT COUNT(*) FROM " + stage_.table() + " WHERE " + condition);
  if (!rows) return std::unexpected(rows.error());
  count.rows = std::stoull(*rows);

  if (count.missing > 0)
    return std::unexpected(std::to_string(count.missing) + " of " + std::to_string(count.acknowledged) +
                           " acknowledged rows are not on " + stage_.server(primary).name());
  if (count.duplicates > 0)
    return std::unexpected(std::to_string(count.duplicates) + " rows are twice on " +
                           stage_.server(primary).name());
  const auto print = fingerprints(primary, stage_.table(), condition);
  if (!print) return std::unexpected(print.error());
  if (auto same = compare(primary, condition, *print); !same) return same;
  for (const std::size_t server : {primary, Stage::other(primary)}) {
    if (auto same = compare_counts(run, server); !same) return same;
  }
  known_.insert(print->begin(), print->end());
  return {};
}

Audit::Outcome Audit::again(std::size_t primary) {
  return compare(primary, "TRUE", known_);
}

}  // namespace pointsman::bench
