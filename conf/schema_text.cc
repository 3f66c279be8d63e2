// Keys and values in words, for messages and tables.
#include "conf/schema_text.h"

#include "conf/address.h"

namespace pointsman::conf {

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
