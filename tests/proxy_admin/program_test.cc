#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <mutex>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/proxy_admin/samples.h"
#include "tests/proxy_admin/server_thread.h"
#include "tests/testbed/process.h"

// The program as the operator starts it, against a real admin socket.
namespace pointsman::proxy::testing {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr auto plenty = 60s;

std::string contents(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

bool wait_for(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + plenty;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// Answers as the daemon would, with a status that the test can change.
class FakeDaemon {
 public:
  explicit FakeDaemon(const std::string& path)
      : server_(path, [this](const json& request, const std::shared_ptr<Responder>& responder) {
          answer(request, responder);
        }) {}
  FakeDaemon(const FakeDaemon&) = delete;
  FakeDaemon& operator=(const FakeDaemon&) = delete;

  void set_status(json status) {
    server_.run([&](AdminServer&) { status_ = std::move(status); });
  }
  // Returns when somebody follows.
  void publish(const json& event) {
    ASSERT_TRUE(server_.wait_until([this](AdminServer&) { return !followers_.empty(); }));
    server_.run([&](AdminServer&) {
      for (const auto& follower : followers_) follower->send(event);
    });
  }
  // Returns when a reload waits for its answer, which never comes.
  bool wait_for_reload() {
    return server_.wait_until([this](AdminServer&) { return held_ != nullptr; });
  }
  bool wait_for_looks(int count) {
    return server_.wait_until([&](AdminServer&) { return looks_ >= count; });
  }
  int looks() {
    int count = 0;
    server_.run([&](AdminServer&) { count = looks_; });
    return count;
  }

 private:
  void answer(const json& request, const std::shared_ptr<Responder>& responder) {
    const std::string command = request["command"];
    if (command == "status") {
      ++looks_;
      responder->ok(status_);
    } else if (command == "events") {
      responder->send(admin_ok({{"events", {failover_event()}}}));
      if (request["follow"] == true) {
        followers_.push_back(responder);
      } else {
        responder->finish();
      }
    } else if (command == "switchover") {
      if (request["dry_run"] == true) {
        responder->ok({{"plan", json::array()}, {"refused", {"dbserv2: 3 s behind"}}});
      } else {
        responder->ok(failover_event());
      }
    } else if (command == "pause") {
      responder->ok({{"message", "new clients are held"}});
    } else if (command == "reload") {
      held_ = responder;
    } else {
      responder->fail("there is no backend x; there are dbserv1, dbserv2");
    }
  }

  // Touched on the server's thread only; outlive it, as the server ends the connections.
  json status_ = steady_status();
  int looks_ = 0;
  std::vector<std::shared_ptr<Responder>> followers_;
  std::shared_ptr<Responder> held_;
  ServerThread server_;
};

class ProgramTest : public ::testing::Test {
 protected:
  testbed::Finished run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), POINTSMAN_BIN);
    auto finished = testbed::run(
        {.argv = std::move(arguments), .environment = {"LC_ALL=C.UTF-8", "COLUMNS=100"}}, plenty);
    EXPECT_TRUE(finished) << finished.error();
    return finished ? *finished : testbed::Finished();
  }
  testbed::Finished ask(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--socket", path_});
    return run(std::move(arguments));
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_.file(name)) << text;
    ::chmod(dir_.file(name).c_str(), 0600);
    return dir_.file(name);
  }
  std::string good_configuration() const {
    const std::string password = write("password", "secret\n");
    return write("good.toml", "[proxy]\nlisten = [\"127.0.0.1:3306\"]\nstate_dir = \"" +
                                  dir_.path().string() + "\"\n[admin]\nsocket = \"" + path_ +
                                  "\"\n[monitor]\nuser = \"m\"\npassword_file = \"" + password +
                                  "\"\n[replication]\nuser = \"r\"\npassword_file = \"" + password +
                                  "\"\n[[backend]]\nname = \"a\"\naddress = \"127.0.0.1:3307\"\n"
                                  "[[backend]]\nname = \"b\"\naddress = \"127.0.0.1:3308\"\n");
  }

  TempDir dir_;
  std::string path_ = dir_.file("admin.sock");
};

