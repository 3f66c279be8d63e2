#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/live/world.h"
#include "tests/live/writer.h"
#include "tests/testbed/done.h"

// What stands in the way of a switchover on real servers: it is named, waited for, ended as told, or the
// change is undone.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using testbed::Finished;
using testbed::Product;
using testbed::Sql;

// Lets a server tell who holds locks: MySQL as it does by default, which the testbed switches off; MariaDB,
// which then tells how much room there is, too, by plugins that tests/install has unpacked.
std::vector<std::string> telling(Product product) {
  if (product == Product::mysql) {
    return {"performance_schema_instrument = 'wait/lock/metadata/sql/mdl=ON'",
            "performance_schema_consumer_global_instrumentation = ON"};
  }
  const char* cache = std::getenv("POINTSMAN_CACHE");
  return {
      std::string("plugin_dir = ") + (cache != nullptr ? cache : "/var/cache/pointsman") + "/mariadb-plugins",
      "plugin_load_add = metadata_lock_info.so", "plugin_load_add = disks.so"};
}

class Obstacles : public LiveTest {
 protected:
  void start(std::vector<std::string> settings = {}) {
    world_ = World::make({.product = GetParam(), .settings = std::move(settings)},
                         {{"log", {{"level", "\"debug\""}}}});
    ASSERT_NE(world_.daemon, nullptr);
    ASSERT_TRUE(root(0).execute_all({"CREATE TABLE app.held (id INT PRIMARY KEY, v INT) ENGINE=InnoDB",
                                     "INSERT INTO app.held VALUES (1, 0), (2, 0)"}));
    ASSERT_TRUE(world_.replica_catches_up());
    writer_ = std::make_unique<Writer>(*world_.daemon, *world_.cluster);
    ASSERT_TRUE(writer_->wait_for(20, soon)) << writer_->last_error();
  }
  bool mysql() const { return GetParam() == Product::mysql; }
  Finished type(std::vector<std::string> command) {
    auto done = world_.daemon->command(std::move(command));
    EXPECT_TRUE(done) << done.error();
    return done ? *done : Finished{};
  }
  Sql application() {
    auto sql = world_.daemon->connect(world_.cluster->accounts().application, "app");
    EXPECT_TRUE(sql) << sql.error().text;
    return std::move(*sql);
  }
  Sql root(std::size_t i) {
    auto sql = world_.db(i).root();
    EXPECT_TRUE(sql) << sql.error().text;
    return std::move(*sql);
  }
  static void must(Sql& sql, const std::string& statement) {
    const auto done = sql.execute(statement);
    ASSERT_TRUE(done) << done.error().text;
  }
  // Refused, with nothing changed: the writer was never held, no change is in the history.
  void expect_refused(const Finished& done, Clock::time_point since, const std::vector<std::string>& texts) {
    EXPECT_EQ(done.code, 1) << done.out << done.err;
    for (const auto& text : texts) EXPECT_TRUE(has(done.err, text)) << text << " is not in: " << done.err;
    EXPECT_TRUE(has(done.err, "nothing was changed")) << done.err;
    EXPECT_TRUE(world_.last_event("switchover").is_null());
    ASSERT_TRUE(writer_->wait_for(5, soon)) << writer_->last_error();
    EXPECT_EQ(writer_->errors(), 0U) << writer_->last_error();
    EXPECT_LT(writer_->longest_gap(since), 900ms);
  }
  // Undone: writes go on where they were, and everybody has the role that he had.
  void expect_undone(const std::string& step, const std::vector<std::string>& texts) {
    const auto event = world_.last_event("switchover");
    ASSERT_FALSE(event.is_null()) << world_.story();
    EXPECT_EQ(event["ok"], false) << event;
    const std::string message = event["message"];
    EXPECT_TRUE(has(message, "failed: " + step)) << message;
    for (const auto& text : texts) EXPECT_TRUE(has(message, text)) << text << " is not in: " << message;
    ASSERT_TRUE(writer_->wait_for(20, soon)) << writer_->last_error() << world_.story();
    world_.expect_in_order("db1");
  }
  std::string semi_sync() {
    return world_.ask(world_.db(0), mysql() ? "SELECT @@rpl_semi_sync_source_enabled"
                                            : "SELECT @@rpl_semi_sync_master_enabled");
  }

  World world_;
  std::unique_ptr<Writer> writer_;
};
INSTANTIATE_TEST_SUITE_P(Each, Obstacles, testing::Values(Product::mariadb, Product::mysql), product_name);

