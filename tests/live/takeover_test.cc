#include "proxy/takeover.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "health/io/descriptor.h"
#include "tests/live/world.h"
#include "tests/live/writer.h"

// A daemon takes the place of another one, or ends when its last session does. For root.
namespace pointsman::live {
namespace {

using namespace std::chrono_literals;
using testbed::Millis;
using testbed::Sql;

// A client that comes, asks and leaves, again and again; in several threads.
class Storm {
 public:
  Storm(const testbed::Daemon& daemon, const testbed::Cluster& cluster, unsigned clients) {
    for (unsigned i = 0; i < clients; ++i) {
      threads_.emplace_back([this, &daemon, login = cluster.accounts().application] {
        while (!stop_) {
          auto client = daemon.connect(login);
          const auto answer = client ? client->query("SELECT 1") : std::unexpected(client.error());
          if (answer && answer->scalar() == "1") {
            ++served_;
          } else if (errors_++ == 0) {
            first_error_ = answer ? "wrong answer" : answer.error().text;
          }
        }
      });
    }
  }
  ~Storm() { stop(); }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

  void stop() {
    stop_ = true;
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  unsigned served() const { return served_; }
  unsigned errors() const { return errors_; }
  const std::string& first_error() const { return first_error_; }  // once stopped

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<unsigned> served_ = 0;
  std::atomic<unsigned> errors_ = 0;
  std::string first_error_;
  std::vector<std::thread> threads_;
};

// What a process of its own does with the daemon; its exit status.
int in_a_process(const std::function<int()>& what) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(what());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// The process that a daemon has started in its place, which is no child of ours. It ends with this object.
class Stray {
 public:
  Stray(const testbed::Daemon& daemon, pid_t former) {
    const auto until = std::chrono::steady_clock::now() + soon;
    while (pid_ == 0 && std::chrono::steady_clock::now() < until) {
      const auto now = daemon.status();
      if (now && (*now)["pid"] != former && (*now)["state"] == "steady") pid_ = (*now)["pid"].get<pid_t>();
      std::this_thread::sleep_for(5ms);
    }
  }
  ~Stray() {
    const io::Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (pid_ == 0 || !process) return;
    ::kill(pid_, SIGKILL);
    pollfd ended{process.get(), POLLIN, 0};
    ::poll(&ended, 1, 10000);
  }
  Stray(const Stray&) = delete;
  Stray& operator=(const Stray&) = delete;

  pid_t pid() const { return pid_; }  // 0: it does not serve

 private:
  pid_t pid_ = 0;
};

class TakeoverTest : public testing::Test {
 protected:
  void make(Keys keys = {}) {
    world_ = World::make({}, std::move(keys));
    ASSERT_NE(world_.daemon, nullptr);
  }
  testbed::Daemon& daemon() { return *world_.daemon; }
  Sql connect() {
    auto client = daemon().connect(world_.cluster->accounts().application, "app");
    EXPECT_TRUE(client) << client.error().text << world_.story();
    return std::move(*client);
  }
  nlohmann::json status() {
    auto status = daemon().status();
    EXPECT_TRUE(status) << status.error() << world_.story();
    return status.value_or(nlohmann::json());
  }
  void wait_former_end(std::size_t i, Millis timeout = soon) {
    const auto end = daemon().formers().at(i).wait(timeout);
    ASSERT_TRUE(end) << "the former process still runs" << world_.story();
    EXPECT_EQ(end->code, 0) << world_.story();
  }

