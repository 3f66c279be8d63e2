#include <algorithm>
#include <csignal>
#include <filesystem>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/rescue/rescue_world.h"

namespace pointsman::rescue {
namespace {

// Every stage at which something may die.
struct Death {
  Product product;
  Stage stage;
};
std::vector<Death> deaths() {
  std::vector<Death> all;
  for (const auto product : {Product::mariadb, Product::mysql}) {
    for (const auto stage : {Stage::fetched, Stage::decoded, Stage::saved, Stage::undo_written,
                             Stage::undo_noted, Stage::undo_committed, Stage::undone, Stage::position_set,
                             Stage::emptied, Stage::reset, Stage::done}) {
      const auto other = product == Product::mariadb ? Stage::emptied : Stage::position_set;
      if (stage != other) all.push_back({product, stage});
    }
  }
  return all;
}
// With what we had noted gone as well, nothing says what a MySQL server had whose GTIDs are gone: the moment
// between two statements, see rescue.h.
std::vector<Death> deaths_without_files() {
  auto all = deaths();
  std::erase_if(all, [](const Death& death) { return death.stage == Stage::emptied; });
  return all;
}

class CrashTest : public RescueTest {
 protected:
  void prepare(Product product) {
    start(product);
    execute_all(
        old_primary(),
        {"CREATE TABLE app.a (id INT PRIMARY KEY, v VARCHAR(100))", "CREATE TABLE app.keyless (v INT)",
         "INSERT INTO app.a WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
         " WHERE i < 100) SELECT i, 'row' FROM n"});
  }

  void make_tail() {
    diverge({"INSERT INTO app.a VALUES (1000, 'only here')", "UPDATE app.a SET v = 'lost' WHERE id < 10",
             "DELETE FROM app.a WHERE id BETWEEN 20 AND 30", "INSERT INTO app.keyless VALUES (1), (1), (2)"});
  }

  // The whole rescue, as the daemon gives it: by what the audit sees now.
  static std::string rescue(const Order& order) {
    auto saved = order.errant.empty() ? unfinished(order.state_dir, order.server) : [&] {
      auto done = save(order);
      return done ? std::expected<std::optional<Saved>, core::Failure>(*done) : std::unexpected(done.error());
    }();
    if (!saved) return saved.error().text;
    if (!*saved) return "";
    const auto taken = take_back(order, **saved);
    if (!taken) return taken.error().text;
    const auto* copy = std::get_if<NeedsCopy>(&*taken);
    return copy != nullptr ? "needs a copy: " + copy->why : "";
  }

  // In a process of its own, which dies by kill -9 at `stage`, as a daemon would.
  static void rescue_and_die(Order order, Stage stage) {
    const pid_t child = ::fork();
    if (child == 0) {
      order.progress = [&](Stage now) {
        if (now == stage) ::raise(SIGKILL);
      };
      rescue(order);
      ::_exit(1);  // it never came there
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "did not come to: " << to_string(stage);
  }

  void expect_whole() {
    expect_no_errant();
    follow();
    expect_no_errant();
    expect_equal_data();
    EXPECT_EQ(scalar(old_primary(), "SELECT COUNT(*) FROM app.keyless"), "0");
    if (!mariadb()) {
      EXPECT_EQ(scalar(old_primary(), "SELECT @@global.super_read_only"), "1");
    }
    const auto open = unfinished(state_dir(), old_primary().name());
    PM_ASSERT_OK(open);
    EXPECT_FALSE(open->has_value());
    for (const auto& directory : saved_directories())
      EXPECT_FALSE(directory.filename().string().starts_with('.')) << directory;
  }
};

class WithDeath : public CrashTest, public testing::WithParamInterface<Death> {
 protected:
  void SetUp() override { prepare(GetParam().product); }
};
class DaemonDies : public WithDeath {};
class DaemonDiesAndFiles : public WithDeath {};
class ServerDies : public WithDeath {};

// The daemon is killed at each stage and started again: the tail is undone once and not twice.
TEST_P(DaemonDies, AndDoesItAgain) {
  make_tail();
  rescue_and_die(order(), GetParam().stage);
  EXPECT_EQ(rescue(order()), "");
  expect_whole();
}

// Twice at the same stage, and then at the next.
TEST_P(DaemonDies, Repeatedly) {
  make_tail();
  rescue_and_die(order(), GetParam().stage);
  if (GetParam().stage != Stage::done) rescue_and_die(order(), Stage::done);
  EXPECT_EQ(rescue(order()), "");
  expect_whole();
}

// The daemon is killed, and what it had noted on disk is lost. What the server's GTIDs say is still true.
TEST_P(DaemonDiesAndFiles, AreLost) {
  make_tail();
  rescue_and_die(order(), GetParam().stage);
  std::filesystem::remove_all(state_dir() / "rescue");
  EXPECT_EQ(rescue(order()), "");
  expect_no_errant();
  follow();
  expect_equal_data();
}

// The server is killed at each stage, and comes back by crash recovery.
TEST_P(ServerDies, AndIsRescuedWhenItIsBack) {
  make_tail();
  auto ordered = order();
  ordered.progress = [this](Stage now) {
    if (now == GetParam().stage) old_primary().kill();
  };
  (void)rescue(ordered);
  ASSERT_FALSE(old_primary().running());
  const auto started = old_primary().start();
  ASSERT_TRUE(started) << started.error();
  EXPECT_EQ(rescue(order()), "");
  expect_whole();
}

std::string name_of(const testing::TestParamInfo<Death>& info) {
  std::string name = std::string(to_string(info.param.product)) + "_" + to_string(info.param.stage);
  std::ranges::replace(name, ' ', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Stages, DaemonDies, testing::ValuesIn(deaths()), name_of);
INSTANTIATE_TEST_SUITE_P(Stages, DaemonDiesAndFiles, testing::ValuesIn(deaths_without_files()), name_of);
INSTANTIATE_TEST_SUITE_P(Stages, ServerDies, testing::ValuesIn(deaths()), name_of);

class Orphans : public CrashTest, public testing::WithParamInterface<Product> {
 protected:
  void SetUp() override { prepare(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Products, Orphans, testing::Values(Product::mariadb, Product::mysql),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

// The undo waits for a row that somebody has locked, and the daemon is killed. Its session on the server
// lives on and may still commit; the next attempt waits until that is decided.
TEST_P(Orphans, AreNotDoneTwice) {
  make_tail();
  auto blocker = old_primary().root();
  ASSERT_TRUE(blocker);
  // super_read_only refuses FOR UPDATE.
  ASSERT_TRUE(blocker->execute_all({"BEGIN", "SELECT * FROM app.a WHERE id = 1000 LOCK IN SHARE MODE"}));
  const auto ordered = order();
  const pid_t child = ::fork();
  if (child == 0) {
    rescue(ordered);
    ::_exit(1);
  }
  // InnoDB tells of a moment that is past to who asks more often than ten times a second.
  const auto waiting = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'";
  for (int i = 0; i < 200 && scalar(old_primary(), waiting) != "1"; ++i) ::usleep(150'000);
  ::usleep(150'000);
  ASSERT_EQ(scalar(old_primary(), waiting), "1");
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(blocker->execute("ROLLBACK"));
  EXPECT_EQ(rescue(order()), "");
  expect_whole();
}

}  // namespace
}  // namespace pointsman::rescue
