#include "bench/workload.h"

#include <algorithm>

namespace pointsman::bench {

namespace {

constexpr const char* bulk_lua = R"lua(-- One row of 1 MB a query.
function prepare()
  local con = sysbench.sql.driver():connect()
  con:query("CREATE TABLE sbbulk (id INT PRIMARY KEY, payload LONGBLOB NOT NULL)")
  for id = 1, 16 do
    con:query(string.format("INSERT INTO sbbulk VALUES (%d, REPEAT(CHAR(64 + %d), 1000000))", id, id))
  end
  con:disconnect()
end

function thread_init()
  con = sysbench.sql.driver():connect()
end

function event()
  con:query("SELECT payload FROM sbbulk WHERE id = " .. sysbench.rand.uniform(1, 16))
end

function thread_done()
  con:disconnect()
end
)lua";

// The query is what makes it count: sysbench counts neither connects nor disconnects.
constexpr const char* connect_lua = R"lua(-- Connect, one query, disconnect.
function thread_init()
  driver = sysbench.sql.driver()
end

function event()
  local con = driver:connect()
  con:query("SELECT 1")
  con:disconnect()
end
)lua";

}  // namespace

const char* to_string(Workload workload) {
  switch (workload) {
    case Workload::point_select:
      return "point-select";
    case Workload::read_write:
      return "read-write";
    case Workload::bulk:
      return "bulk";
    case Workload::connect:
      return "connect";
  }
  return "?";
}

std::expected<Workload, std::string> parse_workload(const std::string& name) {
  const auto found =
      std::ranges::find_if(all_workloads, [&name](Workload workload) { return to_string(workload) == name; });
  if (found != all_workloads.end()) return *found;
  std::string known;
  for (const Workload workload : all_workloads)
    known += std::string(known.empty() ? "" : ", ") + to_string(workload);
  return std::unexpected("no workload '" + name + "'; there are " + known);
}

Script script_of(Workload workload) {
  switch (workload) {
    case Workload::point_select:
      return {.builtin = "oltp_point_select"};
    case Workload::read_write:
      return {.builtin = "oltp_read_write"};
    case Workload::bulk:
      return {.lua = bulk_lua};
    case Workload::connect:
      return {.lua = connect_lua};
  }
  return {};
}

}  // namespace pointsman::bench
