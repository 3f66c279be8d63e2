#include "conf/secret.h"

#include "conf/file.h"

namespace pointsman::conf {

std::expected<std::string, std::string> read_private_file(const std::string& path, std::size_t limit) {
  const auto file = InputFile::open(path);
  if (!file) return std::unexpected(file.error());
  const struct stat& status = file->status();
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return std::unexpected("owned by user id " + std::to_string(status.st_uid) +
                           ", expected the reading user (" + std::to_string(::geteuid()) + ") or root");
  }
  if ((status.st_mode & 077U) != 0)
    return std::unexpected("accessible by group or others; run: chmod 600 " + path);
  return file->read(limit);
}

std::expected<std::string, std::string> read_secret(const std::string& path) {
  const auto refuse = [&path](const std::string& why) { return std::unexpected(path + ": " + why); };
  const auto content = read_private_file(path, max_secret_file);
  if (!content) return refuse(content.error());
  if (content->empty()) return refuse("empty");
  if (content->contains('\0')) return refuse("contains a NUL byte");
  std::string line = content->substr(0, content->find('\n'));
  if (line.ends_with('\r')) line.pop_back();
  if (line.empty()) return refuse("the first line is empty");
  return line;
}

}  // namespace pointsman::conf
