#include "health/agent/role_file.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pointsman::agent {
namespace {

constexpr std::string_view head = "pointsman-agent role 2";
// Of an agent before 2, which did not keep kill_hung.
constexpr std::string_view old_head = "pointsman-agent role 1";
constexpr std::size_t longest = 512;  // bytes

std::string failure(std::string_view what, const std::string& path) {
  const int error = errno;
  return std::string(what) + " " + path + ": " + std::error_code(error, std::generic_category()).message();
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

// Takes "KEY=VALUE\n" from the front.
std::optional<std::string_view> take(std::string_view& text, std::string_view key) {
  if (!text.starts_with(key) || !text.substr(key.size()).starts_with('=')) return std::nullopt;
  text.remove_prefix(key.size() + 1);
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view value = text.substr(0, end);
  text.remove_prefix(end + 1);
  return value;
}

std::optional<std::uint64_t> take_number(std::string_view& text, std::string_view key) {
  const auto value = take(text, key);
  std::uint64_t number = 0;
  if (!value) return std::nullopt;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (error != std::errc{} || end != value->data() + value->size()) return std::nullopt;
  return number;
}

}  // namespace

std::string role_text(const core::GuardMemory& memory, std::string_view boot) {
  return std::string(head) + "\nboot=" + std::string(boot) + "\nepoch=" + std::to_string(memory.epoch.value) +
         "\nprimary=" + (memory.primary ? "1" : "0") +
         "\nlease_ms=" + std::to_string(core::to_ms(memory.lease)) + "\nlease_until_ns=" +
         std::to_string(memory.lease_until ? memory.lease_until->time_since_epoch().count() : 0) +
         "\nread_only_by_us=" + (memory.read_only_by_us ? "1" : "0") +
         "\nkill_hung=" + (memory.kill_hung ? "1" : "0") + "\n";
}

std::expected<core::GuardMemory, std::string> parse_role(std::string_view text, std::string_view boot) {
  const auto damaged = [] { return std::unexpected(std::string("it is damaged")); };
  const std::string_view first = text.substr(0, text.find('\n'));
  const bool old = first == old_head;
  if (text.size() > longest || first.size() == text.size() || (first != head && !old)) return damaged();
  text.remove_prefix(first.size() + 1);
  const auto of_boot = take(text, "boot");
  const auto epoch = take_number(text, "epoch");
  const auto primary = take_number(text, "primary");
  const auto lease = take_number(text, "lease_ms");
  const auto until = take_number(text, "lease_until_ns");
  const auto by_us = take_number(text, "read_only_by_us");
  const auto kills = old ? std::optional<std::uint64_t>(0) : take_number(text, "kill_hung");
  if (!of_boot || !epoch || !primary || *primary > 1 || !lease || !until || !by_us || *by_us > 1 || !kills ||
      *kills > 1 || *lease > std::numeric_limits<std::uint32_t>::max() ||
      *until > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) || !text.empty())
    return damaged();
  if (*of_boot != boot) return core::GuardMemory{};
  core::GuardMemory memory{.epoch = core::Epoch{*epoch},
                           .primary = *primary == 1,
                           .lease = std::chrono::milliseconds(*lease),
                           .read_only_by_us = *by_us == 1,
                           .kill_hung = *kills == 1};
  // The clock goes on over everything but a boot.
  if (*until != 0) memory.lease_until = core::Instant(core::Duration(static_cast<std::int64_t>(*until)));
  return memory;
}

RoleFile::RoleFile(std::string directory)
    : directory_(std::move(directory)), path_(directory_ + "/role"), boot_(boot_id()) {}

std::expected<core::GuardMemory, std::string> RoleFile::load() const {
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    if (errno == ENOENT) return core::GuardMemory{};
    return std::unexpected(failure("cannot open", path_));
  }
  std::array<char, longest + 1> content;
  const ssize_t got = ::read(fd, content.data(), content.size());
  const std::string unreadable = got < 0 ? failure("cannot read", path_) : "";
  ::close(fd);
  if (got < 0) return std::unexpected(unreadable);
  auto memory = parse_role({content.data(), static_cast<std::size_t>(got)}, boot_);
  if (!memory) return std::unexpected(path_ + ": " + memory.error());
  return memory;
}

std::expected<void, std::string> RoleFile::save(const core::GuardMemory& memory) const {
  if (::mkdir(directory_.c_str(), 0750) != 0 && errno != EEXIST)
    return std::unexpected(failure("cannot create fence.state_dir", directory_));
  const std::string next = path_ + ".new";
  const int fd = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return std::unexpected(failure("cannot create", next));
  const std::string text = role_text(memory, boot_);
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const std::string why = written ? "" : failure("cannot write", next);
  ::close(fd);
  if (!written) return std::unexpected(why);
  if (std::rename(next.c_str(), path_.c_str()) != 0) return std::unexpected(failure("cannot replace", path_));
  return {};
}

}  // namespace pointsman::agent
