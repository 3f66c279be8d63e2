#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "health/rescue/binlog_events.h"

// Where the values of MySQL's rows end in a binary log. What they mean is nobody's business here. Format:
// MySQL source, "Table_map_event" (types and their metadata) and calc_field_size(). Pure; any thread.
namespace pointsman::rescue {

struct Column {
  std::uint8_t type = 0;
  std::uint16_t metadata = 0;
};

// Of a table map. Error: a type that is not known, by its number, or bytes that cannot be.
std::expected<std::vector<Column>, std::string> read_columns(const Event& table_map);

// How many bytes of `bytes` the value takes that they begin with; nullopt: more than there are.
std::optional<std::size_t> value_size(const Column& column, std::string_view bytes);

// The same of an image of a row that has all columns: a bit for each that is NULL, then the values of the
// others.
std::optional<std::size_t> image_size(const std::vector<Column>& columns, std::string_view bytes);

}  // namespace pointsman::rescue