  World world_;
};

// Twenty upgrades, one after another, with clients that come all the time, a writer, and a transaction that
// is older than all of them. Nobody notices.
TEST_F(TakeoverTest, TwentyUnderAConnectStorm) {
  make({{"proxy", {{"threads", "2"}}}});
  Sql old_session = connect();
  ASSERT_TRUE(old_session.execute_all({"BEGIN", "INSERT INTO `rows` VALUES (1000000, 7)"}));
  Writer writer(daemon(), *world_.cluster);
  ASSERT_TRUE(writer.wait_for(5, soon));
  Storm storm(daemon(), *world_.cluster, 4);
  for (int i = 0; i < 20; ++i) {
    const auto taken = daemon().take_over();
    ASSERT_TRUE(taken) << "takeover " << i << ": " << taken.error();
    const unsigned before = storm.served();
    while (storm.served() < before + 5 && storm.errors() == 0) std::this_thread::sleep_for(1ms);
  }
  ASSERT_TRUE(writer.wait_for(5, soon));
  storm.stop();
  EXPECT_EQ(storm.errors(), 0U) << storm.first_error() << world_.story();
  EXPECT_GT(storm.served(), 100U);
  EXPECT_EQ(writer.errors(), 0U) << writer.last_error() << world_.story();
  const auto now = status();
  EXPECT_EQ(now["primary"], "db1");
  EXPECT_EQ(now["epoch"], 1) << world_.story();
  const auto counted =
      daemon().wait_status([](const auto& s) { return s["sessions"]["former"] >= 2; }, Millis(soon));
  EXPECT_TRUE(counted) << counted.error();
  EXPECT_TRUE(old_session.execute("COMMIT")) << world_.story();
  EXPECT_EQ(world_.ask(world_.db(0), "SELECT writer FROM app.`rows` WHERE id = 1000000"), "7");
  writer.stop();
  old_session = connect();
  for (std::size_t i = 0; i < 20; ++i) wait_former_end(i);
}

// Without a configuration that works there is no takeover, and the daemon goes on; with more threads and a
// further address there is one.
TEST_F(TakeoverTest, BrokenConfigurationLeavesTheOldOne) {
  make();
  Sql session = connect();
  const auto before = status();
  const testbed::Daemon& other = daemon();
  ASSERT_TRUE(daemon().set_keys({{"proxy", {{"max_held", "-1"}}}}));
  EXPECT_FALSE(daemon().take_over());
  // A database's.
  const std::string taken = "\"" + conf::to_string(world_.db(0).address()) + "\"";
  const std::string own = "\"" + conf::to_string(other.address()) + "\"";
  ASSERT_TRUE(daemon().set_keys({{"heartbeat", {{"node", "\"p\""}}},
                                 {"admin", {{"metrics", "\"\""}}},
                                 {"proxy", {{"state_dir", "\"/nowhere\""}}}}));
  EXPECT_FALSE(daemon().take_over());
  ASSERT_TRUE(
      daemon().set_keys({{"proxy", {{"listen", "[" + own + "]"}, {"listen_unix", "[\"/nowhere/s\"]"}}}}));
  EXPECT_FALSE(daemon().take_over());
  EXPECT_EQ(status()["pid"], before["pid"]) << world_.story();
  EXPECT_TRUE(session.query("SELECT 1"));
  const std::string socket = (daemon().directory() / "clients.sock").string();
  ASSERT_TRUE(daemon().set_keys({{"proxy", {{"threads", "3"}, {"listen_unix", "[\"" + socket + "\"]"}}}}));
  const auto done = daemon().take_over();
  ASSERT_TRUE(done) << done.error();
  EXPECT_TRUE(connect().query("SELECT 1"));
  EXPECT_TRUE(std::filesystem::exists(socket));
  ASSERT_TRUE(daemon().set_keys({}));
  const auto back = daemon().take_over();
  ASSERT_TRUE(back) << back.error();
  EXPECT_FALSE(std::filesystem::exists(socket));
  EXPECT_TRUE(session.query("SELECT 1"));
}

// One that dies at the worst moment, when nobody else decides any more; one of another user.
TEST_F(TakeoverTest, WhoDoesNotComeToServeChangesNothing) {
  make();
  Sql session = connect();
  const auto before = status();
  const std::string state_dir = daemon().state_directory().string();
  const auto die_after_commit = [&] {
    auto takeover = proxy::Takeover::begin(state_dir);
    if (!takeover) return 1;
    const bool committed = takeover->commit().has_value();
    ::_exit(committed ? 0 : 2);  // or it would be killed for having let go of the channel
  };
  const auto die_before = [&] {
    const auto takeover = proxy::Takeover::begin(state_dir);
    if (!takeover) std::fprintf(stderr, "%s\n", takeover.error().c_str());
    return takeover ? 0 : 1;
  };
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(in_a_process(die_before), 0) << world_.story();
    EXPECT_EQ(in_a_process(die_after_commit), 0) << world_.story();
  }
  const auto steady =
      daemon().wait_status([](const auto& s) { return s["state"] == "steady"; }, Millis(soon));
  ASSERT_TRUE(steady) << steady.error();
  EXPECT_EQ((*steady)["pid"], before["pid"]);
  EXPECT_EQ((*steady)["epoch"], before["epoch"]);
  EXPECT_TRUE(session.query("SELECT 1"));

