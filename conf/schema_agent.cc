#include "conf/schema_parts.h"

namespace pointsman::conf {
namespace {

template <auto... Members>
constexpr auto in_agent() {
  return access<AgentConfig, Members...>();
}

using enum Change;
using enum Need;

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

}  // namespace

std::span<const Key<AgentConfig>> agent_keys() {
  return agent_table;
}
std::span<const std::string_view> agent_sections() {
  return agent_section_names;
}

}  // namespace pointsman::conf
