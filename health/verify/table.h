#pragma once

#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "health/core/server_report.h"
#include "health/verify/peer.h"

namespace pointsman::verify {

// A table as one server describes it, and the SQL that reads it in chunks.
struct Table {
  struct Column {
    std::string name;
    std::string type;  // DATA_TYPE: "varchar"
    std::string definition;
    bool nullable = false;
  };

  std::string database;
  std::string name;
  std::vector<Column> columns;
  std::vector<std::size_t> key;  // indices of columns; empty: none by which chunks can be cut

  std::string shown() const { return database + "." + name; }
  // A text that differs when the columns do.
  std::string definition() const;
  // COUNT, BIT_XOR and SUM over the rows of `where` ("": all), as columns n, x and s.
  std::string checksum_sql(const std::string& where) const;
  // The key of the row that ends a chunk of `rows` rows after `after`; no row: the rest is smaller.
  std::string boundary_sql(const std::string& after, std::uint32_t rows) const;
  // A condition for rows behind (">") or up to and with ("<=") the key of the first row of `key_row`.
  std::string beyond(const mysql::ResultTable& key_row) const;
  std::string up_to(const mysql::ResultTable& key_row) const;

 private:
  std::string quoted_name() const;
  std::string compare(const mysql::ResultTable& key_row, bool greater) const;
  std::string literal(std::size_t column, const std::string& text) const;
};

// The user tables that the account sees, by name ("app.orders").
std::expected<std::map<std::string, Table>, core::Failure> read_tables(Peer& peer);

}  // namespace pointsman::verify
