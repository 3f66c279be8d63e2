#include "conf/schema.h"

#include "conf/address.h"
#include "conf/schema_parts.h"

namespace pointsman::conf {
namespace {

template <auto... Members>
constexpr auto in_config() {
  return access<Config, Members...>();
}
template <auto... Members>
constexpr auto in_backend() {
  return access<Backend, Members...>();
}
template <auto... Members>
constexpr WordField<Config> word(std::span<const std::string_view> words) {
  return word_of<Config, Members...>(words);
}

// In the order of the enums in config.h.
constexpr std::array<std::string_view, 3> semi_sync_words{"required", "preferred", "off"};
constexpr std::array<std::string_view, 2> proxy_protocol_words{"off", "v2"};
constexpr std::array<std::string_view, 3> discard_words{"never", "unacknowledged", "always"};
constexpr std::array<std::string_view, 2> chained_words{"keep", "move_up"};

using enum Change;
using enum Need;

constexpr auto day = 24h;

constexpr std::array config_table{
    Key<Config>{"proxy", "listen",
                AddressesField<Config>{in_config<&Config::proxy, &Proxy::listen>(), 16, true}, on_reload},
    Key<Config>{"proxy", "listen_unix",
                TextsField<Config>{in_config<&Config::proxy, &Proxy::listen_unix>(),
                                   "absolute paths of at most 107 bytes", 16, check_socket},
                on_reload},
    Key<Config>{"proxy", "threads",
                CountField<Config>{in_config<&Config::proxy, &Proxy::threads>(), 0, 256, {}}, on_takeover},
    Key<Config>{"proxy", "io_uring", FlagField<Config>{in_config<&Config::proxy, &Proxy::io_uring>()},
                on_takeover},
    Key<Config>{"proxy", "max_connections",
                CountField<Config>{in_config<&Config::proxy, &Proxy::max_connections>(), 1, 1'000'000, {}},
                on_reload},
    Key<Config>{"proxy", "connect_timeout",
                TimeField<Config>{in_config<&Config::proxy, &Proxy::connect_timeout>(), 10ms, 1min},
                on_reload},
    Key<Config>{"proxy", "login_timeout",
                TimeField<Config>{in_config<&Config::proxy, &Proxy::login_timeout>(), 100ms, 1h, true},
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
    Key<Config>{"proxy", "drain_timeout",
                TimeField<Config>{in_config<&Config::proxy, &Proxy::drain_timeout>(), 10ms, 7 * day, true},
                on_reload},
    Key<Config>{"proxy", "proxy_protocol", word<&Config::proxy, &Proxy::proxy_protocol>(proxy_protocol_words),
                on_reload},
    Key<Config>{"proxy", "proxy_protocol_from",
                TextsField<Config>{in_config<&Config::proxy, &Proxy::proxy_protocol_from>(),
                                   "networks such as \"10.0.0.0/8\"", 256, network_fault},
                on_reload},
    Key<Config>{"proxy", "state_dir",
                TextField<Config>{in_config<&Config::proxy, &Proxy::state_dir>(), a_path, check_path}},

    Key<Config>{"admin", "socket",
                TextField<Config>{in_config<&Config::admin, &Admin::socket>(),
                                  "an absolute path of at most 107 bytes", check_socket},
                on_takeover},
    Key<Config>{"admin", "metrics",
                TextField<Config>{in_config<&Config::admin, &Admin::metrics>(),
                                  "\"host:port\", or \"\" for none", check_optional_address},
                on_reload},

    Key<Config>{"log", "level", word<&Config::log, &Log::level>(level_words), on_reload},
    Key<Config>{"log", "file",
                TextField<Config>{in_config<&Config::log, &Log::file>(),
                                  "an absolute path, or \"\" for standard error", check_optional_path},
                on_takeover},
    Key<Config>{"log", "format", word<&Config::log, &Log::format>(format_words), on_takeover},

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
                TextField<Config>{in_config<&Config::heartbeat, &Heartbeat::node>(), a_name, check_name},
                on_takeover},
    Key<Config>{"heartbeat", "listen",
                AddressField<Config>{in_config<&Config::heartbeat, &Heartbeat::listen>(), true}, on_takeover},
    Key<Config>{"heartbeat", "keepalive",
                TimeField<Config>{in_config<&Config::heartbeat, &Heartbeat::keepalive>(), 10ms, 10s},
                on_reload},
    Key<Config>{"heartbeat", "warntime",
                TimeField<Config>{in_config<&Config::heartbeat, &Heartbeat::warntime>(), 20ms, 10min},
                on_reload},
    Key<Config>{"heartbeat", "deadtime",
                TimeField<Config>{in_config<&Config::heartbeat, &Heartbeat::deadtime>(), 50ms, 10min},
                on_reload},
    Key<Config>{"heartbeat", "lease",
                TimeField<Config>{in_config<&Config::heartbeat, &Heartbeat::lease>(), 20ms, 10min, true},
                on_takeover},
    Key<Config>{"heartbeat", "authkeys",
                TextField<Config>{in_config<&Config::heartbeat, &Heartbeat::authkeys>(), a_path, check_path},
                on_takeover},

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

    Key<Config>{"fence", "kill_hung", FlagField<Config>{in_config<&Config::fence, &Fence::kill_hung>()},
                on_takeover},
    Key<Config>{
        "fence", "command",
        TextsField<Config>{in_config<&Config::fence, &Fence::command>(), a_program, 64, check_argument},
        on_takeover},

    Key<Config>{
        "hooks", "command",
        TextsField<Config>{in_config<&Config::hooks, &Hooks::command>(), a_program, 64, check_argument},
        on_reload},
    Key<Config>{"hooks", "events",
                TextsField<Config>{in_config<&Config::hooks, &Hooks::events>(),
                                   "kinds of events, or \"all\" for every kind", 64, check_event_kind},
                on_reload},
    Key<Config>{"hooks", "timeout",
                TimeField<Config>{in_config<&Config::hooks, &Hooks::timeout>(), 100ms, 10min}, on_reload},
};

constexpr std::array backend_table{
    Key<Backend>{"backend", "name", TextField<Backend>{in_backend<&Backend::name>(), a_name, check_name},
                 on_takeover, mandatory},
    Key<Backend>{"backend", "address", AddressField<Backend>{in_backend<&Backend::address>(), false},
                 on_takeover, mandatory},
    Key<Backend>{"backend", "udp", AddressesField<Backend>{in_backend<&Backend::udp>(), 4, false, true},
                 on_takeover},
    Key<Backend>{"backend", "serial",
                 OptionalTextField<Backend>{in_backend<&Backend::serial>(), "the absolute path of a device",
                                            check_path},
                 on_takeover},
    Key<Backend>{"backend", "baud", CountField<Backend>{in_backend<&Backend::baud>(), 0, 0, baud_rates},
                 on_takeover},
    Key<Backend>{"backend", "priority", CountField<Backend>{in_backend<&Backend::priority>(), 0, 1000, {}},
                 on_reload},
    Key<Backend>{"backend", "never_promote", FlagField<Backend>{in_backend<&Backend::never_promote>()},
                 on_reload},
};

constexpr std::array<std::string_view, 10> section_names{
    "proxy", "admin", "log", "monitor", "replication", "heartbeat", "failover", "fence", "hooks", "backend"};

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

}  // namespace pointsman::conf
