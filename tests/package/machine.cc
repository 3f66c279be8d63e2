#include "tests/package/machine.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>
#include <vector>

#include <sched.h>
#include <sys/mount.h>

namespace pointsman::package {

namespace fs = std::filesystem;
using testbed::Millis;

namespace {

constexpr Millis look_again{100};

std::string system_error(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

std::optional<pid_t> parent_of(const fs::path& process) {
  std::ifstream status(process / "status");
  std::string word;
  while (status >> word) {
    pid_t pid = 0;
    if (word == "PPid:" && status >> pid) return pid;
  }
  return std::nullopt;
}

std::optional<pid_t> child_of(pid_t parent) {
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && *end == '\0' && parent_of(entry.path()) == parent) return pid;
  }
  return std::nullopt;
}

// Once systemd has the process, and not the helpers of systemd-nspawn before it, which still see this host's
// files.
bool is_init(pid_t pid) {
  const fs::path process = fs::path("/proc") / std::to_string(pid);
  std::string name;
  std::getline(std::ifstream(process / "comm") >> std::ws, name);
  std::ifstream status(process / "status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("NSpid:")) return name == "systemd" && line.ends_with("\t1");
  return false;
}

// Runs what follows in a namespace of processes, so that nothing outlives the program that we started: the
// kernel sees to it. `proc`: where they are seen, "" for /proc.
std::vector<std::string> own_processes(const std::string& proc) {
  return {"unshare", "--net",        "--pid",
          "--fork",  "--kill-child", "--mount-proc" + (proc.empty() ? "" : "=" + proc)};
}

// What is mounted for a machine is seen by this thread, by those that it starts from now on and by their
// children alone, and ends with them. So it comes before the first program is run.
std::expected<void, std::string> own_mounts() {
  static bool done = false;
  if (done) return {};
  if (::unshare(CLONE_NEWNS) != 0) return std::unexpected(system_error("unshare"));
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return std::unexpected(system_error("mount --make-rprivate /"));
  // systemd-nspawn keeps things below /run, and wants no disk there.
  if (::mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") != 0)
    return std::unexpected(system_error("mount a tmpfs on /run"));
  done = true;
  return {};
}

}  // namespace

std::expected<std::unique_ptr<Machine>, std::string> Machine::create() {
  if (auto own = own_mounts(); !own) return std::unexpected(own.error());
  const auto made = testbed::run({.argv = {GET_TREE, "bookworm"}}, std::chrono::minutes(15));
  if (!made) return std::unexpected(made.error());
  if (made->code != 0) return std::unexpected(made->err);
  const fs::path tree = made->out.substr(0, made->out.find('\n'));
  auto lock = testbed::FileLock::take(tree.string() + ".machine.lock");
  if (!lock) return std::unexpected(lock.error());
  auto directory = testbed::TempDirectory::create("machine");
  if (!directory) return std::unexpected(directory.error());
  // In memory: what a disk must have safely, dpkg and servers wait for.
  if (::mount("tmpfs", directory->path().c_str(), "tmpfs", 0, "mode=755,size=2g") != 0)
    return std::unexpected(system_error("mount a tmpfs on " + directory->path().string()));
  for (const char* name : {"root", "upper", "work"}) fs::create_directory(directory->path() / name);
  const std::string at = directory->path();
  const std::string options =
      "lowerdir=" + tree.string() + ",upperdir=" + at + "/upper,workdir=" + at + "/work";
  std::unique_ptr<Machine> machine(new Machine(std::move(*directory), std::move(*lock), tree));
  if (::mount("overlay", machine->root_.c_str(), "overlay", 0, options.c_str()) != 0)
    return std::unexpected(system_error("mount an overlay on " + machine->root_.string()));
  // The tree starts no services; a machine does.
  fs::remove(machine->root_ / "usr/sbin/policy-rc.d");
  // An index of its manual pages is not worth the time.
  fs::remove(machine->root_ / "var/lib/man-db/auto-update");
  return machine;
}

Machine::Machine(testbed::TempDirectory directory, testbed::FileLock lock, fs::path tree)
    : directory_(std::move(directory)),
      lock_(std::move(lock)),
      tree_(std::move(tree)),
      root_(directory_.path() / "root") {}

Machine::~Machine() {
  if (process_.running()) {
    // SIGRTMIN+4: systemd powers off. So its control groups are removed, which they are not when it is
    // killed.
    sh("kill -s RTMIN+4 1");
    process_.wait(std::chrono::seconds(20));
    process_.kill();
  }
  ::umount2(root_.c_str(), MNT_DETACH);
  ::umount2(directory_.path().c_str(), MNT_DETACH);
}

std::expected<void, std::string> Machine::boot() {
  const std::string libraries = (tree_ / "usr/lib/x86_64-linux-gnu").string();
  std::vector<std::string> argv = own_processes("");
  argv.insert(argv.end(),
              {(tree_ / "lib64/ld-linux-x86-64.so.2").string(), "--library-path",
               libraries + ":" + libraries + "/systemd", (tree_ / "usr/bin/systemd-nspawn").string(),
               "--quiet", "--directory=" + root_.string(), "--machine=pointsman", "--register=no",
               "--keep-unit", "--private-network", "--capability=CAP_IPC_LOCK", "--resolv-conf=off",
               "--timezone=off", "--link-journal=no", "--console=pipe", "--boot"});
  const fs::path log = directory_.path() / "boot.log";
  auto started = testbed::Process::start({.argv = std::move(argv), .output = log});
  if (!started) return std::unexpected(started.error());
  process_ = std::move(*started);
  testbed::Finished said;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (process_.running() && std::chrono::steady_clock::now() < until) {
    // unshare's child is systemd-nspawn, whose child is the machine's first process.
    const auto outer = child_of(process_.pid());
    const auto inner = outer ? child_of(*outer) : std::nullopt;
    if (inner && is_init(*inner)) {
      init_ = *inner;
      said = sh("systemctl is-system-running --wait", std::chrono::seconds(30));
      if (said.out == "running\n") return {};
      if (said.out == "degraded\n") return std::unexpected(sh("systemctl --failed").out);
    }
    std::this_thread::sleep_for(look_again);
  }
  std::ifstream text(log);
  return std::unexpected("the machine does not boot: " + said.out + said.err +
                         std::string(std::istreambuf_iterator<char>(text), {}));
}

testbed::Finished Machine::sh(const std::string& script, Millis timeout) const {
  std::vector<std::string> argv;
  if (init_ != 0) {
    argv = {"nsenter", "--all", "--target", std::to_string(init_)};
  } else {
    argv = own_processes((root_ / "proc").string());
    argv.insert(argv.end(), {"chroot", root_.string()});
  }
  argv.insert(argv.end(),
              {"/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TERM=dumb",
               "HOME=/root", "DEBIAN_FRONTEND=noninteractive", "/bin/bash", "-c", script});
  auto done = testbed::run({.argv = std::move(argv)}, timeout);
  return done ? *done : testbed::Finished{.code = -1, .timed_out = false, .out = "", .err = done.error()};
}

}  // namespace pointsman::package
