#include "proxy/cli/import_heartbeat.h"

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "health/io/system_text.h"

namespace pointsman::proxy::cli {
namespace {

namespace fs = std::filesystem;
using io::system_text;

constexpr mode_t readable_by_all = 0644;  // no secret is in these files

std::expected<void, conf::Problem> write_all_of(int fd, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::unexpected(conf::Problem{path, 0, 0, "cannot write: " + system_text(errno)});
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fsync(fd) != 0)
    return std::unexpected(conf::Problem{path, 0, 0, "cannot sync: " + system_text(errno)});
  return {};
}

// Beside its place first, then into it: by link(), which refuses to replace, or with `force` by rename(),
// which replaces.
std::expected<void, conf::Problem> write_file(const fs::path& path, std::string_view text, bool force) {
  const auto failed = [&](const std::string& what) {
    return std::unexpected(conf::Problem{path.string(), 0, 0, what + ": " + system_text(errno)});
  };
  std::string fresh = path.string() + ".XXXXXX";
  const int fd = ::mkostemp(fresh.data(), O_CLOEXEC);
  if (fd < 0) return failed("cannot create");
  auto written = write_all_of(fd, path.string(), text);
  if (written && ::fchmod(fd, readable_by_all) != 0) written = failed("cannot set its mode");
  ::close(fd);
  if (written) {
    const int moved = force ? ::rename(fresh.c_str(), path.c_str()) : ::link(fresh.c_str(), path.c_str());
    if (moved != 0) written = failed("cannot create");
  }
  ::unlink(fresh.c_str());  // after rename() it is not there any more
  return written;
}

}  // namespace

std::expected<Imported, std::vector<conf::Problem>> import_heartbeat(const ImportPaths& paths) {
  auto made = conf::import_heartbeat_files(paths.ha_cf, paths.haresources, paths.authkeys);
  if (!made) return std::unexpected(std::move(made.error()));

  const fs::path folder = paths.output_dir;
  std::vector<std::pair<fs::path, std::string_view>> files{{folder / "pointsman.toml", made->pointsman_toml}};
  for (const auto& agent : made->agents) files.emplace_back(folder / agent.node / "agent.toml", agent.text);

  std::vector<conf::Problem> problems;
  for (const auto& [path, text] : files) {
    std::error_code error;
    if (!paths.force && fs::exists(fs::symlink_status(path, error))) {
      problems.push_back({path.string(), 0, 0, "exists, and nothing was written; --force replaces it"});
    }
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));

  Imported imported;
  for (const auto& [path, text] : files) {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) {
      return std::unexpected(std::vector{
          conf::Problem{path.parent_path().string(), 0, 0, "cannot make the folder: " + error.message()}});
    }
    if (auto written = write_file(path, text, paths.force); !written) {
      return std::unexpected(std::vector{std::move(written.error())});
    }
    imported.written.push_back(path.string());
  }
  imported.notes = std::move(made->notes);
  return imported;
}

}  // namespace pointsman::proxy::cli
