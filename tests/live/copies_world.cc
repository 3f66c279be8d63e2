#include "tests/live/copies_world.h"

#include <fstream>

#include "conf/address.h"
#include "health/mysql/concat.h"
#include "tests/testbed/toml_text.h"

namespace pointsman::live {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using testbed::toml_string;

namespace {

constexpr const char* secret = "a-secret-that-both-agents-and-setup-share";

void set(const fs::path& file, const std::string& text) {
  const fs::path next = file.string() + ".next";
  std::ofstream(next) << text << "\n";
  fs::rename(next, file);
}

bool wait_until(const std::function<bool()>& holds, std::chrono::seconds limit = 60s) {
  for (const auto until = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < until;
       std::this_thread::sleep_for(10ms)) {
    if (holds()) return true;
  }
  return false;
}

}  // namespace

Manager::Manager(testbed::Server& server)
    : server_(server), folder_(std::move(*testbed::TempDirectory::create("manager"))) {
  write_scripts();
  thread_ = std::thread([this] {
    std::string is;
    while (!stop_) {
      std::this_thread::sleep_for(10ms);
      std::string want;
      std::ifstream(folder_.path() / "want") >> want;
      if (want.empty() || want == is) continue;
      is = want;
      if (want == "stopped" && server_.running()) (void)server_.stop();
      // It may be killed and left so by a test; its log says what a start that failed says.
      if (want == "started" && !server_.running()) (void)server_.start();
      set(folder_.path() / "is", is);
    }
  });
}

Manager::~Manager() {
  stop_ = true;
  thread_.join();
}

void Manager::write_scripts() const {
  const std::string dir = folder_.path().string();
  const auto script_of = [&](const std::string& name, const std::string& body) {
    std::ofstream(script(name)) << "#!/bin/sh\n" << body;
    fs::permissions(script(name), fs::perms::owner_all);
  };
  const auto held = [&](const std::string& stage) {
    return mysql::concat("if [ -e ", dir, "/hold_", stage, " ]; then touch ", dir, "/at_", stage,
                         "; while [ -e ", dir, "/hold_", stage, " ]; do sleep 0.05; done; fi\n");
  };
  for (const auto& [name, word] : {std::pair{"stop", "stopped"}, std::pair{"start", "started"}}) {
    script_of(name, mysql::concat(held(name), "echo ", word, " > ", dir, "/want.next; mv ", dir,
                                  "/want.next ", dir, "/want\nwhile [ \"$(cat ", dir,
                                  "/is 2>/dev/null)\" != ", word, " ]; do sleep 0.02; done\n"));
  }
  script_of("mariadb-backup", "case \"$*\" in\n*--backup*)\n" + held("backup") + ";;\n*--prepare*)\n" +
                                  held("prepare") + ";;\nesac\nexec mariadb-backup \"$@\"\n");
}

void Manager::hold(const std::string& stage) const {
  fs::remove(folder_.path() / ("at_" + stage));
  set(folder_.path() / ("hold_" + stage), "");
}

void Manager::release(const std::string& stage) const {
  fs::remove(folder_.path() / ("hold_" + stage));
}

bool Manager::wait_at(const std::string& stage) const {
  return wait_until([&] { return fs::exists(folder_.path() / ("at_" + stage)); });
}

CopiesWorld CopiesWorld::make(std::vector<std::vector<std::string>> settings) {
  CopiesWorld made;
  made.world = SetupWorld::make(Product::mariadb, std::move(settings));
  if (made.world.daemon == nullptr) return made;
  testbed::Daemon::Options options;
  options.authkeys = testbed::authkeys_text(secret);
  auto port = testbed::PortLease::pick();
  options.keys["heartbeat"] = {{"node", toml_string("proxy")},
                               {"listen", toml_string("127.0.0.1:" + std::to_string(port->number()))}};
  for (std::size_t i = 0; i < made.world.servers.size(); ++i) {
    auto& server = made.world.db(i);
    made.managers.push_back(std::make_unique<Manager>(server));
    auto agent = testbed::Agent::prepare({.node = server.name(),
                                          .proxies = {{"127.0.0.1", port->number()}},
                                          .authkeys = options.authkeys,
                                          .socket = server.socket_path()});
    if (!agent) {
      ADD_FAILURE() << agent.error();
      return made;
    }
    const std::string address = toml_string(conf::to_string((*agent)->listen()));
    const auto& manager = *made.managers.back();
    const auto command = [&](const char* name) { return "[" + toml_string(manager.script(name)) + "]"; };
    const auto written =
        (*agent)->set_keys({{"copy",
                             {{"listen", address},
                              {"stop_command", command("stop")},
                              {"start_command", command("start")},
                              {"backup_program", toml_string(manager.script("mariadb-backup"))},
                              {"state_dir", toml_string(((*agent)->directory() / "copies").string())}}}});
    EXPECT_TRUE(written) << written.error();
    const auto started = (*agent)->start();
    EXPECT_TRUE(started) << started.error();
    made.agents.push_back(std::move(*agent));
    made.copies.emplace_back();
    made.start_copies(i);
    options.backends.push_back({server.name(), server.address(), {{"udp", address}}});
  }
  auto daemon = testbed::Daemon::prepare(std::move(options));
  if (!daemon) {
    ADD_FAILURE() << daemon.error();
    return made;
  }
  made.world.daemon = std::move(*daemon);
  return made;
}

void CopiesWorld::start_copies(std::size_t i) {
  const auto& agent = *agents.at(i);
  const auto program = fs::read_symlink("/proc/" + std::to_string(agents[i]->process().pid()) + "/exe");
  fs::remove(agent.directory() / "copies.log");
  auto process =
      testbed::Process::start({.argv = {program.string(), "copies", "-c", agent.configuration().string()},
                               .output = agent.directory() / "copies.log"});
  ASSERT_TRUE(process) << process.error();
  copies[i] = std::move(*process);
  ASSERT_TRUE(wait_until([&] { return log(i).contains("listening") || !copies[i].running(); }));
  ASSERT_TRUE(copies[i].running()) << log(i);
}

testbed::Process CopiesWorld::start_setup(const std::vector<std::string>& further,
                                          const fs::path& output) const {
  std::vector<std::string> argv = world.command(further);
  argv.insert(argv.begin(), world.daemon->program().string());
  argv.insert(argv.end(), {"-c", world.daemon->configuration().string()});
  auto process = testbed::Process::start({.argv = argv, .output = output});
  EXPECT_TRUE(process) << process.error();
  return process ? std::move(*process) : testbed::Process();
}

std::string CopiesWorld::log(std::size_t i) const {
  return testbed::read_tail(agents.at(i)->directory() / "copies.log", 1 << 20);
}

std::string CopiesWorld::what_is_left(std::size_t i) {
  for (const fs::path& path : {folder(i, ".pointsman-new"), folder(i, ".pointsman-old"),
                               agents.at(i)->directory() / "copies" / "copy"}) {
    if (fs::exists(path)) return path.string();
  }
  return "";
}

}  // namespace pointsman::live