  ASSERT_EQ(::chmod(state_dir.c_str(), 0755), 0);
  ASSERT_EQ(::chmod((state_dir + "/takeover.sock").c_str(), 0666), 0);
  const auto as_nobody = [&] {
    // From here, as what is above is not for everybody.
    if (::chdir(state_dir.c_str()) != 0 || ::setuid(65534) != 0) return 3;
    const auto takeover = proxy::Takeover::begin(".");
    if (!takeover) std::fprintf(stderr, "%s\n", takeover.error().c_str());
    return !takeover && takeover.error().contains("another user") ? 0 : 1;
  };
  EXPECT_EQ(in_a_process(as_nobody), 0) << world_.story();
  // It can still be taken over by who may.
  const auto done = daemon().take_over();
  ASSERT_TRUE(done) << done.error();
  EXPECT_TRUE(session.query("SELECT 1"));
}

// The sessions of former processes end before another server is promoted, and what they were told is kept.
TEST_F(TakeoverTest, FailoverEndsTheSessionsOfFormerProcesses) {
  world_ = World::make({.semi_sync = true}, {{"replication", {{"semi_sync", "\"required\""}}}});
  ASSERT_NE(world_.daemon, nullptr);
  Writer first(daemon(), *world_.cluster, 0, 2);
  ASSERT_TRUE(first.wait_for(5, soon));
  Sql idle = connect();
  ASSERT_TRUE(daemon().take_over());
  Writer second(daemon(), *world_.cluster, 1, 2);
  Sql idle_too = connect();
  ASSERT_TRUE(daemon().take_over());
  ASSERT_TRUE(first.wait_for(5, soon) && second.wait_for(5, soon));
  ASSERT_NO_FATAL_FAILURE(world_.expect_nothing_in_the_way());
  world_.db(0).kill();
  const auto replaced = daemon().wait_status(
      [](const auto& s) { return s["primary"] == "db2" && s["state"] == "steady"; }, Millis(soon));
  ASSERT_TRUE(replaced) << replaced.error() << world_.story();
  // They had nobody else to serve.
  wait_former_end(0);
  wait_former_end(1);
  EXPECT_FALSE(idle.query("SELECT 1"));
  EXPECT_FALSE(idle_too.query("SELECT 1"));
  ASSERT_TRUE(world_.db(0).start());  // or no commit would be acknowledged
  EXPECT_TRUE(first.wait_for(5, soon)) << first.last_error() << world_.story();
  EXPECT_TRUE(second.wait_for(5, soon)) << second.last_error() << world_.story();
  first.stop();
  second.stop();
  EXPECT_TRUE(world_.missing(world_.db(1), first.acknowledged()).empty()) << world_.story();
  EXPECT_TRUE(world_.missing(world_.db(1), second.acknowledged()).empty()) << world_.story();
}

// Nor does one stay on a server that goes on living, as a replica.
TEST_F(TakeoverTest, SwitchoverEndsTheSessionsOfFormerProcesses) {
  make();
  Writer writer(daemon(), *world_.cluster);
  ASSERT_TRUE(writer.wait_for(5, soon));
  Sql idle = connect();
  ASSERT_TRUE(daemon().take_over());
  ASSERT_TRUE(daemon().take_over());
  const auto done = daemon().command({"switchover"});
  ASSERT_TRUE(done);
  ASSERT_EQ(done->code, 0) << done->err << world_.story();
  wait_former_end(0);
  EXPECT_FALSE(idle.query("SELECT 1"));
  EXPECT_TRUE(writer.wait_for(5, soon)) << writer.last_error() << world_.story();
  writer.stop();
  EXPECT_TRUE(world_.missing(world_.db(1), writer.acknowledged()).empty()) << world_.story();
}

// A former process that stands still is no reason to keep its sessions on a server that is lost.
TEST_F(TakeoverTest, FormerProcessThatHangsIsKilledByAFailover) {
  make();
  Sql session = connect();
  ASSERT_TRUE(daemon().take_over());
  ASSERT_NO_FATAL_FAILURE(world_.expect_nothing_in_the_way());
  ASSERT_TRUE(daemon().formers()[0].freeze());
  world_.db(0).kill();
  const auto replaced = daemon().wait_status(
      [](const auto& s) { return s["primary"] == "db2" && s["state"] == "steady"; }, Millis(soon));
  ASSERT_TRUE(replaced) << replaced.error() << world_.story();
  const auto end = daemon().formers()[0].wait(Millis(soon));
  ASSERT_TRUE(end) << world_.story();
  EXPECT_EQ(end->code, -SIGKILL);
}

// The new process dies: nobody would tell the former ones of a failover, so their sessions end with it. The
// next start finds everything in its place.
TEST_F(TakeoverTest, NewProcessIsKilledAfterwards) {
  make();
  Sql session = connect();
  ASSERT_TRUE(daemon().take_over());
  ASSERT_TRUE(session.query("SELECT 1"));
  daemon().kill();
  wait_former_end(0);
  EXPECT_FALSE(session.query("SELECT 1"));
  ASSERT_TRUE(daemon().start());
  const auto steady = daemon().wait_steady(Millis(soon));
  EXPECT_TRUE(steady) << steady.error();
  EXPECT_TRUE(connect().query("SELECT 1"));
}

// SIGUSR2 starts the program again; drain_timeout ends what is left.
TEST_F(TakeoverTest, BySignalAndDrainTimeout) {
  make({{"proxy", {{"drain_timeout", "\"500ms\""}}}});
  Sql session = connect();
  const pid_t before = daemon().pid();
  ASSERT_TRUE(daemon().process().send(SIGUSR2));
  const Stray successor(daemon(), before);
  ASSERT_NE(successor.pid(), 0) << world_.story();
  const auto end = daemon().process().wait(Millis(soon));
  EXPECT_TRUE(end && end->code == 0) << world_.story();
  EXPECT_FALSE(session.query("SELECT 1"));
  EXPECT_TRUE(daemon().log().contains("sessions_ended=1")) << world_.story();
  EXPECT_TRUE(connect().query("SELECT 1"));
}

// `reload` applies what no running process can change by a new one, and says whether it serves.
TEST_F(TakeoverTest, ReloadByANewProcess) {
  world_ = World::make({.servers = 3});
  ASSERT_NE(world_.daemon, nullptr);
  Sql session = connect();
  const auto all = daemon().backends();
  const auto reload = [&] {
    const auto done = daemon().command({"reload"});
    EXPECT_TRUE(done) << done.error();
    return done.value_or(testbed::Finished{});
  };

  const pid_t first = daemon().pid();
  ASSERT_TRUE(daemon().set_backends({all[0], all[1]}));
  auto done = reload();
  const Stray second(daemon(), first);
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(done.out.contains("backend db3: ") && done.out.contains("a new process has taken over"))
      << done.out;
  const auto now = status();
  EXPECT_EQ(now["pid"], second.pid());
  EXPECT_EQ(now["primary"], "db1");
  EXPECT_EQ(now["epoch"], 1);
  EXPECT_EQ(now["backends"].size(), 2U);
  const auto counted =
      daemon().wait_status([](const auto& s) { return s["sessions"]["former"] == 1; }, Millis(soon));
  EXPECT_TRUE(counted) << counted.error();

  ASSERT_TRUE(daemon().set_backends(all));
  ASSERT_TRUE(daemon().set_keys({{"proxy", {{"threads", "2"}, {"max_connections", "77"}}}}));
  done = reload();
  const Stray third(daemon(), second.pid());
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(done.out.contains("proxy.threads: 1 -> 2 (takes a new process)")) << done.out;
  const auto known = daemon().wait_status(
      [](const auto& s) { return s["backends"].size() == 3 && s["backends"][2]["role"] == "replica"; },
      Millis(soon));
  EXPECT_TRUE(known) << known.error() << world_.story();

  // One that cannot serve changes nothing but what counted at once.
  ASSERT_TRUE(daemon().set_keys({{"proxy", {{"threads", "2"}, {"max_connections", "78"}}},
                                 {"heartbeat", {{"lease", "\"700ms\""}}},
                                 {"log", {{"format", "\"json\""}}}}));
  done = reload();
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(done.out.contains("max_connections: 77 -> 78;")) << done.out;
  EXPECT_TRUE(done.out.contains("no new process is started")) << done.out;
  ASSERT_TRUE(daemon().set_keys({{"proxy", {{"threads", "2"}}}, {"log", {{"file", "\"/nowhere/log\""}}}}));
  done = reload();
  EXPECT_EQ(done.code, 1);
  EXPECT_TRUE(done.err.contains("max_connections: 78 -> 4000") && done.err.contains("did not come to serve"))
      << done.err;
  EXPECT_EQ(status()["pid"], third.pid());
  EXPECT_TRUE(session.query("SELECT 1"));
  EXPECT_TRUE(connect().query("SELECT 1"));
}

// `drain` serves sessions to their end, `--timeout` no longer than that; nobody new is let in.
TEST_F(TakeoverTest, Drain) {
  make();
  {
    Sql session = connect();
    const auto answer = daemon().command({"drain"});
    ASSERT_TRUE(answer && answer->code == 0) << answer->err;
    EXPECT_TRUE(answer->out.contains("1 session is served for 1h at most")) << answer->out;
    EXPECT_FALSE(daemon().connect(world_.cluster->accounts().application));
    EXPECT_FALSE(daemon().take_over());
    EXPECT_GT(status()["draining_ms"], 0);
    EXPECT_TRUE(session.query("SELECT 1"));
  }
  const auto end = daemon().process().wait(Millis(soon));
  ASSERT_TRUE(end) << world_.story();
  EXPECT_EQ(end->code, 0);

  ASSERT_TRUE(daemon().start());
  ASSERT_TRUE(daemon().wait_steady(Millis(soon)));
  Sql session = connect();
  ASSERT_TRUE(daemon().command({"drain", "--timeout", "300ms"}));
  const auto ended = daemon().process().wait(Millis(soon));
  ASSERT_TRUE(ended) << world_.story();
  EXPECT_EQ(ended->code, 0);
  EXPECT_FALSE(session.query("SELECT 1"));
}

// `reload` adds and removes addresses, and touches no session; one that is taken changes nothing.
TEST_F(TakeoverTest, ReloadOfListeners) {
  make();
  Sql session = connect();
  const std::string own = "\"" + conf::to_string(daemon().address()) + "\"";
  const std::string moved = "\"127.0.0.2:" + std::to_string(daemon().address().port) + "\"";
  const std::string socket = (daemon().directory() / "clients.sock").string();
  const auto listen = [&](const std::string& list, const std::string& unix_list) {
    return daemon().set_keys(
        {{"proxy", {{"listen", "[" + list + "]"}, {"listen_unix", "[" + unix_list + "]"}}}});
  };
  ASSERT_TRUE(listen(moved, "\"/nowhere/s\""));
  const auto refused = daemon().command({"reload"});
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, 1);
  EXPECT_TRUE(refused->err.contains("/nowhere")) << refused->err;
  EXPECT_TRUE(connect().query("SELECT 1"));