// What scripts rely on: 0 done, 1 refused with the reason on standard error, 2 usage, 3 no daemon.
TEST_F(ProgramTest, ExitStatus) {
  const auto absent = ask({"status"});
  EXPECT_EQ(absent.code, 3);
  EXPECT_EQ(absent.out, "");
  EXPECT_NE(absent.err.find("no pointsman runs here"), std::string::npos) << absent.err;
  EXPECT_EQ(ask({"events", "--follow"}).code, 3);
  EXPECT_EQ(ask({"status", "--watch"}).code, 3);

  const FakeDaemon daemon(path_);
  const auto done = ask({"pause"});
  EXPECT_EQ(done.code, 0);
  EXPECT_EQ(done.out, "new clients are held\n");
  EXPECT_EQ(done.err, "");
  const auto refused = ask({"rejoin", "x"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(refused.out, "");
  EXPECT_EQ(refused.err, "pointsman: there is no backend x; there are dbserv1, dbserv2\n");
  const auto impossible = ask({"switchover", "--dry-run"});
  EXPECT_EQ(impossible.code, 1);
  EXPECT_EQ(impossible.err, "pointsman: refused: dbserv2: 3 s behind\n");
  EXPECT_EQ(ask({"switchover"}).code, 0);
  EXPECT_EQ(run({}).code, 2);
  EXPECT_EQ(run({"status", "--nonsense"}).code, 2);
  EXPECT_EQ(run({"--help"}).code, 0);
  EXPECT_EQ(run({"--version"}).out, "pointsman " POINTSMAN_VERSION "\n");
}

// The daemon dies in the middle of a change: nobody knows whether it was done, so that is not "no daemon".
TEST_F(ProgramTest, SaysThatTheOutcomeIsUnknown) {
  auto daemon = std::make_unique<FakeDaemon>(path_);
  const std::string out = dir_.file("out");
  auto process =
      testbed::Process::start({.argv = {POINTSMAN_BIN, "reload", "--socket", path_}, .output = out});
  ASSERT_TRUE(process);
  ASSERT_TRUE(daemon->wait_for_reload());
  daemon.reset();
  const auto ended = process->wait(plenty);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 1);
  EXPECT_NE(contents(out).find("It may have done it nevertheless"), std::string::npos) << contents(out);
}

TEST_F(ProgramTest, PermissionDenied) {
  const FakeDaemon daemon(path_);
  if (::geteuid() == 0) {
    // root may do everything; an ordinary user is asked for.
    ::chmod(dir_.path().c_str(), 0755);
    const auto denied = testbed::run({.argv = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                               POINTSMAN_BIN, "status", "--socket", path_}},
                                     plenty);
    ASSERT_TRUE(denied) << denied.error();
    EXPECT_EQ(denied->code, 1) << denied->err;
    EXPECT_NE(denied->err.find("permission denied"), std::string::npos) << denied->err;
  } else {
    ::chmod(path_.c_str(), 0);
    const auto denied = ask({"status"});
    EXPECT_EQ(denied.code, 1);
    EXPECT_NE(denied.err.find("permission denied"), std::string::npos) << denied.err;
  }
}

// Programs read JSON: the objects of the contract, whole, and nothing else on standard output.
TEST_F(ProgramTest, Json) {
  const FakeDaemon daemon(path_);
  EXPECT_EQ(json::parse(ask({"status", "--json"}).out), steady_status());
  const auto events = ask({"events", "--json"});
  EXPECT_EQ(std::ranges::count(events.out, '\n'), 1) << "one object a line";
  EXPECT_EQ(json::parse(events.out), failover_event());
  EXPECT_EQ(json::parse(ask({"switchover", "--json"}).out), failover_event());
  EXPECT_EQ(json::parse(ask({"pause", "--json"}).out), (json{{"message", "new clients are held"}}));
}

// No colours and no control characters in a pipe.
TEST_F(ProgramTest, PlainInAPipe) {
  const FakeDaemon daemon(path_);
  const auto status = ask({"status"});
  EXPECT_TRUE(status.out.starts_with("pointsman 0.1.0 \u00b7 steady")) << status.out;
  EXPECT_EQ(status.out.find('\x1b'), std::string::npos);
}

