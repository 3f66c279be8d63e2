#pragma once

#include <expected>
#include <string>
#include <vector>

#include "conf/config.h"
#include "conf/problem.h"

// What `pointsman-bench against` is told of an endpoint that is not Pointsman's: bench/against.toml explains
// each key.
namespace pointsman::bench {

struct AgainstEndpoint {
  conf::HostPort address;
  std::string user;
  std::string password_file;
  std::string password;  // read from password_file
  std::string database;
  conf::Duration timeout = std::chrono::seconds(10);  // of a client's connect, read and write; whole seconds
};

struct AgainstCommands {
  std::string start;  // by sh -c, all four; "": none
  std::string kill;
  std::string restore;
  std::string clean_up;
  conf::Duration timeout = std::chrono::seconds(60);  // of each
  // Writes that have not gone on by themselves for so long after the kill go on with `restore`.
  conf::Duration restore_after = std::chrono::seconds(30);
  // After `kill`, `restore` or `start` all clients must commit within this time.
  conf::Duration ready_within = std::chrono::seconds(120);
};

struct AgainstFile {
  AgainstEndpoint endpoint;
  AgainstCommands commands;
};

// Every key is checked as those of pointsman.toml are.
// `read_password`: false to look at no other file.
std::expected<AgainstFile, std::vector<conf::Problem>> load_against(const std::string& path);
std::expected<AgainstFile, std::vector<conf::Problem>> load_against_text(const std::string& text,
                                                                         const std::string& name,
                                                                         bool read_password = true);

}  // namespace pointsman::bench
