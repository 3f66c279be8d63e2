#include "health/agent/copy_facts.h"

#include <cctype>
#include <cerrno>
#include <filesystem>
#include <sstream>
#include <system_error>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "health/agent/copy_state.h"
#include "health/copy/child.h"
#include "health/io/system_text.h"
#include "health/mysql/concat.h"
#include "health/setup/survey.h"

namespace pointsman::agent {

namespace fs = std::filesystem;
using mysql::concat;

namespace {

// Over the size of the data: what is written while they are copied, and what preparing adds.
constexpr std::uint64_t spare_bytes = std::uint64_t{64} << 20;

bool same_folder(const std::string& one, const std::string& two) {
  struct stat first{};
  struct stat second{};
  return ::stat(one.c_str(), &first) == 0 && ::stat(two.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

// Table files that lie elsewhere: a copy would have only the links to them.
bool has_files_elsewhere(const std::string& folder) {
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, error), end;
       !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".isl") return true;
  }
  return false;
}

}  // namespace

std::string backup_program(const conf::AgentConfig& config) {
  return config.copy.backup_program.empty() ? "mariadb-backup" : config.copy.backup_program;
}

// Of the same package.
std::string unpack_program(const conf::AgentConfig& config) {
  if (config.copy.backup_program.empty()) return "mbstream";
  const fs::path beside = fs::path(config.copy.backup_program).parent_path() / "mbstream";
  return copy::is_program(beside.native()) ? beside.string() : "mbstream";
}

std::expected<std::string, std::string> backup_version(const conf::AgentConfig& config) {
  const std::string program = backup_program(config);
  for (const std::string& name : {program, unpack_program(config)}) {
    if (!copy::is_program(name))
      return std::unexpected(concat("there is no program ", name, "; the package mariadb-backup has it"));
  }
  copy::Child child;
  if (auto started = child.start({.argv = {program, "--no-defaults", "--version"}}); !started)
    return std::unexpected(started.error());
  if (const std::string why = child.wait(); !why.empty()) return std::unexpected(why);
  // "mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)", on standard error.
  constexpr std::string_view before = "MariaDB server ";
  const std::string& said = child.said();
  const std::size_t at = said.find(before);
  if (at == std::string::npos) return std::unexpected(concat(program, " does not tell its version"));
  std::size_t end = at + before.size();
  while (end < said.size() && (std::isdigit(static_cast<unsigned char>(said[end])) != 0 || said[end] == '.'))
    ++end;
  return said.substr(at + before.size(), end - at - before.size());
}

std::expected<LocalServer, std::string> expected_server(const conf::AgentConfig& config,
                                                        const std::string& data) {
  const auto server = find_local_server(config.mysql.socket);
  if (!server) return std::unexpected(server.error());
  if (!*server) return std::unexpected(concat("no server listens at ", config.mysql.socket));
  if (!same_folder((*server)->data, data)) {
    return std::unexpected(concat("the server at ", config.mysql.socket, " has its data in ", (*server)->data,
                                  ", and the one to be copied in ", data));
  }
  return **server;
}

FolderBytes folder_bytes(const std::string& folder, const std::string& logs) {
  const auto is_log = [&logs](const fs::path& file) {
    std::istringstream lines(logs);
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty() && file.filename().native().starts_with(line + ".")) return true;
    }
    return false;
  };
  FolderBytes bytes;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, error), end;
       !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (!at->is_regular_file(gone) || (at.depth() == 0 && is_log(at->path()))) continue;
    const std::uintmax_t size = at->file_size(gone);
    if (gone) continue;
    bytes.needed += size;
    const std::string name = at->path().filename();
    const bool made_anew = at.depth() == 0 && (name.starts_with("ib_logfile") || name.starts_with("ibtmp"));
    if (!made_anew) bytes.copied += size;
  }
  return bytes;
}

std::string why_not_replaced(const conf::AgentConfig& config, const LocalServer& server,
                             std::uint64_t bytes) {
  if (config.copy.stop_command.empty())
    return "copy.stop_command and copy.start_command are not in its configuration";
  const CopyFolders folders(server.data);
  if (std::string why = folders.why_not(); !why.empty()) return why;
  struct statvfs room{};
  if (::statvfs(folders.data().parent_path().c_str(), &room) != 0)
    return concat(folders.data().parent_path().native(), ": ", io::system_text(errno));
  const std::uint64_t free = std::uint64_t{room.f_bavail} * room.f_frsize;
  const std::uint64_t wanted = bytes + bytes / 10 + spare_bytes;
  if (free < wanted) {
    return concat("beside ", folders.data().native(), " there are ", setup::size_text(free), " free, and ",
                  setup::size_text(wanted), " are needed: the old data stay until the copy has their place");
  }
  return "";
}

copy::Words copy_facts(const conf::AgentConfig& config, const copy::Words& question) {
  copy::Words facts{.verb = "facts", .values = {{"node", config.heartbeat.node}}};
  std::string why;
  const auto version = backup_version(config);
  if (version) {
    facts.values["version"] = *version;
  } else {
    why = version.error();
  }
  const auto server = expected_server(config, question.value("data"));
  if (!server) {
    why = server.error();
  } else {
    const FolderBytes bytes = folder_bytes(server->data, question.value("logs"));
    facts.values["bytes"] = std::to_string(bytes.needed);
    facts.values["copied"] = std::to_string(bytes.copied);
  }
  facts.values["not_from"] = why;
  facts.values["not_onto"] = why;
  if (!why.empty()) return facts;
  if (has_files_elsewhere(server->data))
    facts.values["not_from"] = "some of its tables' files are outside of its data folder";
  facts.values["not_onto"] = why_not_replaced(config, *server, question.number("bytes"));
  return facts;
}

}  // namespace pointsman::agent