// The socket is found in the configuration; a broken one is said to be broken.
TEST_F(ProgramTest, TakesTheSocketFromTheConfiguration) {
  const FakeDaemon daemon(path_);
  EXPECT_EQ(run({"status", "-c", good_configuration()}).code, 0);
  std::filesystem::remove(dir_.file("password"));
  EXPECT_EQ(run({"status", "-c", dir_.file("good.toml")}).code, 0)
      << "an operator need not be able to read the secrets";
  const auto broken = run({"status", "-c", write("bad.toml", "[proxy]\nlissten = 3\n")});
  EXPECT_EQ(broken.code, 1);
  EXPECT_NE(broken.err.find("bad.toml:2:1:"), std::string::npos) << broken.err;
}

TEST_F(ProgramTest, Check) {
  const auto good = run({"check", "-c", good_configuration()});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_NE(good.out.find("127.0.0.1:3306"), std::string::npos) << good.out;
  EXPECT_EQ(good.out.find("secret"), std::string::npos) << "no password is shown";
  const json good_json = json::parse(run({"check", "--json", "-c", good_configuration()}).out);
  EXPECT_EQ(good_json["ok"], true);

  const std::string file = write("bad.toml", "[proxy]\nlissten = 3\nthreads = \"x\"\n");
  const auto bad = run({"check", "-c", file});
  EXPECT_EQ(bad.code, 1);
  EXPECT_EQ(bad.out, "");
  EXPECT_NE(bad.err.find(file + ":2:1: "), std::string::npos) << bad.err;
  EXPECT_NE(bad.err.find(file + ":3:11: "), std::string::npos) << bad.err;
  const auto bad_json = run({"check", "--json", "-c", file});
  EXPECT_EQ(bad_json.code, 1);
  const json problems = json::parse(bad_json.out)["problems"];
  EXPECT_TRUE(std::ranges::any_of(problems, [&](const json& problem) {
    return problem["file"] == file && problem["line"] == 2 && problem["column"] == 1 &&
           problem["message"] != "";
  })) << problems;

  const auto no_start = run({"run", "-c", file});
  EXPECT_EQ(no_start.code, 1);
  EXPECT_NE(no_start.err.find("not started"), std::string::npos) << no_start.err;
}

// A follower sees what happens as it happens; Ctrl-C ends it well, the daemon's end ends it with 3.
TEST_F(ProgramTest, FollowsEvents) {
  const std::string out = dir_.file("out");
  const auto start = [&] {
    auto process = testbed::Process::start(
        {.argv = {POINTSMAN_BIN, "events", "--follow", "--json", "--socket", path_}, .output = out});
    EXPECT_TRUE(process) << process.error();
    return std::move(*process);
  };
  auto daemon = std::make_unique<FakeDaemon>(path_);
  auto follower = start();
  daemon->publish({{"kind", "verdict"}});
  ASSERT_TRUE(wait_for([&] { return contents(out).find("{\"kind\":\"verdict\"}\n") != std::string::npos; }))
      << contents(out);
  EXPECT_TRUE(contents(out).starts_with("{\"epoch\":5,")) << "the history comes first: " << contents(out);
  follower.send(SIGINT);
  const auto ended = follower.wait(plenty);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 0);

  std::filesystem::remove(out);
  auto second = start();
  ASSERT_TRUE(wait_for([&] { return contents(out).find('\n') != std::string::npos; }));
  daemon.reset();
  const auto lost = second.wait(plenty);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->code, 3);
  EXPECT_NE(contents(out).find("closed the connection"), std::string::npos) << contents(out);
}

// In a pipe, a block for each change and none for what only grows older.
TEST_F(ProgramTest, WatchesIntoAPipe) {
  const std::string out = dir_.file("out");
  FakeDaemon daemon(path_);
  auto process = testbed::Process::start(
      {.argv = {POINTSMAN_BIN, "status", "--watch", "--interval", "0.1", "--socket", path_},
       .environment = {"LC_ALL=C.UTF-8"},
       .output = out});
  ASSERT_TRUE(process);
  json status = steady_status();
  status["since_ms"] = 99'000'000;
  ASSERT_TRUE(daemon.wait_for_looks(1));
  daemon.set_status(status);
  ASSERT_TRUE(daemon.wait_for_looks(daemon.looks() + 2));
  status["warnings"] = {"dbserv2 is far behind."};
  daemon.set_status(status);
  ASSERT_TRUE(wait_for([&] { return contents(out).find("! dbserv2 is far behind.") != std::string::npos; }))
      << contents(out);
  process->send(SIGTERM);
  const auto ended = process->wait(plenty);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 0);
  const std::string text = contents(out);
  std::size_t blocks = 0;
  for (std::size_t at = text.find("-- "); at != std::string::npos; at = text.find("\n-- ", at + 1)) ++blocks;
  EXPECT_EQ(blocks, 2U) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

