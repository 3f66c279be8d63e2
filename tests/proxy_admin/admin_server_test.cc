#include "proxy/admin_server.h"

#include <atomic>
#include <cstring>
#include <fstream>
#include <random>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/admin_client.h"
#include "tests/proxy_admin/server_thread.h"

namespace pointsman::proxy::testing {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// Answers every request with itself.
void echo(const json& request, const std::shared_ptr<Responder>& responder) {
  responder->ok(request);
}

json ask(const std::string& path, const std::string& bytes) {
  RawClient client(path);
  client.send(bytes);
  return json::parse(client.rest(), nullptr, false);
}

class AdminServerTest : public ::testing::Test {
 protected:
  TempDir dir_;
  std::string path_ = dir_.file("admin.sock");
};

// An operator's command asks and is answered, then the daemon closes.
TEST_F(AdminServerTest, AnswersARequest) {
  ServerThread server(path_, echo);
  auto client = AdminClient::connect(path_, 5s);
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->send({{"command", "status"}, {"n", 5}}));
  const auto answer = client->receive(10s);
  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(*answer, json::parse(R"({"ok":true,"result":{"command":"status","n":5}})"));
  const auto more = client->receive(10s);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind, AdminFailure::Kind::lost);
}

// A switchover takes its time: the handler keeps the responder, and answers from a later turn of the loop.
TEST_F(AdminServerTest, AnswersLater) {
  std::shared_ptr<Responder> kept;
  ServerThread server(
      path_, [&](const json&, std::shared_ptr<Responder> responder) { kept = std::move(responder); });
  RawClient client(path_);
  client.send("{\"command\":\"switchover\"}\n");
  ASSERT_TRUE(server.wait_until([&](AdminServer&) { return kept != nullptr; }));
  server.run([&](AdminServer&) {
    kept->fail("the replica is too far behind");
    kept.reset();
  });
  EXPECT_EQ(client.rest(), "{\"error\":\"the replica is too far behind\",\"ok\":false}\n");
}

// A follower gets an ok line and then events; when it leaves, the daemon learns of it and its later events go
// nowhere.
TEST_F(AdminServerTest, StreamsUntilTheClientLeaves) {
  std::shared_ptr<Responder> follower;
  std::atomic<int> gone = 0;
  ServerThread server(path_, [&](const json&, std::shared_ptr<Responder> responder) {
    responder->send(admin_ok({{"events", json::array()}}));
    responder->on_gone([&gone] { ++gone; });
    follower = std::move(responder);
  });
  RawClient client(path_);
  client.send("{\"command\":\"events\",\"follow\":true}\n");
  EXPECT_EQ(client.line(), "{\"ok\":true,\"result\":{\"events\":[]}}\n");
  server.run([&](AdminServer&) { follower->send({{"kind", "verdict"}}); });
  EXPECT_EQ(client.line(), "{\"kind\":\"verdict\"}\n");
  client.close();
  ASSERT_TRUE(server.wait_until([&](AdminServer& s) { return gone == 1 && s.clients() == 0; }));
  server.run([&](AdminServer&) {
    EXPECT_TRUE(follower->gone());
    follower->send({{"kind", "late"}});
    follower->finish();
    follower.reset();
  });
  EXPECT_EQ(gone, 1);
}

