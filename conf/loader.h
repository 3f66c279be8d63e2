#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "conf/problem.h"

// TOML -> Config, with every key and relation checked and every problem reported, not only the first (a
// syntax error ends the reading, so it comes alone). The environment is not read. Blocks on files only; any
// thread.
namespace pointsman::conf {

inline constexpr std::size_t max_config_file = std::size_t{1} << 20U;  // bytes
inline constexpr std::size_t max_problems = 100;                       // further ones are only mentioned

struct LoadOptions {
  // Read the password files and look whether fence.command and hooks.command can be run. Off: the passwords
  // stay empty.
  bool files = true;
};

// In the order of the file; never empty on failure. Passwords are filled in.
std::expected<Config, std::vector<Problem>> load(const std::string& path, LoadOptions options = {});
// The same for text at hand; `name` stands for the file in problems and in Config::file.
std::expected<Config, std::vector<Problem>> load_text(std::string_view text, std::string name,
                                                      LoadOptions options = {});

}  // namespace pointsman::conf
