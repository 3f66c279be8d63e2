// Keys and values in words, for messages and tables.
#include "conf/address.h"
#include "conf/duration.h"
#include "conf/schema.h"

namespace pointsman::conf {
namespace {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

template <class Items, class Text>
std::string joined(const Items& items, Text text) {
  std::string list;
  for (const auto& item : items) {
    if (!list.empty()) list += ", ";
    list += text(item);
  }
  return list;
}

std::string addresses_text(std::size_t max) {
  return "addresses as \"host:port\", 1 to " + std::to_string(max) + " of them";
}

}  // namespace

template <class Root>
std::string expected_text(const Field<Root>& field) {
  return std::visit(
      Overloaded{
          [](const FlagField<Root>&) -> std::string { return "true or false"; },
          [](const CountField<Root>& f) -> std::string {
            if (!f.allowed.empty()) {
              return "one of " + joined(f.allowed, [](unsigned n) { return std::to_string(n); });
            }
            return "an integer from " + std::to_string(f.min) + " to " + std::to_string(f.max);
          },
          [](const TimeField<Root>& f) -> std::string {
            return std::string("a duration ") + (f.zero ? "of \"0s\", or " : "") + "from " +
                   in_quotes(format_duration(f.min)) + " to " + in_quotes(format_duration(f.max));
          },
          [](const TextField<Root>& f) -> std::string { return std::string(f.what); },
          [](const OptionalTextField<Root>& f) -> std::string { return std::string(f.what); },
          [](const WordField<Root>& f) -> std::string { return "one of " + joined(f.words, in_quotes); },
          [](const AddressField<Root>&) -> std::string { return "an address as \"host:port\""; },
          [](const AddressesField<Root>& f) -> std::string { return addresses_text(f.max); },
          [](const TextsField<Root>& f) -> std::string {
            return "an array of " + std::string(f.what) + ", at most " + std::to_string(f.max);
          },
      },
      field);
}
template std::string expected_text(const Field<Config>& field);
template std::string expected_text(const Field<Backend>& field);
template std::string expected_text(const Field<AgentConfig>& field);

template <class Root>
std::string value_text(const Field<Root>& field, const Root& root) {
  const auto address = [](const HostPort& a) { return in_quotes(to_string(a)); };
  return std::visit(
      Overloaded{
          [&](const FlagField<Root>& f) -> std::string { return f.access.get(root) ? "true" : "false"; },
          [&](const CountField<Root>& f) -> std::string { return std::to_string(f.access.get(root)); },
          [&](const TimeField<Root>& f) -> std::string {
            return in_quotes(format_duration(f.access.get(root)));
          },
          [&](const TextField<Root>& f) -> std::string { return in_quotes(f.access.get(root)); },
          [&](const OptionalTextField<Root>& f) -> std::string {
            return f.access.get(root) ? in_quotes(*f.access.get(root)) : "";
          },
          [&](const WordField<Root>& f) -> std::string { return in_quotes(f.words[f.get(root)]); },
          [&](const AddressField<Root>& f) -> std::string { return address(f.access.get(root)); },
          [&](const AddressesField<Root>& f) -> std::string {
            if (f.optional && f.access.get(root).empty()) return "";
            return "[" + joined(f.access.get(root), address) + "]";
          },
          [&](const TextsField<Root>& f) -> std::string {
            return "[" + joined(f.access.get(root), in_quotes) + "]";
          },
      },
      field);
}
template std::string value_text(const Field<Config>& field, const Config& root);
template std::string value_text(const Field<Backend>& field, const Backend& root);
template std::string value_text(const Field<AgentConfig>& field, const AgentConfig& root);

namespace {

template <class Root>
void add_rows(std::vector<KeyInfo>& rows, std::span<const Key<Root>> keys) {
  const Root defaults{};
  for (const auto& key : keys) {
    rows.push_back({.name = std::string(key.section) + "." + std::string(key.name),
                    .expected = expected_text(key.field),
                    .default_value = key.need == Need::mandatory ? "" : value_text(key.field, defaults),
                    .change = key.change,
                    .need = key.need});
  }
}

}  // namespace

std::vector<KeyInfo> schema() {
  std::vector<KeyInfo> rows;
  add_rows(rows, config_keys());
  add_rows(rows, backend_keys());
  return rows;
}

std::vector<KeyInfo> agent_schema() {
  std::vector<KeyInfo> rows;
  add_rows(rows, agent_keys());
  return rows;
}

}  // namespace pointsman::conf
