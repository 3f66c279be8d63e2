#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "conf/agent_config.h"
#include "conf/config.h"

// The one table of all keys: the loader is driven by it, differences() compares by it, and the tests hold the
// sample file and the README against it. Constant; any thread. Defaults are those of a Config{}, so they
// cannot drift.
namespace pointsman::conf {

// How to reach one member of a Config or of a Backend.
template <class Root, class T>
struct Access {
  T& (*at)(Root&);
  const T& (*get)(const Root&);
};

// What is wrong with a text, without repeating it; nullopt: nothing.
using Check = std::optional<std::string> (*)(std::string_view);

template <class Root>
struct FlagField {
  Access<Root, bool> access;
};
template <class Root>
struct CountField {
  Access<Root, unsigned> access;
  unsigned min = 0;
  unsigned max = 0;
  std::span<const unsigned> allowed;  // not empty: only these
};
template <class Root>
struct TimeField {
  Access<Root, Duration> access;
  Duration min{};
  Duration max{};
  bool zero = false;  // "0s" is allowed as well
};
template <class Root>
struct TextField {
  Access<Root, std::string> access;
  std::string_view what;  // "an absolute path"
  Check check;
};
// A text that may be absent.
template <class Root>
struct OptionalTextField {
  Access<Root, std::optional<std::string>> access;
  std::string_view what;
  Check check;
};
// One of a few words. The index in `words` is the value of the enum.
template <class Root>
struct WordField {
  std::span<const std::string_view> words;
  void (*set)(Root&, std::size_t);
  std::size_t (*get)(const Root&);
};
template <class Root>
struct AddressField {
  Access<Root, HostPort> access;
  bool zero_port = false;  // port 0 is allowed: the kernel chooses
};
template <class Root>
struct AddressesField {
  Access<Root, std::vector<HostPort>> access;
  std::size_t max = 0;
  bool zero_port = false;
  bool optional = false;  // the key may be absent, but not an empty array
};
template <class Root>
struct TextsField {
  Access<Root, std::vector<std::string>> access;
  std::string_view what;  // of one element
  std::size_t max = 0;
  Check check;
};

template <class Root>
using Field =
    std::variant<FlagField<Root>, CountField<Root>, TimeField<Root>, TextField<Root>, OptionalTextField<Root>,
                 WordField<Root>, AddressField<Root>, AddressesField<Root>, TextsField<Root>>;

enum class Need { optional, mandatory };
// When another value counts: at once; by a new process that takes the daemon's place, without the loss of a
// session; by a restart.
enum class Change { on_reload, on_takeover, on_restart };

template <class Root>
struct Key {
  std::string_view section;
  std::string_view name;
  Field<Root> field;
  Change change = Change::on_restart;
  Need need = Need::optional;
};

std::span<const Key<Config>> config_keys();    // grouped by section
std::span<const Key<Backend>> backend_keys();  // section "backend": [[backend]]
std::span<const std::string_view> sections();  // "backend" included
std::span<const Key<AgentConfig>> agent_keys();
std::span<const std::string_view> agent_sections();

// What a value must be, for messages and tables: "an integer from 0 to 256".
template <class Root>
std::string expected_text(const Field<Root>& field);
// A value as the operator would write it in TOML: "1s" with its quotes, 4000, [...]; "" for an absent one.
template <class Root>
std::string value_text(const Field<Root>& field, const Root& root);

// A row for documents and their tests.
struct KeyInfo {
  std::string name;      // "proxy.listen"
  std::string expected;  // expected_text()
  std::string
      default_value;  // value_text() of a default Config; "" with need == mandatory, or for an absent one
  Change change = Change::on_restart;
  Need need = Need::optional;
};
std::vector<KeyInfo> schema();
std::vector<KeyInfo> agent_schema();

}  // namespace pointsman::conf