// A client forgot to commit. It is named and waited for; nothing is changed, by the dry run neither; told to
// end it, the switchover does, after the wait.
TEST_P(Obstacles, OpenTransaction) {
  ASSERT_NO_FATAL_FAILURE(start());
  Sql idle = application();
  must(idle, "BEGIN");
  must(idle, "UPDATE held SET v = 7 WHERE id = 1");
  std::this_thread::sleep_for(3s);
  const auto began = Clock::now();
  const std::vector<std::string> name = {"db1: thread " + std::to_string(idle.connection_id()) + " (app@",
                                         "a transaction open for ", ": idle"};
  const Finished dry = type({"switchover", "--dry-run", "--max-wait", "1m"});
  EXPECT_EQ(dry.code, 0) << dry.err;
  for (const auto& text : name) EXPECT_TRUE(has(dry.out, text)) << text << " is not in: " << dry.out;
  const Finished refused = type({"switchover", "--max-wait", "1s"});
  expect_refused(refused, began, name);
  EXPECT_TRUE(has(refused.err, "--end-transactions")) << refused.err;
  EXPECT_GE(Clock::now() - began, 1s);
  must(idle, "UPDATE held SET v = 8 WHERE id = 1");  // nobody ended it

  const Finished done = type({"switchover", "--max-wait", "500ms", "--end-transactions"});
  ASSERT_EQ(done.code, 0) << done.out << done.err << world_.story();
  EXPECT_TRUE(has(done.out, "ended: " + name[0])) << done.out;
  EXPECT_FALSE(idle.execute("COMMIT"));
  world_.expect_in_order("db2");
  EXPECT_EQ(world_.ask(world_.db(1), "SELECT v FROM app.held WHERE id = 1"), "0");
  writer_->stop();
  EXPECT_TRUE(world_.missing(world_.db(1), writer_->acknowledged()).empty());
}

// A long statement ends by itself while it is waited for: it is not cut off, and the switchover goes on.
TEST_P(Obstacles, StatementIsWaitedFor) {
  ASSERT_NO_FATAL_FAILURE(start());
  Sql busy = application();
  auto ends = std::async(std::launch::async,
                         [&] { return busy.execute("UPDATE held SET v = SLEEP(5) + 5 WHERE id = 1"); });
  std::this_thread::sleep_for(3s);
  const Finished done = type({"switchover", "--max-wait", "1m"});
  ASSERT_EQ(done.code, 0) << done.out << done.err << world_.story();
  const auto ended = ends.get();
  EXPECT_TRUE(ended) << ended.error().text;
  EXPECT_TRUE(has(done.out, "waited ")) << done.out;
  EXPECT_TRUE(has(done.out, "UPDATE held SET v = SLEEP(5)")) << done.out;
  EXPECT_EQ(world_.ask(world_.db(1), "SELECT v FROM app.held WHERE id = 1"), "5");
  world_.expect_in_order("db2");
}

// LOCK TABLES of a client. MySQL and a MariaDB with the plugin metadata_lock_info name it before anything is
// touched.
TEST_P(Obstacles, TableLock) {
  ASSERT_NO_FATAL_FAILURE(start(telling(GetParam())));
  Sql locks = application();
  must(locks, "LOCK TABLES held WRITE");
  const auto began = Clock::now();
  expect_refused(type({"switchover", "--max-wait", "1s"}), began,
                 {"db1: thread " + std::to_string(locks.connection_id()) + " (app@", "LOCK TABLES"});
  const Finished done = type({"switchover", "--max-wait", "0s", "--end-transactions"});
  EXPECT_EQ(done.code, 0) << done.out << done.err << world_.story();
  EXPECT_FALSE(locks.execute("UNLOCK TABLES"));
  world_.expect_in_order("db2");
}

// Another MariaDB does not tell: it is held up by the lock for two seconds, and that is undone.
TEST(ObstaclesMariaDb, TableLockThatIsNotSeen) {
  World world = World::make({});
  ASSERT_NE(world.daemon, nullptr);
  Writer writer(*world.daemon, *world.cluster);
  ASSERT_TRUE(writer.wait_for(20, soon)) << writer.last_error();
  auto locks = world.db(0).root();
  ASSERT_TRUE(locks && locks->execute_all({"CREATE TABLE app.held (v INT)", "LOCK TABLES app.held WRITE"}));
  const auto began = Clock::now();
  const auto done = world.daemon->command({"switchover", "--max-wait", "1s"});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->code, 1) << done->out << done->err;
  const std::string message = world.last_event("switchover")["message"];
  EXPECT_TRUE(has(message, "failed: read_only") && has(message, "LOCK TABLES")) << message;
  ASSERT_TRUE(writer.wait_for(20, soon)) << writer.last_error() << world.story();
  EXPECT_LT(writer.longest_gap(began), 4s);
  world.expect_in_order("db1");
}

