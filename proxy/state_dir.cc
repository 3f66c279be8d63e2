#include "proxy/state_dir.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pointsman::proxy {
namespace {

constexpr int format_version = 1;

std::string system_says(const std::string& what, const std::string& path) {
  return what + " " + path + ": " + std::strerror(errno);
}

// Closes on every way out.
class File {
 public:
  File(const std::string& path, int flags, mode_t mode = 0)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool ok() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::expected<void, std::string> write_synced(const std::string& path, const std::string& text) {
  File file(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
  if (!file.ok()) return std::unexpected(system_says("cannot create", path));
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(file.fd(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::unexpected(system_says("cannot write", path));
    done += static_cast<std::size_t>(n);
  }
  if (::fsync(file.fd()) != 0) return std::unexpected(system_says("cannot sync", path));
  return {};
}

std::expected<void, std::string> sync_directory(const std::string& path) {
  File directory(path, O_RDONLY | O_DIRECTORY);
  if (!directory.ok() || ::fsync(directory.fd()) != 0)
    return std::unexpected(system_says("cannot sync directory", path));
  return {};
}

const char* flavour_word(const core::GtidSet& set) {
  return set.flavour() == core::Flavour::mariadb ? "mariadb" : "mysql";
}

core::GtidSet gtids_from_json(const nlohmann::json& in, const char* key) {
  const bool mariadb = in.at("flavour").get<std::string>() == "mariadb";
  auto set = core::GtidSet::parse(mariadb ? core::Flavour::mariadb : core::Flavour::mysql,
                                  in.at(key).get<std::string>());
  if (!set) throw std::runtime_error(set.error());
  return *std::move(set);
}

nlohmann::json to_json(const core::Promise& promise) {
  return {{"successor", promise.successor},
          {"epoch", promise.epoch.value},
          {"flavour", flavour_word(promise.safe)},
          {"safe", promise.safe.to_string()},
          {"at_stake", promise.at_stake.to_string()},
          {"reign", promise.reign.to_string()},
          {"kept", promise.kept},
          {"for_ever", promise.for_ever},
          {"process_ended", promise.process_ended},
          {"end_unseen", promise.end_unseen},
          {"why", promise.why}};
}

core::Promise promise_from_json(const nlohmann::json& in) {
  core::Promise promise;
  promise.successor = in.at("successor").get<std::string>();
  promise.epoch.value = in.at("epoch").get<std::uint64_t>();
  promise.safe = gtids_from_json(in, "safe");
  promise.at_stake = gtids_from_json(in, "at_stake");
  promise.reign = gtids_from_json(in, "reign");
  promise.kept = in.at("kept").get<bool>();
  promise.for_ever = in.at("for_ever").get<bool>();
  promise.process_ended = in.at("process_ended").get<bool>();
  promise.end_unseen = in.value("end_unseen", true);
  promise.why = in.at("why").get<std::string>();
  return promise;
}

nlohmann::json to_json(const core::Degraded& degraded) {
  return {{"primary", degraded.primary},
          {"flavour", flavour_word(degraded.known)},
          {"since", degraded.since.to_string()},
          {"known", degraded.known.to_string()},
          {"unix_ms", degraded.unix_ms}};
}

core::Degraded degraded_from_json(const nlohmann::json& in) {
  return {in.at("primary").get<std::string>(), gtids_from_json(in, "since"), gtids_from_json(in, "known"),
          in.at("unix_ms").get<std::int64_t>()};
}

nlohmann::json to_json(const core::DurableState& state) {
  nlohmann::json out = {{"format", format_version},         {"epoch", state.epoch.value},
                        {"primary", state.primary},         {"paused", state.paused},
                        {"maintenance", state.maintenance}, {"quarantined", state.quarantined},
                        {"following", state.following},     {"leased", state.leased}};
  for (const auto& [name, begun] : state.taking_back) {
    out["taking_back"][name] = {{"flavour", flavour_word(begun.errant)},
                                {"errant", begun.errant.to_string()},
                                {"reign", begun.reign.to_string()},
                                {"not_if_shut_down", begun.not_if_shut_down}};
  }
  for (const auto& [name, leader] : state.leaders) out["leaders"][name] = leader;
  for (const auto& [name, promise] : state.promises) out["promises"][name] = to_json(promise);
  if (state.degraded) out["degraded"] = to_json(*state.degraded);
  if (state.automatic) out["automatic"] = *state.automatic;
  if (state.events_due) out["events_due"] = {{"scheduler", state.events_due->scheduler}};
  if (state.change)
    out["change"] = {{"kind", state.change->kind}, {"from", state.change->from}, {"to", state.change->to}};
  return out;
}

core::DurableState from_json(const nlohmann::json& in) {
  core::DurableState state;
  if (in.at("format").get<int>() != format_version) throw std::runtime_error("written by another version");
  state.epoch.value = in.at("epoch").get<std::uint64_t>();
  state.primary = in.at("primary").get<std::string>();
  state.paused = in.at("paused").get<bool>();
  state.maintenance = in.at("maintenance").get<std::vector<std::string>>();
  state.quarantined = in.at("quarantined").get<std::vector<std::string>>();
  state.following = in.at("following").get<std::vector<std::string>>();
  if (in.contains("leased")) state.leased = in["leased"].get<std::vector<std::string>>();
  if (in.contains("taking_back")) {
    for (const auto& [name, begun] : in["taking_back"].items())
      state.taking_back[name] = {gtids_from_json(begun, "errant"), gtids_from_json(begun, "reign"),
                                 begun.value("not_if_shut_down", false)};
  }
  if (in.contains("leaders")) state.leaders = in["leaders"].get<std::map<std::string, std::string>>();
  if (in.contains("promises")) {
    for (const auto& [name, promise] : in["promises"].items())
      state.promises[name] = promise_from_json(promise);
  }
  if (in.contains("degraded")) state.degraded = degraded_from_json(in["degraded"]);
  if (in.contains("automatic")) state.automatic = in["automatic"].get<bool>();
  if (in.contains("events_due"))
    state.events_due = core::EventsDue{in["events_due"].at("scheduler").get<bool>()};
  if (in.contains("change")) {
    const auto& change = in["change"];
    state.change = core::ChangeMark{change.at("kind").get<std::string>(),
                                    change.at("from").get<std::string>(), change.at("to").get<std::string>()};
  }
  return state;
}

}  // namespace

std::expected<StateDir, std::string> StateDir::open(const std::string& path) {
  if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST)
    return std::unexpected(system_says("cannot create proxy.state_dir", path));
  const std::string lock_path = path + "/lock";
  File lock(lock_path, O_RDWR | O_CREAT, 0640);
  if (!lock.ok())
    return std::unexpected(system_says("cannot write to proxy.state_dir: cannot open", lock_path));
  if (::flock(lock.fd(), LOCK_EX | LOCK_NB) != 0) {
    return std::unexpected("another pointsman runs with proxy.state_dir " + path);
  }
  return StateDir(path, lock.release());
}

std::expected<StateDir, std::string> StateDir::adopt(const std::string& path, io::Descriptor lock) {
  struct stat held{};
  struct stat there{};
  const bool same = ::fstat(lock.get(), &held) == 0 && ::stat((path + "/lock").c_str(), &there) == 0 &&
                    held.st_dev == there.st_dev && held.st_ino == there.st_ino;
  if (!same) return std::unexpected("the running daemon does not hold the lock of proxy.state_dir " + path);
  return StateDir(path, lock.release());
}

StateDir::~StateDir() {
  if (lock_ >= 0) ::close(lock_);
}

StateDir::StateDir(StateDir&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

std::expected<core::DurableState, std::string> StateDir::load() const {
  const std::string file = path_ + "/state.json";
  std::ifstream in(file);
  if (!in) {
    if (::access(file.c_str(), F_OK) != 0 && errno == ENOENT) return core::DurableState{};
    return std::unexpected(system_says("cannot read", file));
  }
  std::stringstream text;
  text << in.rdbuf();
  // The library reports a wrong shape by exceptions; they end here.
  try {
    return from_json(nlohmann::json::parse(text.str()));
  } catch (const std::exception& e) {
    return std::unexpected(
        file + " cannot be understood (" + e.what() +
        "); when you know which server is the primary, move the file away and start again");
  }
}

std::expected<void, std::string> StateDir::save(const std::string& path, const core::DurableState& state) {
  const std::string beside = path + "/state.json.new";
  const std::string file = path + "/state.json";
  if (auto written = write_synced(beside, to_json(state).dump(2) + "\n"); !written) return written;
  if (::rename(beside.c_str(), file.c_str()) != 0)
    return std::unexpected(system_says("cannot rename to", file));
  return sync_directory(path);
}

}  // namespace pointsman::proxy
