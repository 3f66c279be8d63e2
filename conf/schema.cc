#include "conf/schema.h"

#include <algorithm>
#include <array>

#include "conf/address.h"
#include "conf/duration.h"
#include "conf/problem.h"

namespace pointsman::conf {
namespace {

template <class Root, auto... Members>
constexpr auto access() {
  using T = std::remove_reference_t<decltype((std::declval<Root&>().*....*Members))>;
  return Access<Root, T>{[](Root& root) -> T& { return (root.*....*Members); },
                         [](const Root& root) -> const T& { return (root.*....*Members); }};
}
template <auto... Members>
constexpr auto in_config() {
  return access<Config, Members...>();
}
template <auto... Members>
constexpr auto in_backend() {
  return access<Backend, Members...>();
}

template <auto... Members>
constexpr auto in_agent() {
  return access<AgentConfig, Members...>();
}

template <class Root, auto... Members>
constexpr WordField<Root> word_of(std::span<const std::string_view> words) {
  using Enum = std::remove_reference_t<decltype((std::declval<Root&>().*....*Members))>;
  return {words, [](Root& root, std::size_t index) { (root.*....*Members) = static_cast<Enum>(index); },
          [](const Root& root) { return static_cast<std::size_t>((root.*....*Members)); }};
}
template <auto... Members>
constexpr WordField<Config> word(std::span<const std::string_view> words) {
  return word_of<Config, Members...>(words);
}

// In the order of the enums in config.h.
constexpr std::array<std::string_view, 3> semi_sync_words{"required", "preferred", "off"};
constexpr std::array<std::string_view, 2> proxy_protocol_words{"off", "v2"};
constexpr std::array<std::string_view, 5> level_words{"trace", "debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 2> format_words{"text", "json"};
constexpr std::array<std::string_view, 3> discard_words{"never", "unacknowledged", "always"};
constexpr std::array<std::string_view, 2> chained_words{"keep", "move_up"};

constexpr std::array<unsigned, 11> baud_rates{1200,  2400,   4800,   9600,   19200, 38400,
                                              57600, 115200, 230400, 460800, 921600};

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::optional<std::string> path_fault(std::string_view text, std::size_t max) {
  if (text.empty()) return "it is empty";
  if (!text.starts_with('/')) return "it does not start with /";
  if (text.size() > max) return "it is longer than " + std::to_string(max) + " bytes";
  if (std::ranges::any_of(text, is_control)) return "it contains a control character";
  return std::nullopt;
}
std::optional<std::string> check_path(std::string_view text) {
  return path_fault(text, 4095);
}
// sockaddr_un has room for 108 bytes, the final NUL included.
std::optional<std::string> check_socket(std::string_view text) {
  return path_fault(text, 107);
}
std::optional<std::string> check_optional_path(std::string_view text) {
  return text.empty() ? std::nullopt : check_path(text);
}
std::optional<std::string> check_optional_address(std::string_view text) {
  if (text.empty()) return std::nullopt;
  auto address = parse_address(text);
  return address ? std::nullopt : std::optional(std::move(address.error()));
}
std::optional<std::string> check_name(std::string_view text) {
  const auto good = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
  };
  if (text.empty()) return "it is empty";
  if (text.size() > 64) return "it is longer than 64 characters";
  if (!std::ranges::all_of(text, good)) return "it contains another character";
  return std::nullopt;
}
// MySQL allows 32 characters, MariaDB 128 of at most 3 bytes.
std::optional<std::string> check_user(std::string_view text) {
  if (text.empty()) return "it is empty";
  if (text.size() > 128) return "it is longer than 128 bytes";
  if (std::ranges::any_of(text, is_control)) return "it contains a control character";
  return std::nullopt;
}
std::optional<std::string> check_argument(std::string_view text) {
  if (text.size() > 4096) return "it is longer than 4096 bytes";
  if (text.contains('\0')) return "it contains a NUL byte";
  return std::nullopt;
}

constexpr std::string_view a_path = "an absolute path";
constexpr std::string_view a_name = "a name of 1 to 64 characters out of A-Z, a-z, 0-9, '.', '_' and '-'";
constexpr std::string_view a_program = "texts: a program's absolute path and its arguments";
constexpr std::string_view a_user = "a user name of 1 to 128 bytes";

using enum Change;
using enum Need;

constexpr auto day = 24h;

constexpr std::array config_table{
    Key<Config>{"proxy", "listen",
                AddressesField<Config>{in_config<&Config::proxy, &Proxy::listen>(), 16, true}},
    Key<Config>{"proxy", "threads",
                CountField<Config>{in_config<&Config::proxy, &Proxy::threads>(), 0, 256, {}}},
    Key<Config>{"proxy", "max_connections",
                CountField<Config>{in_config<&Config::proxy, &Proxy::max_connections>(), 1, 1'000'000, {}},
                on_reload},
    Key<Config>{"proxy", "connect_timeout",
                TimeField<Config>{in_config<&Config::proxy, &Proxy::connect_timeout>(), 10ms, 1min},
                on_reload},
    Key<Config>{"proxy", "hold_timeout",
                TimeField<Config>{in_config<&Config::proxy, &Proxy::hold_timeout>(), 10ms, 1h, true},
                on_reload},
    Key<Config>{"proxy", "max_held",
                CountField<Config>{in_config<&Config::proxy, &Proxy::max_held>(), 0, 1'000'000, {}},
                on_reload},
    Key<Config>{"proxy", "release_rate",
                CountField<Config>{in_config<&Config::proxy, &Proxy::release_rate>(), 1, 1'000'000, {}},
                on_reload},
    Key<Config>{"proxy", "proxy_protocol",
                word<&Config::proxy, &Proxy::proxy_protocol>(proxy_protocol_words)},
    Key<Config>{"proxy", "proxy_protocol_from",
                TextsField<Config>{in_config<&Config::proxy, &Proxy::proxy_protocol_from>(),
                                   "networks such as \"10.0.0.0/8\"", 256, network_fault}},
    Key<Config>{"proxy", "state_dir",
                TextField<Config>{in_config<&Config::proxy, &Proxy::state_dir>(), a_path, check_path}},

    Key<Config>{"admin", "socket",
                TextField<Config>{in_config<&Config::admin, &Admin::socket>(),
                                  "an absolute path of at most 107 bytes", check_socket}},
    Key<Config>{"admin", "metrics",
                TextField<Config>{in_config<&Config::admin, &Admin::metrics>(),
                                  "\"host:port\", or \"\" for none", check_optional_address},
                on_reload},

    Key<Config>{"log", "level", word<&Config::log, &Log::level>(level_words), on_reload},
    Key<Config>{"log", "file",
                TextField<Config>{in_config<&Config::log, &Log::file>(),
                                  "an absolute path, or \"\" for standard error", check_optional_path}},
    Key<Config>{"log", "format", word<&Config::log, &Log::format>(format_words)},

    Key<Config>{"monitor", "user",
                TextField<Config>{in_config<&Config::monitor, &Monitor::account, &Account::user>(), a_user,
                                  check_user},
                on_reload, mandatory},
    Key<Config>{"monitor", "password_file",
                TextField<Config>{in_config<&Config::monitor, &Monitor::account, &Account::password_file>(),
                                  a_path, check_path},
                on_reload, mandatory},
    Key<Config>{"monitor", "interval",
                TimeField<Config>{in_config<&Config::monitor, &Monitor::interval>(), 10ms, 1min}, on_reload},
    Key<Config>{"monitor", "timeout",
                TimeField<Config>{in_config<&Config::monitor, &Monitor::timeout>(), 10ms, 1min}, on_reload},

    Key<Config>{"replication", "user",
                TextField<Config>{in_config<&Config::replication, &Replication::account, &Account::user>(),
                                  a_user, check_user},
                on_reload, mandatory},
    Key<Config>{
        "replication", "password_file",
        TextField<Config>{in_config<&Config::replication, &Replication::account, &Account::password_file>(),
                          a_path, check_path},
        on_reload, mandatory},
    Key<Config>{"replication", "semi_sync",
                word<&Config::replication, &Replication::semi_sync>(semi_sync_words), on_reload},
    Key<Config>{"replication", "chained", word<&Config::replication, &Replication::chained>(chained_words),
                on_reload},

    Key<Config>{"heartbeat", "node",
                TextField<Config>{in_config<&Config::heartbeat, &Heartbeat::node>(), a_name, check_name}},
    Key<Config>{"heartbeat", "listen",
                AddressField<Config>{in_config<&Config::heartbeat, &Heartbeat::listen>(), true}},
    Key<Config>{"heartbeat", "keepalive",
                TimeField<Config>{in_config<&Config::heartbeat, &Heartbeat::keepalive>(), 10ms, 10s}},
    Key<Config>{"heartbeat", "warntime",
                TimeField<Config>{in_config<&Config::heartbeat, &Heartbeat::warntime>(), 20ms, 10min}},
    Key<Config>{"heartbeat", "deadtime",
                TimeField<Config>{in_config<&Config::heartbeat, &Heartbeat::deadtime>(), 50ms, 10min},
                on_reload},
    Key<Config>{"heartbeat", "lease",
                TimeField<Config>{in_config<&Config::heartbeat, &Heartbeat::lease>(), 20ms, 10min, true}},
    Key<Config>{"heartbeat", "authkeys",
                TextField<Config>{in_config<&Config::heartbeat, &Heartbeat::authkeys>(), a_path, check_path}},

    Key<Config>{"failover", "automatic",
                FlagField<Config>{in_config<&Config::failover, &Failover::automatic>()}, on_reload},
    Key<Config>{"failover", "failback",
                FlagField<Config>{in_config<&Config::failover, &Failover::failback>()}, on_reload},
    Key<Config>{"failover", "allow_loss",
                FlagField<Config>{in_config<&Config::failover, &Failover::allow_loss>()}, on_reload},
    Key<Config>{"failover", "discard", word<&Config::failover, &Failover::discard>(discard_words), on_reload},
    Key<Config>{"failover", "binlog_program",
                TextField<Config>{in_config<&Config::failover, &Failover::binlog_program>(),
                                  "an absolute path, or \"\"", check_optional_path},
                on_reload},
    Key<Config>{"failover", "refused_confirm",
                CountField<Config>{in_config<&Config::failover, &Failover::refused_confirm>(), 1, 20, {}},
                on_reload},
    Key<Config>{"failover", "catchup_timeout",
                TimeField<Config>{in_config<&Config::failover, &Failover::catchup_timeout>(), 10ms, day},
                on_reload},
    Key<Config>{"failover", "window",
                TimeField<Config>{in_config<&Config::failover, &Failover::window>(), 1s, day}, on_reload},
    Key<Config>{"failover", "max_in_window",
                CountField<Config>{in_config<&Config::failover, &Failover::max_in_window>(), 1, 1000, {}},
                on_reload},

    Key<Config>{"fence", "kill_hung", FlagField<Config>{in_config<&Config::fence, &Fence::kill_hung>()}},
    Key<Config>{
        "fence", "command",
        TextsField<Config>{in_config<&Config::fence, &Fence::command>(), a_program, 64, check_argument}},
};

constexpr std::array backend_table{
    Key<Backend>{"backend", "name", TextField<Backend>{in_backend<&Backend::name>(), a_name, check_name},
                 on_restart, mandatory},
    Key<Backend>{"backend", "address", AddressField<Backend>{in_backend<&Backend::address>(), false},
                 on_restart, mandatory},
    Key<Backend>{"backend", "udp", AddressesField<Backend>{in_backend<&Backend::udp>(), 4, false, true}},
    Key<Backend>{"backend", "serial",
                 OptionalTextField<Backend>{in_backend<&Backend::serial>(), "the absolute path of a device",
                                            check_path}},
    Key<Backend>{"backend", "baud", CountField<Backend>{in_backend<&Backend::baud>(), 0, 0, baud_rates}},
    Key<Backend>{"backend", "priority", CountField<Backend>{in_backend<&Backend::priority>(), 0, 1000, {}},
                 on_reload},
    Key<Backend>{"backend", "never_promote", FlagField<Backend>{in_backend<&Backend::never_promote>()},
                 on_reload},
};

constexpr std::array agent_table{
    Key<AgentConfig>{"heartbeat", "node",
                     TextField<AgentConfig>{in_agent<&AgentConfig::heartbeat, &AgentHeartbeat::node>(),
                                            a_name, check_name},
                     on_restart, mandatory},
    Key<AgentConfig>{
        "heartbeat", "listen",
        AddressField<AgentConfig>{in_agent<&AgentConfig::heartbeat, &AgentHeartbeat::listen>(), true}},
    Key<AgentConfig>{"heartbeat", "proxies",
                     AddressesField<AgentConfig>{
                         in_agent<&AgentConfig::heartbeat, &AgentHeartbeat::proxies>(), 8, false, true}},
    Key<AgentConfig>{
        "heartbeat", "serial",
        OptionalTextField<AgentConfig>{in_agent<&AgentConfig::heartbeat, &AgentHeartbeat::serial>(),
                                       "the absolute path of a device", check_path}},
    Key<AgentConfig>{"heartbeat", "baud",
                     CountField<AgentConfig>{in_agent<&AgentConfig::heartbeat, &AgentHeartbeat::baud>(), 0, 0,
                                             baud_rates}},
    Key<AgentConfig>{
        "heartbeat", "keepalive",
        TimeField<AgentConfig>{in_agent<&AgentConfig::heartbeat, &AgentHeartbeat::keepalive>(), 10ms, 10s}},
    Key<AgentConfig>{"heartbeat", "authkeys",
                     TextField<AgentConfig>{in_agent<&AgentConfig::heartbeat, &AgentHeartbeat::authkeys>(),
                                            a_path, check_path}},

    Key<AgentConfig>{"mysql", "socket",
                     TextField<AgentConfig>{in_agent<&AgentConfig::mysql, &AgentMysql::socket>(),
                                            "an absolute path of at most 107 bytes", check_socket}},
    Key<AgentConfig>{
        "mysql", "user",
        TextField<AgentConfig>{in_agent<&AgentConfig::mysql, &AgentMysql::account, &Account::user>(), a_user,
                               check_user},
        on_restart, mandatory},
    Key<AgentConfig>{
        "mysql", "password_file",
        TextField<AgentConfig>{in_agent<&AgentConfig::mysql, &AgentMysql::account, &Account::password_file>(),
                               a_path, check_path},
        on_restart, mandatory},
    Key<AgentConfig>{
        "mysql", "ping_timeout",
        TimeField<AgentConfig>{in_agent<&AgentConfig::mysql, &AgentMysql::ping_timeout>(), 10ms, 1min}},

    Key<AgentConfig>{"fence", "kill_hung",
                     FlagField<AgentConfig>{in_agent<&AgentConfig::fence, &AgentFence::kill_hung>()}},
    Key<AgentConfig>{"fence", "kill_clients",
                     FlagField<AgentConfig>{in_agent<&AgentConfig::fence, &AgentFence::kill_clients>()}},
    Key<AgentConfig>{
        "fence", "state_dir",
        TextField<AgentConfig>{in_agent<&AgentConfig::fence, &AgentFence::state_dir>(), a_path, check_path}},

    Key<AgentConfig>{"copy", "listen",
                     TextField<AgentConfig>{in_agent<&AgentConfig::copy, &AgentCopy::listen>(),
                                            "\"host:port\", or \"\" for none", check_optional_address}},
    Key<AgentConfig>{"copy", "stop_command",
                     TextsField<AgentConfig>{in_agent<&AgentConfig::copy, &AgentCopy::stop_command>(),
                                             a_program, 64, check_argument}},
    Key<AgentConfig>{"copy", "start_command",
                     TextsField<AgentConfig>{in_agent<&AgentConfig::copy, &AgentCopy::start_command>(),
                                             a_program, 64, check_argument}},
    Key<AgentConfig>{"copy", "backup_program",
                     TextField<AgentConfig>{in_agent<&AgentConfig::copy, &AgentCopy::backup_program>(),
                                            "an absolute path, or \"\"", check_optional_path}},
    Key<AgentConfig>{
        "copy", "state_dir",
        TextField<AgentConfig>{in_agent<&AgentConfig::copy, &AgentCopy::state_dir>(), a_path, check_path}},

    Key<AgentConfig>{"log", "level", word_of<AgentConfig, &AgentConfig::log, &Log::level>(level_words)},
    Key<AgentConfig>{
        "log", "file",
        TextField<AgentConfig>{in_agent<&AgentConfig::log, &Log::file>(),
                               "an absolute path, or \"\" for standard error", check_optional_path}},
    Key<AgentConfig>{"log", "format", word_of<AgentConfig, &AgentConfig::log, &Log::format>(format_words)},
};

constexpr std::array<std::string_view, 5> agent_section_names{"heartbeat", "mysql", "fence", "copy", "log"};

constexpr std::array<std::string_view, 9> section_names{
    "proxy", "admin", "log", "monitor", "replication", "heartbeat", "failover", "fence", "backend"};

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

std::span<const Key<Config>> config_keys() {
  return config_table;
}
std::span<const Key<Backend>> backend_keys() {
  return backend_table;
}
std::span<const std::string_view> sections() {
  return section_names;
}
std::span<const Key<AgentConfig>> agent_keys() {
  return agent_table;
}
std::span<const std::string_view> agent_sections() {
  return agent_section_names;
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
                    .default_value = key.need == mandatory ? "" : value_text(key.field, defaults),
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