// A backup holds its lock, on the primary or on the target: it is named and never ended.
TEST_P(Obstacles, Backup) {
  ASSERT_NO_FATAL_FAILURE(start(telling(GetParam())));
  for (const std::size_t where : {0U, 1U}) {
    for (const bool whole_server : {false, true}) {
      if (whole_server && where == 0) continue;  // its writer would wait
      Sql backup = root(where);
      must(backup, whole_server ? "FLUSH TABLES WITH READ LOCK"
                   : mysql()    ? "LOCK INSTANCE FOR BACKUP"
                                : "BACKUP STAGE START");
      const auto began = Clock::now();
      const std::string name =
          "db" + std::to_string(where + 1) + ": thread " + std::to_string(backup.connection_id()) + " (root@";
      expect_refused(type({"switchover", "--max-wait", "500ms", "--end-transactions"}), began,
                     {name, "the lock of a backup"});
      must(backup, whole_server ? "UNLOCK TABLES" : mysql() ? "UNLOCK INSTANCE" : "BACKUP STAGE END");
    }
  }
  const Finished done = type({"switchover"});
  EXPECT_EQ(done.code, 0) << done.err << world_.story();
  world_.expect_in_order("db2");
}

// A small disk for both servers, unmounted at the end. For root.
class SmallDisk {
 public:
  SmallDisk() : directory_(*testbed::TempDirectory::create("disk")) {
    mounted_ = ::mount("none", path().c_str(), "tmpfs", 0, "size=2g") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path().c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  std::filesystem::path path() const { return directory_.path(); }
  // With a file that is in the way.
  bool leave_free(std::uintmax_t bytes) const {
    const std::filesystem::path file = path() / "filler";
    std::filesystem::remove(file);
    const auto room = std::filesystem::space(path()).available;
    if (room < bytes) return false;
    const int fd = ::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const bool filled = fd >= 0 && ::posix_fallocate(fd, 0, static_cast<off_t>(room - bytes)) == 0;
    if (fd >= 0) ::close(fd);
    return filled;
  }

 private:
  testbed::TempDirectory directory_;
  bool mounted_ = false;
};

// A MariaDB that tells how much room there is on the disk, to an account that may ask.
TEST(ObstaclesMariaDb, FullDiskOfTheTarget) {
  const SmallDisk disk;
  ASSERT_TRUE(disk.mounted());
  World world = World::make({.directory = disk.path() / "cluster", .settings = telling(Product::mariadb)});
  ASSERT_NE(world.daemon, nullptr);
  auto root = world.db(0).root();
  ASSERT_TRUE(root && root->execute("GRANT FILE ON *.* TO pointsman@'%'"));
  ASSERT_TRUE(world.replica_catches_up());
  ASSERT_TRUE(world.daemon->stop());  // privileges are read at the login
  ASSERT_TRUE(testbed::done(world.daemon->start()));
  ASSERT_TRUE(world.daemon->wait_steady(testbed::Millis(soon)));
  ASSERT_TRUE(disk.leave_free(std::uintmax_t{100} << 20));
  auto done = world.daemon->command({"switchover"});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->code, 1) << done->out;
  EXPECT_TRUE(has(done->err, "db2 has only 9") || has(done->err, "db2 has only 100 MiB")) << done->err;
  EXPECT_TRUE(has(done->err, "MiB free where its data are")) << done->err;
  world.expect_in_order("db1");
  ASSERT_TRUE(disk.leave_free(std::uintmax_t{300} << 20));
  done = world.daemon->command({"switchover"});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->code, 0) << done->err;
  world.expect_in_order("db2");
}

