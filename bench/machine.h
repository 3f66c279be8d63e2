#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/testbed/server.h"

namespace pointsman::bench {

// What figures depend on: cores, CPU model, memory, kernel, date, and the command line.
nlohmann::json describe_machine(const std::vector<std::string>& command_line);
// The same in a line for a person.
std::string machine_line(const nlohmann::json& machine);

// "mariadb 10.11.19", or what is missing.
std::string server_version(testbed::Product product);

// Indented, with a line end.
std::expected<void, std::string> write_json(const std::filesystem::path& path, const nlohmann::json& value);

}  // namespace pointsman::bench
