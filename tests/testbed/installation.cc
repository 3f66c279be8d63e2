#include "tests/testbed/installation.h"

#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

#include <unistd.h>

namespace pointsman::testbed {

namespace fs = std::filesystem;

namespace {

constexpr Millis initialise_timeout{120000};
constexpr Millis copy_timeout{60000};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string user_option() {
  return ::geteuid() == 0 ? "--user=root" : "";
}

std::expected<Installation, std::string> find_mariadb() {
  const std::string configured = environment("POINTSMAN_MARIADBD");
  Installation found{Product::mariadb, {configured.empty() ? "mariadbd" : configured}, {}, ""};
  return found;
}

std::expected<Installation, std::string> find_mysql() {
  fs::path root = environment("POINTSMAN_MYSQL_ROOT");
  if (root.empty()) {
    const auto cache = cache_directory();
    if (!cache) return std::unexpected(cache.error());
    root = *cache / "sid";
  }
  if (!fs::exists(root / "usr/sbin/mysqld")) {
    return std::unexpected("no MySQL server in " + root.string() + "; tests/testbed/get-mysql gets one");
  }
  const std::string r = root.string();
  // sid's own dynamic loader runs sid's program on this host's kernel: no chroot, so that paths, pids and
  // sockets are the host's. An option instead of LD_LIBRARY_PATH, which would reach programs that mysqld
  // starts.
  Installation found{
      Product::mysql,
      {r + "/lib64/ld-linux-x86-64.so.2", "--library-path", r + "/usr/lib/x86_64-linux-gnu:" + r + "/usr/lib",
       r + "/usr/sbin/mysqld"},
      {"basedir=" + r + "/usr", "plugin_dir=" + r + "/usr/lib/mysql/plugin",
       "lc_messages_dir=" + r + "/usr/share/mysql", "character_sets_dir=" + r + "/usr/share/mysql/charsets"},
      ""};
  return found;
}

// FNV-1a; std::hash may differ from build to build, and the cache outlives builds.
std::uint64_t hash_of(const std::vector<std::string>& words) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const std::string& word : words) {
    for (const char c : word + '\0') {
      hash ^= static_cast<unsigned char>(c);
      hash *= 1099511628211ULL;
    }
  }
  return hash;
}

std::string file_name_of(const std::string& text) {
  std::string name;
  for (const char c : text) name += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' ? c : '-';
  return name;
}

std::expected<void, std::string> run_or_fail(const std::vector<std::string>& argv, Millis timeout) {
  const auto finished = run({.argv = argv}, timeout);
  if (!finished) return std::unexpected(finished.error());
  if (finished->code == 0) return {};
  return std::unexpected(argv.front() + (finished->timed_out ? " did not end in time" : " failed") + ":\n" +
                         last_lines(finished->out + finished->err, 20));
}

std::expected<void, std::string> copy(const fs::path& from, const fs::path& to, const char* sparse) {
  return run_or_fail({"cp", "-a", "--reflink=auto", sparse, from.string(), to.string()}, copy_timeout);
}

// What `--version` says. Asked once a process: it loads the whole program, which takes longer than to copy
// the data of a server.
std::expected<std::string, std::string> version_of(const Installation& installation) {
  static std::mutex mutex;
  static std::map<std::vector<std::string>, std::string> known;
  const std::lock_guard lock(mutex);
  if (const auto found = known.find(installation.command); found != known.end()) return found->second;
  std::vector<std::string> argv = installation.command;
  argv.insert(argv.end(), {"--no-defaults", "--version"});
  const auto told = run({.argv = argv}, Millis(20000));
  if (!told) return std::unexpected(told.error());
  if (told->code != 0) return std::unexpected(last_lines(told->err, 3));
  const std::size_t begin = told->out.find("Ver ");
  if (begin == std::string::npos) return std::unexpected("cannot read the version out of: " + told->out);
  std::string version = told->out.substr(begin + 4, told->out.find(' ', begin + 4) - begin - 4);
  known.emplace(installation.command, version);
  return version;
}

// mariadb-install-db gives root accounts for TCP too, without a password; a server of ours runs as root and
// is reachable by every user of this machine on 127.0.0.1.
constexpr const char* mariadb_extra_sql =
    "DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';\n";

}  // namespace

