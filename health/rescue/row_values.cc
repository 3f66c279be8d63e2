#include "health/rescue/row_values.h"

#include <array>

#include "health/rescue/byte_reader.h"

namespace pointsman::rescue {
namespace {

// MySQL's own limit of a table; 4096 with the engine's.
constexpr std::uint64_t max_columns = 4096;

// enum_field_types, without those that no binary log has.
enum class Type : std::uint8_t {
  decimal = 0,
  tiny = 1,
  small = 2,
  integer = 3,
  real = 4,
  double_real = 5,
  null = 6,
  timestamp = 7,
  big = 8,
  medium = 9,
  date = 10,
  time = 11,
  datetime = 12,
  year = 13,
  new_date = 14,
  varchar = 15,
  bit = 16,
  timestamp2 = 17,
  datetime2 = 18,
  time2 = 19,
  vector = 242,
  json = 245,
  new_decimal = 246,
  enumeration = 247,
  set = 248,
  tiny_blob = 249,
  medium_blob = 250,
  long_blob = 251,
  blob = 252,
  string = 254,
  geometry = 255,
};

// How the length of a value is found.
enum class Shape {
  unknown,
  fixed,     // the table's number
  told,      // the metadata is the length
  counted,   // that many bytes (metadata) in front have the length
  text,      // one or two bytes in front, by the longest that the column may have
  chars,     // CHAR, ENUM, SET: the real type and the longest are folded into the metadata
  packed,    // DECIMAL(precision, scale)
  bits,      // whole bytes and the rest
  fraction,  // the table's number, and half a byte for each digit behind the point
};

struct Rule {
  Shape shape = Shape::unknown;
  std::uint8_t metadata_bytes = 0;
  std::uint8_t bytes = 0;
};

Rule rule_of(std::uint8_t type) {
  switch (static_cast<Type>(type)) {
    case Type::null:
      return {Shape::fixed, 0, 0};
    case Type::tiny:
    case Type::year:
      return {Shape::fixed, 0, 1};
    case Type::small:
      return {Shape::fixed, 0, 2};
    case Type::medium:
    case Type::date:
    case Type::new_date:
    case Type::time:
      return {Shape::fixed, 0, 3};
    case Type::integer:
    case Type::timestamp:
      return {Shape::fixed, 0, 4};
    case Type::big:
    case Type::datetime:
      return {Shape::fixed, 0, 8};
    case Type::real:
    case Type::double_real:
      return {Shape::told, 1, 0};
    case Type::timestamp2:
      return {Shape::fraction, 1, 4};
    case Type::datetime2:
      return {Shape::fraction, 1, 5};
    case Type::time2:
      return {Shape::fraction, 1, 3};
    case Type::bit:
      return {Shape::bits, 2, 0};
    case Type::varchar:
      return {Shape::text, 2, 0};
    case Type::string:
    case Type::enumeration:
    case Type::set:
      return {Shape::chars, 2, 0};
    case Type::new_decimal:
      return {Shape::packed, 2, 0};
    case Type::tiny_blob:
    case Type::medium_blob:
    case Type::long_blob:
    case Type::blob:
    case Type::json:
    case Type::geometry:
    case Type::vector:
      return {Shape::counted, 1, 0};
    case Type::decimal:  // of 4.1, a text of a length that the metadata do not have
      break;
  }
  return {};
}

// decimal_bin_size(): nine digits in four bytes, and what is left over in as few as hold it.
std::optional<std::size_t> decimal_size(unsigned precision, unsigned scale) {
  constexpr std::array<std::size_t, 10> left_over{0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
  if (scale > precision) return std::nullopt;
  const std::size_t whole = precision - scale;
  const std::size_t behind = scale;
  return whole / 9 * 4 + left_over.at(whole % 9) + behind / 9 * 4 + left_over.at(behind % 9);
}

// The length stands in front, in `width` bytes.
std::optional<std::size_t> counted(std::size_t width, std::string_view bytes) {
  if (width == 0 || width > 4) return std::nullopt;
  ByteReader in(bytes);
  const auto length = in.number(width);
  return in.ok() ? std::optional(width + static_cast<std::size_t>(length)) : std::nullopt;
}

// Lengths from 256 on have their upper two bits in the real type's byte, turned over (Field_string).
std::optional<std::size_t> chars_size(std::uint16_t metadata, std::string_view bytes) {
  const auto real = static_cast<Type>(metadata >> 8U);
  if (real == Type::enumeration || real == Type::set) return metadata & 0xffU;
  const unsigned longest = ((static_cast<unsigned>(metadata) >> 4U & 0x300U) ^ 0x300U) + (metadata & 0xffU);
  return counted(longest > 255 ? 2 : 1, bytes);
}

std::optional<std::size_t> size_by(const Rule& rule, std::uint16_t metadata, std::string_view bytes) {
  switch (rule.shape) {
    case Shape::fixed:
      return rule.bytes;
    case Shape::told:
      return metadata;
    case Shape::counted:
      return counted(metadata, bytes);
    case Shape::text:
      return counted(metadata > 255 ? 2 : 1, bytes);
    case Shape::chars:
      return chars_size(metadata, bytes);
    case Shape::packed:
      return decimal_size(metadata >> 8U, metadata & 0xffU);
    case Shape::bits:
      return (metadata >> 8U) + ((metadata & 0xffU) > 0 ? 1U : 0U);
    case Shape::fraction:
      return rule.bytes + (metadata + 1U) / 2;
    case Shape::unknown:
      break;
  }
  return std::nullopt;
}

// Two bytes: of these three types the one that stands first is the upper.
std::uint16_t read_metadata(std::uint8_t type, std::uint8_t width, ByteReader& in) {
  const auto value = static_cast<std::uint16_t>(in.number(width));
  const auto shape = rule_of(type).shape;
  if (shape != Shape::chars && shape != Shape::packed) return value;
  return static_cast<std::uint16_t>(value << 8U | value >> 8U);
}

}  // namespace

std::expected<std::vector<Column>, std::string> read_columns(const Event& table_map) {
  const std::string broken = "a table map that cannot be read in the binary log";
  if (table_map.type != EventType::table_map) return std::unexpected(broken);
  ByteReader in(table_map.body);
  in.take(6 + 2);
  in.take(in.number(1) + 1);  // the database's name and a zero
  in.take(in.number(1) + 1);  // the table's
  const auto count = in.packed();
  if (!in.ok() || count == 0 || count > max_columns) return std::unexpected(broken);
  const auto types = in.take(count);
  ByteReader metadata(in.take(in.packed()));
  if (!in.ok()) return std::unexpected(broken);
  std::vector<Column> columns;
  columns.reserve(types.size());
  for (const char letter : types) {
    const auto type = static_cast<std::uint8_t>(letter);
    const Rule rule = rule_of(type);
    if (rule.shape == Shape::unknown)
      return std::unexpected("a column of a type that is not known (" + std::to_string(type) + ")");
    columns.push_back({type, read_metadata(type, rule.metadata_bytes, metadata)});
  }
  if (!metadata.ok() || !metadata.rest().empty()) return std::unexpected(broken);
  return columns;
}

std::optional<std::size_t> value_size(const Column& column, std::string_view bytes) {
  const auto size = size_by(rule_of(column.type), column.metadata, bytes);
  return size && *size <= bytes.size() ? size : std::nullopt;
}

std::optional<std::size_t> image_size(const std::vector<Column>& columns, std::string_view bytes) {
  std::size_t at = (columns.size() + 7) / 8;
  if (at > bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto nulls = static_cast<unsigned char>(bytes[i / 8]);
    if ((nulls >> (i % 8) & 1U) != 0) continue;
    const auto size = value_size(columns[i], bytes.substr(at));
    if (!size) return std::nullopt;
    at += *size;
  }
  return at;
}

}  // namespace pointsman::rescue