// A statement that was too young to be named holds the primary up for longer than that may take: its writes
// go on, and the answer names it. Told to end what is in the way, it is ended and the switchover is done.
TEST_P(Obstacles, YoungStatementHoldsThePrimaryUp) {
  for (const bool end : {false, true}) {
    ASSERT_NO_FATAL_FAILURE(start());
    Sql busy = application();
    auto ends = std::async(std::launch::async,
                           [&] { return busy.execute("UPDATE held SET v = SLEEP(20) WHERE id = 1"); });
    std::this_thread::sleep_for(200ms);
    std::vector<std::string> command = {"switchover", "--max-wait", "0s"};
    if (end) command.emplace_back("--end-transactions");
    const auto began = Clock::now();
    const Finished done = type(command);
    EXPECT_EQ(done.code, end ? 0 : 1) << done.out << done.err << world_.story();
    EXPECT_LT(Clock::now() - began, 6s);
    if (end) {
      EXPECT_FALSE(ends.get());
      world_.expect_in_order("db2");
    } else {
      expect_undone("read_only", {"UPDATE held SET v = SLEEP(20)", "app@"});
    }
    writer_->stop();
    EXPECT_TRUE(world_.missing(world_.db(end ? 1 : 0), writer_->acknowledged()).empty());
    writer_.reset();
    world_ = {};
  }
}

// The last transaction before the primary became read-only cannot be applied on the target, where somebody
// holds the row: after five seconds writes go on at the old primary, semi-sync as before.
TEST_P(Obstacles, TargetCannotApplyTheLastTransaction) {
  ASSERT_NO_FATAL_FAILURE(start());
  const std::string before = semi_sync();
  Sql holder = world_.hold_row(world_.db(1));
  Sql busy = application();
  auto ends = std::async(std::launch::async,
                         [&] { return busy.execute("UPDATE held SET v = SLEEP(1.5) + 9 WHERE id = 1"); });
  std::this_thread::sleep_for(200ms);
  const auto began = Clock::now();
  const Finished done = type({"switchover"});
  EXPECT_EQ(done.code, 1) << done.out << done.err << world_.story();
  expect_undone("catch_up", {"db2"});
  EXPECT_LT(writer_->longest_gap(began), 9s);
  EXPECT_EQ(semi_sync(), before);
  must(holder, "ROLLBACK");
  // It was committed before, and is there: its client is told so only if its session still lived.
  EXPECT_EQ(world_.ask(world_.db(0), "SELECT v FROM app.held WHERE id = 1"), "9");
  const Finished again = type({"switchover"});
  EXPECT_EQ(again.code, 0) << again.out << again.err << world_.story();
  world_.expect_in_order("db2");
  writer_->stop();
  EXPECT_TRUE(world_.missing(world_.db(1), writer_->acknowledged()).empty());
  EXPECT_EQ(world_.ask(world_.db(1), "SELECT v FROM app.held WHERE id = 1"), "9");
}

// The same row is held before: that the target does not apply is found out while the clients are served.
TEST_P(Obstacles, TargetThatDoesNotApplyIsFoundOutBefore) {
  ASSERT_NO_FATAL_FAILURE(start());
  Sql holder = world_.hold_row(world_.db(1));
  Sql app = application();
  must(app, "UPDATE held SET v = 3 WHERE id = 1");
  const auto began = Clock::now();
  expect_refused(type({"switchover", "--max-wait", "1s"}), began, {"db2 "});
  must(holder, "ROLLBACK");
  ASSERT_TRUE(world_.replica_catches_up());
  EXPECT_EQ(type({"switchover"}).code, 0) << world_.story();
  world_.expect_in_order("db2");
}

// The target is killed while it catches up.
TEST_P(Obstacles, TargetDiesWhileItCatchesUp) {
  ASSERT_NO_FATAL_FAILURE(start());
  Sql holder = world_.hold_row(world_.db(1));
  Sql busy = application();
  auto ends = std::async(std::launch::async,
                         [&] { return busy.execute("UPDATE held SET v = SLEEP(1.5) + 9 WHERE id = 1"); });
  std::this_thread::sleep_for(200ms);
  auto answer = std::async(std::launch::async, [&] { return type({"switchover"}); });
  const auto until = Clock::now() + soon;
  while (!has(world_.daemon->log(), "switchover catch_up: ") && Clock::now() < until)
    std::this_thread::sleep_for(10ms);
  world_.db(1).kill();
  EXPECT_EQ(answer.get().code, 1);
  ASSERT_TRUE(testbed::done(world_.db(1).start()));
  expect_undone("catch_up", {"db2"});
  writer_->stop();
  EXPECT_TRUE(world_.missing(world_.db(0), writer_->acknowledged()).empty());
}

}  // namespace
}  // namespace pointsman::live
