#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "conf/duration.h"
#include "conf/schema.h"

// Keys in words, for the tables of keys of any file: schema_text.cc has those of ours, and a loader elsewhere
// makes its own. Pure; any thread.
namespace pointsman::conf {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

inline std::string in_quotes(std::string_view text) {
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
          [](const AddressesField<Root>& f) -> std::string {
            return "addresses as \"host:port\", 1 to " + std::to_string(f.max) + " of them";
          },
          [](const TextsField<Root>& f) -> std::string {
            return "an array of " + std::string(f.what) + ", at most " + std::to_string(f.max);
          },
      },
      field);
}
}  // namespace pointsman::conf