std::expected<Installation, std::string> Installation::find(Product product) {
  auto found = product == Product::mariadb ? find_mariadb() : find_mysql();
  if (!found) return found;
  auto version = version_of(*found);
  if (!version) {
    return std::unexpected(std::string(to_string(product)) + " server does not run: " + version.error() +
                           (product == Product::mariadb ? "; tests/install test gets it" : ""));
  }
  found->version = std::move(*version);
  return found;
}

std::vector<std::string> Installation::initialise_command(const fs::path& work) const {
  const std::string data = (work / "data").string();
  if (product == Product::mariadb) {
    return {"mariadb-install-db",
            "--no-defaults",
            "--datadir=" + data,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-log-file-size=16M",
            "--innodb-buffer-pool-size=16M",
            "--extra-file=" + (work / "extra.sql").string()};
  }
  std::vector<std::string> argv = command;
  argv.emplace_back("--no-defaults");
  for (const std::string& setting : settings) argv.push_back("--" + setting);
  argv.insert(argv.end(), {"--initialize-insecure", "--datadir=" + data, "--innodb-redo-log-capacity=16M",
                           "--skip-log-bin", "--secure-file-priv=", "--mysqlx=OFF"});
  return argv;
}

std::expected<void, std::string> Installation::initialise(const fs::path& work) const {
  if (product == Product::mariadb) {
    if (auto written = write_file(work / "extra.sql", mariadb_extra_sql); !written) return written;
  }
  std::vector<std::string> argv = initialise_command(work);
  if (const std::string user = user_option(); !user.empty()) argv.push_back(user);
  if (auto done = run_or_fail(argv, initialise_timeout); !done) return done;
  std::error_code ignored;
  fs::remove(work / "data/auto.cnf", ignored);  // holds server_uuid; each copy makes its own
  // Doublewrite files. After a clean end nothing is in them, and a start reads them whole.
  for (const auto& file : fs::directory_iterator(work / "data", ignored)) {
    if (file.path().extension() == ".dblwr") fs::remove(file.path(), ignored);
  }
  return {};
}

std::expected<fs::path, std::string> Installation::find_or_make_template() const {
  const auto cache = cache_directory();
  if (!cache) return std::unexpected(cache.error());
  std::vector<std::string> key = initialise_command("");
  key.insert(key.end(), {version, mariadb_extra_sql, user_option(), "sparse, without doublewrite files"});
  const fs::path made =
      *cache / "data" /
      (std::string(to_string(product)) + "-" + file_name_of(version) + "-" + std::to_string(hash_of(key)));
  if (fs::exists(made)) return made;

  std::error_code error;
  fs::create_directories(made.parent_path(), error);
  const auto lock = FileLock::take(made.string() + ".lock");
  if (!lock) return std::unexpected(lock.error());
  if (fs::exists(made)) return made;
  const fs::path work = made.string() + ".tmp";
  fs::remove_all(work, error);
  const auto guard = TempDirectory::create_at(work);
  if (!guard) return std::unexpected(guard.error());
  if (auto done = initialise(work); !done) return std::unexpected(done.error());
  // Half of it is zeros, which no copy then has to read.
  if (auto done = copy(work / "data", work / "sparse", "--sparse=always"); !done)
    return std::unexpected(done.error());
  fs::rename(work / "sparse", made, error);  // complete or absent, never half
  if (error) return std::unexpected("cannot rename to " + made.string() + ": " + error.message());
  return made;
}

std::expected<void, std::string> Installation::make_data_directory(const fs::path& data) const {
  const auto from = find_or_make_template();
  if (!from) return std::unexpected(from.error());
  return copy(*from, data, "--sparse=auto");
}

std::expected<void, std::string> write_mysqlbinlog(const fs::path& path) {
  const auto found = find_mysql();
  if (!found) return std::unexpected(found.error());
  std::string script = "#!/bin/sh\nexec";
  for (std::string word : found->command) {
    if (word.ends_with("/sbin/mysqld")) word = fs::path(word).parent_path().parent_path() / "bin/mysqlbinlog";
    script += " '" + word + "'";
  }
  if (auto written = write_file(path, script + " \"$@\"\n"); !written) return written;
  std::error_code error;
  fs::permissions(path, fs::perms::owner_all | fs::perms::group_exec | fs::perms::group_read, error);
  if (error) return std::unexpected("cannot make " + path.string() + " executable: " + error.message());
  return {};
}

}  // namespace pointsman::testbed
