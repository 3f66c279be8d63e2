#include "bench/writer.h"

#include <utility>

namespace pointsman::bench {

std::string create_table_statement(const std::string& table) {
  return "CREATE TABLE IF NOT EXISTS " + table +
         " (run INT UNSIGNED NOT NULL, writer INT UNSIGNED NOT NULL, n BIGINT UNSIGNED NOT NULL,"
         " server INT UNSIGNED NOT NULL, PRIMARY KEY (run, writer, n)) ENGINE=InnoDB";
}

std::expected<void, std::string> look_up_rows(testbed::Sql& sql, const std::string& table, unsigned run,
                                              std::vector<std::vector<Commit>>& writers) {
  for (std::size_t writer = 0; writer < writers.size(); ++writer) {
    const auto rows = sql.query("SELECT n, server FROM " + table + " WHERE run = " + std::to_string(run) +
                                " AND writer = " + std::to_string(writer) + " ORDER BY n");
    if (!rows) return std::unexpected(rows.error().text);
    auto row = rows->rows.begin();
    for (Commit& commit : writers[writer]) {  // both in the order of n
      const auto number_of = [](const testbed::Result::Row& r) { return std::stoull(r[0].value_or("0")); };
      while (row != rows->rows.end() && number_of(*row) < commit.number) ++row;
      const bool found = row != rows->rows.end() && number_of(*row) == commit.number;
      commit.server = found ? static_cast<unsigned>(std::stoul((*row)[1].value_or("0"))) : 0;
    }
  }
  return {};
}

Writer::Writer(Options options)
    : options_(std::move(options)), thread_([this](const std::stop_token& stop) { write(stop); }) {}

Writer::~Writer() {
  stop();
}

void stop_all(std::span<const std::unique_ptr<Writer>> writers) {
  for (const auto& writer : writers) writer->request_stop();
  for (const auto& writer : writers) writer->stop();
}

void Writer::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

std::vector<Commit> Writer::record() const {
  const std::scoped_lock lock(mutex_);
  return record_;
}

std::vector<Writer::Interruption> Writer::interruptions() const {
  const std::scoped_lock lock(mutex_);
  return interruptions_;
}

void Writer::write(const std::stop_token& stop) {
  while (!stop.stop_requested() && record_.size() < max_commits &&
         interruptions_.size() < max_interruptions) {
    if (sql_) {
      if (!wait_until_due(stop)) break;
      write_row(stop);
    } else {
      reconnect(stop);
    }
  }
  sql_.reset();
}

// false: it is to stop; also below.
bool Writer::wait_until_due(const std::stop_token& stop) {
  if (!options_.schedule) return true;
  const Moment due = options_.schedule->due(options_.number, record_.size());
  return Clock::now() >= due || wait_until(due, stop);
}

bool Writer::wait_until(Moment when, const std::stop_token& stop) {
  std::unique_lock lock(waiting_);
  wait_.wait_until(lock, stop, when, [] { return false; });
  return !stop.stop_requested();
}

void Writer::reconnect(const std::stop_token& stop) {
  auto connected = options_.connect();
  if (connected) {
    connected_ = Clock::now();
    sql_ = std::move(*connected);
    if (interrupted_) {
      const std::scoped_lock lock(mutex_);
      interruptions_.back().connected = connected_;
    }
    return;
  }
  failed_try(stop);
}

void Writer::failed_try(const std::stop_token& stop) {
  if (interrupted_) {
    const std::scoped_lock lock(mutex_);
    ++interruptions_.back().failed;
  }
  wait_until(Clock::now() + options_.pace.retry_pause, stop);
}

void Writer::write_row(const std::stop_token& stop) {
  const std::uint64_t number = next_++;
  const auto done =
      sql_->execute("INSERT INTO " + options_.table + " VALUES (" + std::to_string(options_.run) + ", " +
                    std::to_string(options_.number) + ", " + std::to_string(number) + ", @@server_id)");
  const Moment now = Clock::now();
  if (!done) {
    sql_.reset();
    if (interrupted_) return failed_try(stop);  // logged in, but not to a server that takes writes
    const std::scoped_lock lock(mutex_);
    interruptions_.push_back({.began = now, .connected = {}, .committed = {}, .error = done.error().text});
    interrupted_ = true;
    return;
  }
  {
    const std::scoped_lock lock(mutex_);
    record_.push_back({.number = number, .acknowledged = now});
    if (std::exchange(interrupted_, false)) interruptions_.back().committed = now;
  }
  committing_since_.store(connected_.time_since_epoch().count(), std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  if (options_.pace.think_time.count() > 0) wait_until(now + options_.pace.think_time, stop);
}

}  // namespace pointsman::bench
