#include "health/agent/copy_state.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "health/agent/file_failure.h"
#include "health/io/descriptor.h"
#include "health/io/system_text.h"
#include "health/mysql/concat.h"

namespace pointsman::agent {

namespace fs = std::filesystem;
using mysql::concat;
using Outcome = std::expected<void, std::string>;

namespace {

constexpr std::string_view head = "pointsman-agent copy 1\n";
constexpr std::size_t longest = 8192;  // bytes
constexpr std::array<std::pair<std::string_view, CopyState::Stage>, 3> stages{{
    {"filling", CopyState::Stage::filling},
    {"swapping", CopyState::Stage::swapping},
    {"keeping", CopyState::Stage::keeping},
}};

bool is_there(const fs::path& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0;
}

// A rename is on disk when its folder is.
Outcome sync_folder(const fs::path& folder) {
  const io::Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return file_failure("cannot sync", folder);
  return {};
}

Outcome rename_durably(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    return file_failure(concat("cannot rename ", from.native(), " to"), to);
  return sync_folder(to.parent_path());
}

}  // namespace

const char* to_string(CopyState::Stage stage) {
  for (const auto& [word, value] : stages) {
    if (value == stage) return word.data();
  }
  return "?";
}

std::string copy_state_text(const CopyState& state) {
  return concat(head, "stage=", to_string(state.stage), "\ndata=", state.data, "\n");
}

std::expected<CopyState, std::string> parse_copy_state(std::string_view text) {
  const auto take = [&text](std::string_view key) -> std::optional<std::string_view> {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || !text.starts_with(key)) return std::nullopt;
    const std::string_view value = text.substr(key.size(), end - key.size());
    text.remove_prefix(end + 1);
    return value;
  };
  if (text.size() > longest || !text.starts_with(head)) return std::unexpected("it is damaged");
  text.remove_prefix(head.size());
  const auto stage = take("stage=");
  const auto data = take("data=");
  if (!stage || !data || !data->starts_with('/') || data->size() < 2 || !text.empty())
    return std::unexpected("it is damaged");
  for (const auto& [word, value] : stages) {
    if (word == *stage) return CopyState{.stage = value, .data = std::string(*data)};
  }
  return std::unexpected("it is damaged");
}

CopyStateFile::CopyStateFile(std::string directory)
    : directory_(std::move(directory)), path_(directory_ + "/copy") {}

std::expected<std::optional<CopyState>, std::string> CopyStateFile::load() const {
  const io::Descriptor fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    if (errno == ENOENT) return std::optional<CopyState>();
    return file_failure("cannot open", path_);
  }
  std::array<char, longest + 1> content{};
  const ssize_t got = ::read(fd.get(), content.data(), content.size());
  if (got < 0) return file_failure("cannot read", path_);
  auto state = parse_copy_state({content.data(), static_cast<std::size_t>(got)});
  if (!state) return std::unexpected(concat(path_, ": ", state.error()));
  return std::optional(std::move(*state));
}

Outcome CopyStateFile::save(const CopyState& state) const {
  const std::string text = copy_state_text(state);
  if (!parse_copy_state(text)) return std::unexpected(concat("cannot note the folder ", state.data));
  if (::mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST)
    return file_failure("cannot create copy.state_dir", directory_);
  const std::string next = path_ + ".new";
  const io::Descriptor fd(::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return file_failure("cannot create", next);
  const bool written = ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd.get()) == 0;
  if (!written) return file_failure("cannot write", next);
  return rename_durably(next, path_);
}

Outcome CopyStateFile::remove() const {
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) return file_failure("cannot remove", path_);
  return sync_folder(directory_);
}

CopyFolders::CopyFolders(fs::path data)
    : data_(std::move(data)), fresh_(data_.native() + fresh_suffix), old_(data_.native() + old_suffix) {}

std::string CopyFolders::why_not() const {
  struct stat folder{};
  struct stat above{};
  if (::lstat(data_.c_str(), &folder) != 0 || ::stat(data_.parent_path().c_str(), &above) != 0)
    return concat(data_.native(), ": ", io::system_text(errno));
  if (!S_ISDIR(folder.st_mode)) return concat(data_.native(), " is no folder");
  if (folder.st_dev != above.st_dev)
    return concat(data_.native(), " is a file system of its own, whose place no other folder can take");
  if (::access(data_.parent_path().c_str(), W_OK) != 0)
    return concat("cannot write beside ", data_.native(), ": ", io::system_text(errno));
  for (const fs::path& path : {fresh_, old_}) {
    if (is_there(path)) return concat(path.native(), " is there, and not by this agent: remove it");
  }
  return "";
}

Outcome CopyFolders::swap() const {
  if (auto away = rename_durably(data_, old_); !away) return away;
  return rename_durably(fresh_, data_);
}

bool CopyFolders::swapped() const {
  return is_there(old_);
}

Outcome CopyFolders::swap_back() const {
  if (!swapped()) return {};
  if (is_there(data_)) {
    if (is_there(fresh_)) {
      return std::unexpected(concat(data_.native(), ", ", fresh_.native(), " and ", old_.native(),
                                    " are all there; the last one has the server's data"));
    }
    if (auto away = rename_durably(data_, fresh_); !away) return away;
  }
  return rename_durably(old_, data_);
}

Outcome remove_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) return std::unexpected(concat("cannot remove ", folder.native(), ": ", error.message()));
  return {};
}

}  // namespace pointsman::agent