// A follower whose terminal is stopped must cost the daemon 1 MiB at most, and then its place.
TEST_F(AdminServerTest, DropsAFollowerThatDoesNotRead) {
  std::shared_ptr<Responder> follower;
  std::atomic<int> gone = 0;
  ServerThread server(path_, [&](const json&, std::shared_ptr<Responder> responder) {
    responder->on_gone([&gone] { ++gone; });
    follower = std::move(responder);
  });
  RawClient client(path_);
  client.send("{\"command\":\"events\"}\n");
  ASSERT_TRUE(server.wait_until([&](AdminServer&) { return follower != nullptr; }));
  int sent = 0;
  ASSERT_TRUE(server.wait_until([&](AdminServer&) {
    follower->send({{"text", std::string(10'000, 'x')}});
    ++sent;
    return follower->gone();
  }));
  EXPECT_GE(sent, 100);
  ASSERT_TRUE(server.wait_until([&](AdminServer& s) { return gone == 1 && s.clients() == 0; }));
  EXPECT_EQ(server.counts().dropped_slow, 1U);
  server.run([&](AdminServer&) { follower.reset(); });
}

// What `echo '{...}' | socat - UNIX:...` does: the client closes its half at once, and still wants the
// answer, which comes later.
TEST_F(AdminServerTest, AnswersAHalfClosedClient) {
  std::shared_ptr<Responder> kept;
  ServerThread server(path_,
                      [&](const json&, std::shared_ptr<Responder> responder) { kept = std::move(responder); },
                      {.patience = 100ms});
  RawClient client(path_);
  client.send("{\"command\":\"reload\"}");  // no line end either
  client.end_of_input();
  ASSERT_TRUE(server.wait_until([&](AdminServer&) { return kept != nullptr; }));
  server.run([&](AdminServer&) { kept->ok("done"); });
  EXPECT_EQ(client.rest(), "{\"ok\":true,\"result\":\"done\"}\n");
}

// A half-closed follower that then ends altogether sends nothing that could be read; it must not keep its
// place.
TEST_F(AdminServerTest, NoticesAHalfClosedClientThatLeaves) {
  std::shared_ptr<Responder> kept;
  std::atomic<int> gone = 0;
  ServerThread server(path_,
                      [&](const json&, std::shared_ptr<Responder> responder) {
                        responder->on_gone([&gone] { ++gone; });
                        kept = std::move(responder);
                      },
                      {.patience = 100ms});
  RawClient client(path_);
  client.send("{\"command\":\"events\"}\n");
  client.end_of_input();
  ASSERT_TRUE(server.wait_until([&](AdminServer&) { return kept != nullptr; }));
  client.close();
  EXPECT_TRUE(server.wait_until([&](AdminServer&) { return gone == 1; }));
  server.run([&](AdminServer&) { kept.reset(); });
}

// Whatever is not a request gets an answer that says so.
TEST_F(AdminServerTest, RejectsWhatIsNoRequest) {
  ServerThread server(path_, echo);
  const std::vector<std::string> bad = {
      "hello\n",
      "\n",
      "GET / HTTP/1.1\r\n",
      "[1,2]\n",
      "{\"command\":5}\n",
      "{}\n",
      "{\"command\":\"status\"\n",
      "null\n",
      "{\"command\":\"\xff\xfe\"}\n",
      std::string("\0\0\0\n", 4),
      std::string(30'000, '[') + "\n",
      "{\"command\":\"x\",\"a\":" + std::string(17, '[') + std::string(17, ']') + "}\n"};
  for (const std::string& request : bad) {
    const json answer = ask(path_, request);
    ASSERT_TRUE(answer.is_object()) << request;
    EXPECT_EQ(answer["ok"], false) << request;
    EXPECT_NE(answer["error"].get<std::string>(), "") << request;
  }
  EXPECT_EQ(server.counts().bad_requests, bad.size());
  EXPECT_EQ(ask(path_, "{\"command\":\"status\"}\r\n")["ok"], true);
}

// A request that never ends is refused at 64 KiB; one just below is served.
TEST_F(AdminServerTest, BoundsTheRequest) {
  ServerThread server(path_, [](const json&, const std::shared_ptr<Responder>& r) { r->ok("fine"); });
  const std::string head = "{\"command\":\"x\",\"a\":\"";
  const auto sized = [&](std::size_t size) {
    return head + std::string(size - head.size() - 3, 'a') + "\"}\n";
  };
  EXPECT_EQ(ask(path_, sized(admin_max_request))["ok"], true);
  EXPECT_EQ(ask(path_, sized(admin_max_request + 1))["ok"], false);
  EXPECT_EQ(ask(path_, std::string(10 << 20, 'x'))["ok"], false);
  EXPECT_EQ(server.counts().oversized, 2U);
}

// Half a line, and then silence.
TEST_F(AdminServerTest, BoundsTheWaitForARequest) {
  ServerThread server(path_, echo, {.patience = 60ms});
  RawClient silent(path_);
  RawClient half(path_);
  half.send("{\"command\":");
  EXPECT_NE(half.rest().find("no whole request"), std::string::npos);
  EXPECT_NE(silent.rest().find("no whole request"), std::string::npos);
  EXPECT_EQ(server.counts().timed_out, 2U);
}

// The 65th client is told so, and the 64 others go on.
TEST_F(AdminServerTest, BoundsTheClients) {
  ServerThread server(path_, echo);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (std::size_t i = 0; i < admin_max_clients; ++i) clients.push_back(std::make_unique<RawClient>(path_));
  ASSERT_TRUE(server.wait_until([](AdminServer& s) { return s.clients() == admin_max_clients; }));
  RawClient surplus(path_);
  EXPECT_NE(surplus.rest().find("too many clients"), std::string::npos);
  for (auto& client : clients) {
    client->send("{\"command\":\"status\"}\n");
    EXPECT_NE(client->rest().find("\"ok\":true"), std::string::npos);
  }
  EXPECT_EQ(server.counts().refused_full, 1U);
}

// An answer beyond the bound becomes an error that says what to do.
TEST_F(AdminServerTest, BoundsTheAnswer) {
  ServerThread server(
      path_, [](const json&, const std::shared_ptr<Responder>& r) { r->ok(std::string(2 << 20, 'x')); });
  const json answer = ask(path_, "{\"command\":\"sessions\"}\n");
  EXPECT_EQ(answer["ok"], false);
  EXPECT_NE(answer["error"].get<std::string>().find("ask for less"), std::string::npos);
}

// Handlers that throw, forget to answer, answer twice, or send what is not UTF-8.
TEST_F(AdminServerTest, SurvivesBadHandlers) {
  ServerThread server(path_, [](const json& request, const std::shared_ptr<Responder>& responder) {
    const std::string command = request["command"];
    if (command == "throw") static_cast<void>(request.at("nothing"));
    if (command == "twice") {
      responder->ok(1);
      responder->ok(2);
      responder->send({{"x", 3}});
    }
    if (command == "bytes") responder->ok("Zugriff verweigert f\xfcr Benutzer");
  });
  EXPECT_NE(ask(path_, "{\"command\":\"throw\"}\n")["error"].get<std::string>().find("internal error"),
            std::string::npos);
  EXPECT_NE(ask(path_, "{\"command\":\"forget\"}\n")["error"].get<std::string>().find("without an answer"),
            std::string::npos);
  EXPECT_EQ(ask(path_, "{\"command\":\"twice\"}\n")["result"], 1);
  EXPECT_EQ(ask(path_, "{\"command\":\"bytes\"}\n")["ok"], true);
}

// Thousands of connects, with noise, cut requests, floods and sudden leaves in a random order; afterwards a
// proper request is served.
TEST_F(AdminServerTest, SurvivesNoise) {
  ServerThread server(path_, echo, {.patience = 500ms});
  const unsigned seed = std::random_device{}();
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937 random(seed);
  const auto noise = [&random](std::size_t size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
  };
  const std::string request = "{\"command\":\"status\",\"a\":[1,{\"b\":null}]}\n";
  std::vector<std::unique_ptr<RawClient>> lingering;
  for (int i = 0; i < 3000; ++i) {
    auto client = std::make_unique<RawClient>(path_);
    switch (random() % 7) {
      case 0:
        client->send(noise(random() % 5000));
        break;
      case 1:
        client->send(request.substr(0, random() % request.size()));
        break;
      case 2:
        client->send(request);
        break;
      case 3:
        client->send(request + noise(random() % 5000));
        break;
      case 4:
        client->send(noise(100'000));
        break;
      case 5:
        client->end_of_input();
        break;
      default:
        break;
    }
    if (random() % 8 == 0) lingering.push_back(std::move(client));
    if (lingering.size() > 40) lingering.clear();
  }
  lingering.clear();
  ASSERT_TRUE(server.wait_until([](AdminServer& s) { return s.clients() == 0; })) << "seed " << seed;
  EXPECT_EQ(ask(path_, request)["ok"], true) << "seed " << seed;
}

// The daemon ends while clients wait: they see the end, and kept responders find nobody.
TEST_F(AdminServerTest, EndsWithClientsConnected) {
  std::shared_ptr<Responder> kept;
  RawClient* reading = nullptr;
  std::unique_ptr<RawClient> client;
  std::unique_ptr<RawClient> silent;
  {
    ServerThread server(
        path_, [&](const json&, std::shared_ptr<Responder> responder) { kept = std::move(responder); });
    client = std::make_unique<RawClient>(path_);
    silent = std::make_unique<RawClient>(path_);
    client->send("{\"command\":\"events\"}\n");
    ASSERT_TRUE(server.wait_until([&](AdminServer& s) { return kept != nullptr && s.clients() == 2; }));
    reading = client.get();
  }
  EXPECT_TRUE(kept->gone());
  kept->ok("nobody hears");
  EXPECT_EQ(reading->rest(), "");
  EXPECT_EQ(silent->rest(), "");
  EXPECT_FALSE(std::filesystem::exists(path_));
}

class AdminSocketTest : public AdminServerTest {};

mode_t mode_of(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 07777U : 0;
}

// Only the daemon's user and group may command it, whatever umask the daemon was started with; and that umask
// stays.
TEST_F(AdminSocketTest, IsForUserAndGroup) {
  const mode_t before = ::umask(0);
  {
    auto claimed = SocketFile::claim(path_, admin_socket);
    ASSERT_TRUE(claimed) << claimed.error();
    EXPECT_EQ(mode_of(path_), 0660U);
    EXPECT_EQ(::umask(before), 0U);
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

// A daemon was killed and its socket lies there: the next one replaces it.
TEST_F(AdminSocketTest, ReplacesTheSocketOfADeadDaemon) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto claimed = SocketFile::claim(path_, admin_socket);
    ::_exit(claimed ? 0 : 1);  // no destructor: as if killed
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(std::filesystem::is_socket(path_));
  const ServerThread server(path_, echo);
  EXPECT_EQ(ask(path_, "{\"command\":\"status\"}\n")["ok"], true);
}

// A second daemon on the same socket must not take it from the first.
TEST_F(AdminSocketTest, RefusesTheSocketOfALivingDaemon) {
  const ServerThread server(path_, echo);
  const auto second = SocketFile::claim(path_, admin_socket);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().find("another pointsman runs"), std::string::npos) << second.error();
  EXPECT_EQ(ask(path_, "{\"command\":\"status\"}\n")["ok"], true);
}

// Some other program serves the path, without our lock.
TEST_F(AdminSocketTest, RefusesASocketThatSomebodyServes) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.c_str(), path_.size());
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  const auto claimed = SocketFile::claim(path_, admin_socket);
  ASSERT_FALSE(claimed);
  EXPECT_NE(claimed.error().find("another program listens"), std::string::npos) << claimed.error();
  EXPECT_TRUE(std::filesystem::exists(path_));
  ::close(fd);
}

// What the operator may have got wrong, each with a sentence that names it.
TEST_F(AdminSocketTest, ExplainsWhyItCannotBeMade) {
  const auto error_for = [](const std::string& path) {
    const auto claimed = SocketFile::claim(path, admin_socket);
    return claimed ? "" : claimed.error();
  };
  EXPECT_NE(error_for(dir_.file("missing/admin.sock")).find("there is no directory " + dir_.file("missing")),
            std::string::npos);
  EXPECT_NE(error_for(dir_.file(std::string(120, 'x'))).find("too long"), std::string::npos);
  EXPECT_NE(error_for("").find("empty"), std::string::npos);
  const std::string file = dir_.file("precious");
  std::ofstream(file) << "data";
  EXPECT_NE(error_for(file).find("no socket"), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(file), 4U);
  std::filesystem::create_directory(dir_.file("locked"));
  if (::geteuid() != 0) {
    std::filesystem::permissions(dir_.file("locked"), std::filesystem::perms::none);
    EXPECT_NE(error_for(dir_.file("locked/admin.sock")).find("ermission denied"), std::string::npos);
  }
}

// Somebody replaced our socket file: at the end theirs stays.
TEST_F(AdminSocketTest, RemovesOnlyItsOwnFile) {
  {
    auto claimed = SocketFile::claim(path_, admin_socket);
    ASSERT_TRUE(claimed);
    std::filesystem::remove(path_);
    std::ofstream(path_) << "not ours";
  }
  EXPECT_TRUE(std::filesystem::exists(path_));
}

class AdminClientTest : public AdminServerTest {};

// No daemon, a dead one's socket, a frozen one: each its own sentence.
TEST_F(AdminClientTest, SaysWhyNobodyAnswers) {
  const auto missing = AdminClient::connect(path_, 1s);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, AdminFailure::Kind::no_daemon);
  EXPECT_NE(missing.error().text.find("there is no admin socket"), std::string::npos);

  auto claimed = SocketFile::claim(path_, admin_socket);
  ASSERT_TRUE(claimed);
  const auto stale =
      AdminClient::connect(path_, 1s);  // bound, but nobody listens: as a dead daemon leaves it
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().kind, AdminFailure::Kind::no_daemon);
  EXPECT_NE(stale.error().text.find("nobody listens"), std::string::npos);

  const int fd = claimed->release();
  ASSERT_EQ(::listen(fd, 0), 0);
  auto frozen = AdminClient::connect(path_, 1s);
  ASSERT_TRUE(frozen);
  ASSERT_TRUE(frozen->send({{"command", "status"}}));
  const auto answer = frozen->receive(50ms);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, AdminFailure::Kind::silent);
  const auto queue_full = AdminClient::connect(path_, 50ms);
  ASSERT_FALSE(queue_full);
  EXPECT_NE(queue_full.error().text.find("accepts no connection"), std::string::npos);
  ::close(fd);
}

// Something else listens there.
TEST_F(AdminClientTest, SaysThatItIsNotPointsman) {
  auto claimed = SocketFile::claim(path_, admin_socket);
  ASSERT_TRUE(claimed);
  const int fd = claimed->release();
  ASSERT_EQ(::listen(fd, 4), 0);
  auto client = AdminClient::connect(path_, 1s);
  ASSERT_TRUE(client);
  pollfd ready{fd, POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, 30'000), 1);
  const int peer = ::accept(fd, nullptr, nullptr);
  ASSERT_GE(peer, 0);
  ASSERT_EQ(::write(peer, "220 smtp\r\n", 10), 10);
  const auto answer = client->receive(30s);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, AdminFailure::Kind::garbage);
  ::close(peer);
  ::close(fd);
}

}  // namespace
}  // namespace pointsman::proxy::testing
