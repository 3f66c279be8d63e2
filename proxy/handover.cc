#include "proxy/handover.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "health/io/clock.h"
#include "proxy/sockets.h"

namespace pointsman::proxy {

using namespace std::chrono_literals;

namespace {

constexpr core::Duration prepare_limit = 30s;  // the new process resolves names and binds
constexpr core::Duration ask_limit = 10s;      // a change of primary is waited for
constexpr core::Duration ask_pause = 20ms;
constexpr core::Duration serve_limit = 5s;
constexpr core::Duration look_pause = 20ms;  // whether a killed process has gone

// Who may have the service: its own user, and root.
std::string why_not_him(const ucred& peer) {
  if (peer.uid != 0 && peer.uid != ::geteuid())
    return "it runs as another user (" + std::to_string(peer.uid) + ")";
  return {};
}

void unlink_socket(const std::string& state_dir) {
  ::unlink((state_dir + "/" + Handover::socket_name).c_str());
}

}  // namespace

struct Handover::Client {
  Channel channel;
  ProcessHandle process;
  Step step = Step::greeted;
  core::Instant until;
  std::string last_reason{};  // why not yet
  std::unique_ptr<Watch> watch{};
};

std::expected<io::Descriptor, std::string> takeover_socket(const std::string& state_dir, bool create) {
  const auto failed = [&](const char* what) {
    return std::unexpected(std::string("cannot ") + what + " " + state_dir + "/" + Handover::socket_name +
                           ": " + system_says(errno));
  };
  // By the directory's descriptor: the path may be longer than a socket's address.
  const io::Descriptor directory(::open(state_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return failed("reach");
  const std::string path = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + Handover::socket_name;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* where = reinterpret_cast<const sockaddr*>(&address);
  io::Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed("make");
  if (!create) {
    if (::connect(socket.get(), where, sizeof address) != 0) return failed("connect to");
    return socket;
  }
  unlink_socket(state_dir);
  const mode_t before = ::umask(0177);
  const int bound = ::bind(socket.get(), where, sizeof address);
  const int error = errno;
  ::umask(before);
  errno = error;
  if (bound != 0 || ::listen(socket.get(), 4) != 0) return failed("listen on");
  return socket;
}

Handover::Handover(io::Loop& loop, io::Log& log, std::string state_dir, Callbacks callbacks)
    : loop_(loop),
      log_(log),
      directory_(std::move(state_dir)),
      callbacks_(std::move(callbacks)),
      timer_(loop, [this] { on_timer(); }) {}

Handover::~Handover() {
  if (ours_) unlink_socket(directory_);
}

std::expected<void, std::string> Handover::listen() {
  auto made = takeover_socket(directory_, true);
  if (!made) return std::unexpected(made.error());
  listener_ = std::move(*made);
  ours_ = true;
  accepting_ = std::make_unique<Watch>(loop_, listener_.get(), [this] { accept(); });
  return {};
}

void Handover::accept() {
  io::Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  Channel channel(std::move(socket));
  const auto refuse = [&](const std::string& why, bool again) {
    log_.warn("takeover_refused", {{"pid", peer.pid}, {"why", why}});
    static_cast<void>(channel.send({{"type", "refused"}, {"why", why}, {"again", again}}));
  };
  if (!known) return;
  if (const std::string why = why_not_him(peer); !why.empty()) return refuse(why, false);
  if (client_) return refuse("another process takes over at this moment", true);
  if (const std::string why = callbacks_.why_not(peer.pid); !why.empty()) return refuse(why, false);
  client_ = std::make_unique<Client>(Client{
      .channel = std::move(channel), .process = ProcessHandle(peer.pid), .until = io::now() + prepare_limit});
  client_->watch = std::make_unique<Watch>(loop_, client_->channel.fd(), [this] { on_message(); });
  timer_.start_after(prepare_limit);
}

void Handover::on_message() {
  auto received = client_->channel.receive();
  if (!received) {
    if (client_->step >= Step::committed) return go_on_alone(received.error());
    return drop("the new process has left: " + received.error(), false);
  }
  if (!*received) return;
  const std::string type = (*received)->type();
  if (type == "hello" && client_->step == Step::greeted) return on_hello((*received)->body);
  if (type == "ready" && client_->step == Step::preparing) {
    client_->step = Step::asked;
    client_->until = io::now() + ask_limit;
    return try_commit();
  }
  if (type == "serving" && client_->step == Step::committed) return hand_over((*received)->body);
  if (client_->step >= Step::committed) return go_on_alone("it said \"" + type + "\"");
  drop("it said \"" + type + "\"", false);
}

void Handover::on_hello(const nlohmann::json& hello) {
  if (const auto spoken = hello.find("protocol"); spoken == hello.end() || *spoken != protocol)
    return drop("the new version takes over in another way: it takes a restart", false);
  log_.info("takeover", {{"pid", client_->process.pid()}});
  std::vector<Piece> pieces = callbacks_.sockets();
  nlohmann::json list = nlohmann::json::array();
  std::vector<int> files;
  const auto send = [&](bool last) {
    const auto sent = client_->channel.send({{"type", "sockets"},
                                             {"list", std::move(list)},
                                             {"lease_ms", core::to_ms(callbacks_.lease())},
                                             {"last", last}},
                                            files);
    list = nlohmann::json::array();
    files.clear();
    return sent;
  };
  std::expected<void, std::string> sent;
  for (Piece& piece : pieces) {
    if (files.size() + piece.files.size() > Channel::max_files) sent = send(false);
    if (!sent) break;
    piece.what["files"] = piece.files.size();
    list.push_back(std::move(piece.what));
    files.insert(files.end(), piece.files.begin(), piece.files.end());
  }
  if (sent) sent = send(true);
  if (!sent) return drop("the sockets could not be sent: " + sent.error(), false);
  client_->step = Step::preparing;
}

void Handover::try_commit() {
  const auto suspended = callbacks_.suspend();
  if (!suspended) {
    client_->last_reason = suspended.error();
    if (io::now() >= client_->until) return drop(client_->last_reason, true);
    return timer_.start_after(ask_pause);
  }
  Piece commit = callbacks_.commit();
  commit.what["type"] = "commit";
  client_->step = Step::committed;
  client_->until = io::now() + serve_limit;
  timer_.start_after(serve_limit);
  // What was not sent is not read: but it is ended like one that may have read it.
  if (auto sent = client_->channel.send(commit.what, commit.files); !sent) go_on_alone(sent.error());
}

void Handover::on_timer() {
  switch (client_->step) {
    case Step::greeted:
    case Step::preparing:
      return drop("it was not ready in time", false);
    case Step::asked:
      return try_commit();
    case Step::committed:
      on_message();  // it may have come at this moment
      if (client_ && client_->step == Step::committed) go_on_alone("it did not serve in time");
      return;
    case Step::killing:
      if (!client_->process.ended()) return timer_.start_after(look_pause);
      // Killed as it had just come to serve, it may have decided something, and what we know is old.
      if (auto last = client_->channel.receive(); last && *last && (*last)->type() == "serving")
        return hand_over((*last)->body);
      client_.reset();
      // It may have made the place of it its own.
      if (auto listening = listen(); !listening) log_.error("no_takeover", {{"why", listening.error()}});
      callbacks_.resume();
      return;
  }
}

void Handover::hand_over(const nlohmann::json& said) {
  timer_.stop();
  ours_ = false;  // the new process has made its own of that name
  accepting_.reset();
  const std::unique_ptr<Client> client = std::move(client_);
  client->watch.reset();
  callbacks_.handed_over(std::move(client->channel), said, client->process);
}

void Handover::drop(const std::string& why, bool again) {
  timer_.stop();
  log_.warn("takeover_given_up", {{"pid", client_->process.pid()}, {"why", why}});
  static_cast<void>(client_->channel.send({{"type", "refused"}, {"why", why}, {"again", again}}));
  const std::unique_ptr<Client> client = std::move(client_);
  client->watch.reset();
}

// Not before it is certain that the other one decides nothing.
void Handover::go_on_alone(const std::string& why) {
  log_.error("takeover_failed",
             {{"pid", client_->process.pid()}, {"why", "the new process did not come to serve: " + why}});
  client_->watch.reset();
  client_->step = Step::killing;
  client_->process.kill();
  timer_.start_after(core::Duration::zero());
}

}  // namespace pointsman::proxy
