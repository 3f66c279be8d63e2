#include "health/setup/option_file.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pointsman::setup {
namespace {

std::string system_text() {
  return std::error_code(errno, std::generic_category()).message();
}

std::string text_of(const Endpoint& endpoint) {
  std::string text = "[client]\nuser=" + option_value(endpoint.account.user) + "\n";
  text += "password=" + option_value(endpoint.account.password) + "\n";
  if (endpoint.address.host.starts_with('/')) {
    text += "protocol=socket\nsocket=" + option_value(endpoint.address.host) + "\n";
  } else {
    text += "protocol=tcp\nhost=" + option_value(endpoint.address.host) + "\n";
    text += "port=" + std::to_string(endpoint.address.port) + "\n";
  }
  return text;
}

}  // namespace

std::string option_value(const std::string& value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out + '"';
}

std::expected<OptionFile, std::string> OptionFile::create(const Endpoint& endpoint) {
  OptionFile file(::memfd_create("pointsman-client-options", MFD_CLOEXEC));
  if (file.fd_ < 0) return std::unexpected("cannot make an option file in memory: " + system_text());
  // The client programs ignore a file that everybody may write.
  const std::string text = text_of(endpoint);
  const bool written = ::fchmod(file.fd_, S_IRUSR | S_IWUSR) == 0 &&
                       ::write(file.fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (!written) return std::unexpected("cannot write an option file in memory: " + system_text());
  return file;
}

OptionFile::OptionFile(OptionFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

OptionFile::~OptionFile() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace pointsman::setup