// A terminal with the program in it.
class Terminal {
 public:
  explicit Terminal(const std::vector<std::string>& argv) {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = 100;
    // All made before the fork: this process has threads, and one of them may hold the allocator's lock.
    std::vector<char*> raw;
    for (const std::string& argument : argv) raw.push_back(const_cast<char*>(argument.c_str()));
    raw.push_back(nullptr);
    std::vector<std::string> variables = {"LC_ALL=C.UTF-8", "TERM=xterm"};
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const std::string text = *variable;
      const bool ours = text.starts_with("NO_COLOR=") || text.starts_with("COLUMNS=") ||
                        text.starts_with("LC_ALL=") || text.starts_with("TERM=");
      if (!ours) variables.push_back(text);
    }
    std::vector<char*> environment;
    for (std::string& variable : variables) environment.push_back(variable.data());
    environment.push_back(nullptr);
    pid_ = ::forkpty(&master_, nullptr, nullptr, &size);
    if (pid_ == 0) {
      ::execve(raw[0], raw.data(), environment.data());
      ::_exit(127);
    }
    ::tcgetattr(master_, &before_);
  }
  ~Terminal() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Reads until `text` has come after what was found before; false when it does not within the time.
  bool wait_for(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + plenty;
    while (true) {
      const std::size_t found = output_.find(text, seen_);
      if (found != std::string::npos) {
        seen_ = found + text.size();
        return true;
      }
      if (std::chrono::steady_clock::now() > deadline || !read_more()) return false;
    }
  }
  void type(const std::string& keys) {
    EXPECT_EQ(::write(master_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  void resize(unsigned short rows, unsigned short columns) {
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    ::ioctl(master_, TIOCSWINSZ, &size);
  }
  // Exit status, or -signal.
  int end() {
    while (read_more()) {
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  bool echoes() const {
    termios now{};
    ::tcgetattr(master_, &now);
    return (now.c_lflag & ECHO) != 0;
  }
  bool as_before() const {
    termios now{};
    ::tcgetattr(master_, &now);
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag && now.c_oflag == before_.c_oflag;
  }
  const std::string& output() const { return output_; }
  pid_t pid() const { return pid_; }

 private:
  bool read_more() {
    pollfd ready{master_, POLLIN, 0};
    if (::poll(&ready, 1, 30'000) != 1) return false;
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(master_, buffer.data(), buffer.size());
    if (count <= 0) return false;
    output_.append(buffer.data(), static_cast<std::size_t>(count));
    return true;
  }

  int master_ = -1;
  pid_t pid_ = -1;
  termios before_{};
  std::string output_;
  std::size_t seen_ = 0;
};

constexpr const char* enter = "\x1b[?1049h";
constexpr const char* leave = "\x1b[?1049l";

class WatchTest : public ProgramTest {
 protected:
  std::vector<std::string> command() const {
    return {POINTSMAN_BIN, "status", "--watch", "--interval", "0.1", "--socket", path_};
  }
  // The terminal shows what it showed before: alternate screen left, cursor and margins on, keys echoed.
  static void expect_clean(const Terminal& terminal) {
    const std::string& output = terminal.output();
    EXPECT_GT(output.rfind(leave), output.rfind(enter));
    EXPECT_GT(output.rfind("\x1b[?25h"), output.rfind("\x1b[?25l"));
    EXPECT_GT(output.rfind("\x1b[?7h"), output.rfind("\x1b[?7l"));
    EXPECT_TRUE(terminal.as_before());
  }
};

// The operator watches a failover, and presses Ctrl-C.
TEST_F(WatchTest, RedrawsInPlaceAndLeavesTheTerminalClean) {
  FakeDaemon daemon(path_);
  Terminal terminal(command());
  ASSERT_TRUE(terminal.wait_for(enter));
  ASSERT_TRUE(terminal.wait_for("steady")) << terminal.output();
  EXPECT_FALSE(terminal.echoes());
  json status = steady_status();
  status.update({{"state", "no_primary"}, {"primary", nullptr}});
  daemon.set_status(status);
  ASSERT_TRUE(terminal.wait_for("NO PRIMARY")) << terminal.output();
  ASSERT_TRUE(terminal.wait_for("\x1b[H")) << "drawn over the same place";
  terminal.type("\x03");
  EXPECT_EQ(terminal.end(), 0);
  expect_clean(terminal);
  const std::size_t drawn = terminal.output().find(enter);
  EXPECT_EQ(terminal.output().find("\x1b[2J", drawn + 30), std::string::npos)
      << "cleared between pictures: flickers";
}

TEST_F(WatchTest, EndsOnQ) {
  const FakeDaemon daemon(path_);
  Terminal terminal(command());
  ASSERT_TRUE(terminal.wait_for("steady"));
  terminal.type("xq");
  EXPECT_EQ(terminal.end(), 0);
  expect_clean(terminal);
}

// A small window: the most important lines stay, and it is said that there are more.
TEST_F(WatchTest, FollowsTheWindowsSize) {
  const FakeDaemon daemon(path_);
  Terminal terminal(command());
  ASSERT_TRUE(terminal.wait_for("steady"));
  terminal.resize(5, 80);
  ASSERT_TRUE(terminal.wait_for("more lines; the window is too low")) << terminal.output();
  terminal.type("q");
  EXPECT_EQ(terminal.end(), 0);
}

// Ctrl-Z gives the terminal back as it was; `fg` goes on.
TEST_F(WatchTest, CanBeStopped) {
  const FakeDaemon daemon(path_);
  Terminal terminal(command());
  ASSERT_TRUE(terminal.wait_for("steady"));
  terminal.type("\x1a");
  ASSERT_TRUE(terminal.wait_for(leave));
  int status = 0;
  ASSERT_EQ(::waitpid(terminal.pid(), &status, WUNTRACED), terminal.pid());
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_TRUE(terminal.as_before());
  ::kill(terminal.pid(), SIGCONT);
  ASSERT_TRUE(terminal.wait_for(enter));
  ASSERT_TRUE(terminal.wait_for("steady"));
  terminal.type("q");
  EXPECT_EQ(terminal.end(), 0);
  expect_clean(terminal);
}

// The daemon is restarted while somebody watches: the picture says so, and then goes on.
TEST_F(WatchTest, OutlivesTheDaemon) {
  auto daemon = std::make_unique<FakeDaemon>(path_);
  Terminal terminal(command());
  ASSERT_TRUE(terminal.wait_for("steady"));
  daemon.reset();
  ASSERT_TRUE(terminal.wait_for("NO ANSWER FROM POINTSMAN")) << terminal.output();
  daemon = std::make_unique<FakeDaemon>(path_);
  ASSERT_TRUE(terminal.wait_for("steady"));
  terminal.type("\x03");
  EXPECT_EQ(terminal.end(), 0);
  expect_clean(terminal);
}

// Colours on a terminal, unless NO_COLOR.
TEST_F(WatchTest, ColoursOnATerminal) {
  const FakeDaemon daemon(path_);
  Terminal coloured({POINTSMAN_BIN, "status", "--socket", path_});
  EXPECT_EQ(coloured.end(), 0);
  EXPECT_NE(coloured.output().find("\x1b[32m"), std::string::npos) << coloured.output();
  Terminal plain({"/usr/bin/env", "NO_COLOR=1", POINTSMAN_BIN, "status", "--socket", path_});
  EXPECT_EQ(plain.end(), 0);
  EXPECT_NE(plain.output().find("steady"), std::string::npos);
  EXPECT_EQ(plain.output().find('\x1b'), std::string::npos) << plain.output();
}

}  // namespace
}  // namespace pointsman::proxy::testing
