#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>

// What the clients of the relay's benchmark do. Pure.
namespace pointsman::bench {

enum class Workload : std::uint8_t { point_select, read_write, bulk, connect };
inline constexpr std::array all_workloads{Workload::point_select, Workload::read_write, Workload::bulk,
                                          Workload::connect};

const char* to_string(Workload workload);  // as --workloads takes it
std::expected<Workload, std::string> parse_workload(const std::string& name);

// A test that sysbench brings along, or the Lua text of one of ours.
struct Script {
  const char* builtin = nullptr;
  const char* lua = nullptr;
};
Script script_of(Workload workload);

}  // namespace pointsman::bench