  ASSERT_TRUE(listen(own + ", " + moved, "\"" + socket + "\""));
  ASSERT_EQ(daemon().command({"reload"})->code, 0);
  EXPECT_TRUE(connect().query("SELECT 1"));
  auto second = Sql::connect(
      {.address = {"127.0.0.2", daemon().address().port}, .login = world_.cluster->accounts().application});
  EXPECT_TRUE(second && second->query("SELECT 1"));
  EXPECT_TRUE(std::filesystem::exists(socket));

  ASSERT_TRUE(listen(moved, ""));
  ASSERT_EQ(daemon().command({"reload"})->code, 0);
  EXPECT_FALSE(std::filesystem::exists(socket));
  EXPECT_TRUE(session.query("SELECT 1"));
  EXPECT_FALSE(daemon().connect(world_.cluster->accounts().application));
  EXPECT_TRUE(second->query("SELECT 1"));
}

// A TCP socket that listens, as systemd would make it.
int listening_socket(const conf::HostPort& where) {
  const auto address = io::Address::numeric(where);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  EXPECT_EQ(::bind(fd, address->get(), address->length), 0);
  EXPECT_EQ(::listen(fd, 128), 0);
  return fd;
}

// The daemon with that socket, as systemd starts it: descriptor 3, and who it is for.
pid_t start_activated(const testbed::Daemon& daemon, int socket) {
  const std::string program = daemon.program().string();
  const std::string config = daemon.configuration().string();
  const std::string log = daemon.log_file().string();
  const pid_t child = ::fork();
  if (child != 0) return child;
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(out, 2);
  if (socket == 3) ::fcntl(socket, F_SETFD, 0);
  if (socket != 3) ::dup2(socket, 3);
  ::close_range(4, ~0U, 0);  // a client's socket that it had too would never be closed
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", "1", 1);
  ::execl(program.c_str(), program.c_str(), "run", "-c", config.c_str(), nullptr);
  ::_exit(127);
}

// systemd listens before the daemon runs: a client that comes early is served. A daemon that takes over gets
// that socket too. One that is for no address of the configuration is an error that says so.
TEST_F(TakeoverTest, SocketActivation) {
  auto cluster = testbed::Cluster::create({});
  ASSERT_TRUE(cluster) << cluster.error();
  world_.cluster = std::move(*cluster);
  auto options = testbed::Daemon::options_for(*world_.cluster);
  options.threads = 2;
  auto prepared = testbed::Daemon::prepare(std::move(options));
  ASSERT_TRUE(prepared) << prepared.error();
  world_.daemon = std::move(*prepared);
  const int socket = listening_socket(daemon().address());
  std::thread early([&] { EXPECT_TRUE(connect().query("SELECT 1")); });
  const pid_t activated = start_activated(daemon(), socket);
  early.join();
  ::close(socket);
  EXPECT_EQ(status()["pid"], activated);
  const auto taken = daemon().take_over();
  EXPECT_TRUE(taken) << taken.error();
  int ended = 0;
  ASSERT_EQ(::waitpid(activated, &ended, 0), activated);
  EXPECT_EQ(ended, 0);
  EXPECT_TRUE(connect().query("SELECT 1"));
  ASSERT_TRUE(daemon().stop());

  const int other = listening_socket({"127.0.0.1", 0});
  const pid_t refused = start_activated(daemon(), other);
  ASSERT_EQ(::waitpid(refused, &ended, 0), refused);
  ::close(other);
  EXPECT_EQ(WEXITSTATUS(ended), 1);
  EXPECT_TRUE(daemon().log().contains("systemd gives a socket for 127.0.0.1:")) << world_.story();
}

}  // namespace
}  // namespace pointsman::live
