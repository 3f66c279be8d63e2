#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "health/core/server_report.h"
#include "health/mysql/connection.h"
#include "health/mysql/result_table.h"

// What the two dialects have in common when they read the server's answers and write statements.
namespace pointsman::mysql {

// A statement whose answer is of no interest. `shown` as in Connection::query().
std::expected<void, core::Failure> run(Connection& connection, std::string_view sql, core::Instant deadline,
                                       std::string_view shown = {});

// All of SHOW REPLICA STATUS that has the same meaning in both products, under its old and its new column
// names. Not: received, by_gtid, and the heartbeats in events_received.
core::ReplicaStatus parse_common_replica(const ResultTable& table, std::size_t row);

// The row whose `column` is empty: the connection without a name, or the channel. The servers promise no
// order.
std::size_t own_channel(const ResultTable& table, std::string_view column);

// A GTID set that cannot be read is a failure of kind unsupported that names where it stood.
std::expected<core::GtidSet, core::Failure> parse_gtids(core::Flavour flavour, std::string_view text,
                                                        std::string_view what, const Connection& connection);

// Whether a semi-synchronous source waits for a replica for ever: columns semi_source, semi_waits_alone,
// semi_timeout.
bool insists(const ResultTable& variables);

// Of a table of names and values (SHOW STATUS): the value, "" when there is none.
std::string_view named_value(const ResultTable& table, std::string_view name);

// "0.250": for the timeouts of both products, which are decimal seconds with at most milliseconds.
std::string seconds_text(core::Duration duration);

// A server that connects to "localhost" may take its own socket file, that is, itself.
std::string network_host(const std::string& host);

}  // namespace pointsman::mysql
