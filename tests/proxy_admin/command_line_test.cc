#include "proxy/cli/command_line.h"

#include <sstream>

#include <gtest/gtest.h>

#include "proxy/cli/ask.h"
#include "proxy/cli/manual.h"

namespace pointsman::proxy::cli {
namespace {

using nlohmann::json;

json request(const std::vector<std::string>& arguments) {
  const auto invocation = parse_command_line(arguments);
  EXPECT_TRUE(invocation) << invocation.error().text;
  return invocation ? request_of(*invocation) : json();
}

// What goes over the socket for each command.
TEST(CommandLineTest, MakesRequests) {
  EXPECT_EQ(request({"status"}), json::parse(R"({"command":"status"})"));
  EXPECT_EQ(request({"events"}), json::parse(R"({"command":"events","limit":20,"follow":false})"));
  EXPECT_EQ(request({"events", "-n", "3", "--follow"}),
            json::parse(R"({"command":"events","limit":3,"follow":true})"));
  EXPECT_EQ(request({"sessions", "-n5"}), json::parse(R"({"command":"sessions","limit":5})"));
  EXPECT_EQ(request({"switchover"}),
            json::parse(
                R"({"command":"switchover","dry_run":false,"max_wait_ms":10000,"end_transactions":false})"));
  EXPECT_EQ(
      request({"switchover", "--to", "b", "--dry-run", "--max-wait", "1.5m", "--end-transactions"}),
      json::parse(
          R"({"command":"switchover","to":"b","dry_run":true,"max_wait_ms":90000,"end_transactions":true})"));
  EXPECT_EQ(request({"switchover", "--max-wait", "0s"})["max_wait_ms"], 0);
  EXPECT_EQ(request({"failover", "--to=b", "--force"}),
            json::parse(R"({"command":"failover","to":"b","force":true})"));
  EXPECT_EQ(request({"rejoin", "a"}), json::parse(R"({"command":"rejoin","name":"a"})"));
  EXPECT_EQ(request({"maintenance", "a", "on"}),
            json::parse(R"({"command":"maintenance","name":"a","on":true})"));
  EXPECT_EQ(request({"maintenance", "a", "off"}),
            json::parse(R"({"command":"maintenance","name":"a","on":false})"));
  EXPECT_EQ(request({"automatic", "off", "--json"}), json::parse(R"({"command":"automatic","on":false})"));
  for (const char* plain : {"pause", "resume", "reload", "explain"})
    EXPECT_EQ(request({plain}), (json{{"command", plain}}));
}

TEST(CommandLineTest, ReadsOptions) {
  const auto watch =
      parse_command_line({"status", "-w", "--interval", "0.5", "--socket", "/s", "-c", "/f", "--json"});
  ASSERT_TRUE(watch);
  EXPECT_TRUE(watch->watch && watch->json && watch->config_given);
  EXPECT_EQ(watch->interval.count(), 500);
  EXPECT_EQ(watch->socket, "/s");
  EXPECT_EQ(watch->config, "/f");
  const auto run = parse_command_line({"run"});
  ASSERT_TRUE(run);
  EXPECT_EQ(run->config, "/etc/pointsman/pointsman.toml");
  EXPECT_FALSE(run->config_given);
  const auto all_events = parse_command_line({"events", "--json"});
  ASSERT_TRUE(all_events);
  EXPECT_GE(all_events->limit, 1000U) << "a program wants them all";
}

// Wrong usage: exit status 2, a word about what is wrong and where to read on.
TEST(CommandLineTest, RefusesWrongUsage) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"swichover"},
                                                       {"status", "--foo"},
                                                       {"status", "extra"},
                                                       {"status", "--interval", "0"},
                                                       {"switchover", "--to"},
                                                       {"switchover", "--force"},
                                                       {"switchover", "--max-wait"},
                                                       {"switchover", "--max-wait", "10"},
                                                       {"switchover", "--max-wait", "-1s"},
                                                       {"switchover", "--max-wait", "61m"},
                                                       {"maintenance"},
                                                       {"maintenance", "a"},
                                                       {"maintenance", "a", "maybe"},
                                                       {"automatic"},
                                                       {"rejoin"},
                                                       {"events", "-n", "x"},
                                                       {"events", "-n", "-1"},
                                                       {"sessions", "-n", "0"},
                                                       {"run", "--json"},
                                                       {"--socket", "x", "status"},
                                                       {"status", "check"},
                                                       {std::string(100'000, 'x')},
                                                       {"\x1b[2J"}};
  for (const auto& arguments : wrong) {
    const auto invocation = parse_command_line(arguments);
    ASSERT_FALSE(invocation) << (arguments.empty() ? "" : arguments[0]);
    EXPECT_EQ(invocation.error().status, ExitStatus::usage);
    EXPECT_NE(invocation.error().text.find("--help"), std::string::npos);
    EXPECT_EQ(invocation.error().text.find('\x1b'), std::string::npos);
  }
  EXPECT_NE(parse_command_line({"swichover"}).error().text.find("did you mean 'switchover'?"),
            std::string::npos);
}

// Help is for a person: what it does, what clients see, an example; and it fits a terminal of 80 columns.
TEST(CommandLineTest, HelpsWithEveryCommand) {
  for (const Manual& manual : manuals()) {
    const auto help = parse_command_line({std::string(manual.name), "--help"});
    ASSERT_FALSE(help);
    EXPECT_EQ(help.error().status, ExitStatus::done);
    const std::string& text = help.error().text;
    EXPECT_NE(text.find("Usage: pointsman " + std::string(manual.name)), std::string::npos);
    EXPECT_NE(text.find("Example"), std::string::npos);
    if (manual.command != Command::run && manual.command != Command::check &&
        manual.command != Command::keygen && manual.command != Command::import_heartbeat) {
      EXPECT_NE(text.find("Clients"), std::string::npos) << manual.name;
      EXPECT_NE(text.find("--json"), std::string::npos) << manual.name;
      const bool asks_daemon = manual.command != Command::verify;
      EXPECT_EQ(text.find("--socket") != std::string::npos, asks_daemon) << manual.name;
    }
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 82U) << line;
  }
  const auto overview = parse_command_line({"--help"});
  ASSERT_FALSE(overview);
  for (const Manual& manual : manuals())
    EXPECT_NE(overview.error().text.find(manual.name), std::string::npos);
  EXPECT_EQ(parse_command_line({"--version"}).error().text, "pointsman " POINTSMAN_VERSION "\n");
}

}  // namespace
}  // namespace pointsman::proxy::cli
