#include "proxy/takeover.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <thread>
#include <utility>

#include <sys/socket.h>

#include "conf/address.h"
#include "health/io/clock.h"
#include "proxy/handover.h"

namespace pointsman::proxy {

using namespace std::chrono_literals;
using nlohmann::json;

namespace {

constexpr core::Duration answer_limit = 5s;
constexpr core::Duration commit_limit = 15s;  // more than it waits for a change of primary
// For so long is it asked again: one that has something else to do, and one that is not there, as it makes
// its socket anew when nobody came to serve.
constexpr core::Duration busy = 10s;
constexpr core::Duration absence = 1s;
constexpr auto pause = 200ms;

// Moves the first `count` of them out.
std::vector<io::Descriptor> first_of(std::vector<io::Descriptor>& files, std::size_t count) {
  const auto end = files.begin() + static_cast<std::ptrdiff_t>(std::min(count, files.size()));
  std::vector<io::Descriptor> taken(std::make_move_iterator(files.begin()), std::make_move_iterator(end));
  files.erase(files.begin(), end);
  return taken;
}

io::Address address_from(const std::string& text) {
  const auto where = conf::parse_address(text);
  return where ? io::Address::numeric(*where).value_or(io::Address{}) : io::Address{};
}

}  // namespace

Takeover::Refusal Takeover::refusal_of(const Channel::Message& message) {
  if (message.type() != "refused") return {"it said \"" + message.type() + "\""};
  return {message.body.value("why", ""), message.body.value("again", false) ? busy : core::Duration()};
}

std::expected<Takeover, std::string> Takeover::begin(const std::string& state_dir) {
  const core::Instant began = io::now();
  for (;;) {
    auto asked = ask(state_dir);
    if (asked) return std::move(*asked);
    if (io::now() - began >= asked.error().patience) return std::unexpected(asked.error().why);
    std::this_thread::sleep_for(pause);
  }
}

std::expected<Takeover, Takeover::Refusal> Takeover::ask(const std::string& state_dir) {
  auto socket = takeover_socket(state_dir, false);
  if (!socket) return std::unexpected(Refusal{"no daemon can be taken over: " + socket.error(), absence});
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket->get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) peer.pid = 0;
  Takeover takeover(Channel(std::move(*socket)), peer.pid);
  // When that fails the answer, which is a refusal, is there nevertheless.
  static_cast<void>(takeover.channel_.send({{"type", "hello"}, {"protocol", Handover::protocol}}));
  if (auto received = takeover.receive_sockets(); !received) {
    return std::unexpected(
        Refusal{"the running daemon is not taken over: " + received.error().why, received.error().patience});
  }
  return takeover;
}

std::expected<void, Takeover::Refusal> Takeover::receive_sockets() {
  for (;;) {
    auto message = channel_.wait(answer_limit);
    // A refusal is lost when the daemon closes before it has read what was sent to it.
    if (!message) return std::unexpected(Refusal{message.error(), busy});
    if (message->type() != "sockets") return std::unexpected(refusal_of(*message));
    // The library reports what is missing or of another type by exceptions; they end here.
    try {
      for (const json& what : message->body.at("list")) {
        if (auto taken = take(what, first_of(message->files, what.at("files").get<std::size_t>())); !taken)
          return std::unexpected(Refusal{taken.error()});
      }
      inheritance_.lease = std::chrono::milliseconds(message->body.at("lease_ms").get<std::int64_t>());
      if (message->body.at("last").get<bool>()) return {};
    } catch (const std::exception& error) {
      return std::unexpected(Refusal{std::string("what it sent cannot be understood: ") + error.what()});
    }
  }
}

std::expected<void, std::string> Takeover::take(const json& what, std::vector<io::Descriptor> files) {
  const auto kind = what.at("kind").get<std::string>();
  if (files.empty()) return std::unexpected("it sent no descriptor of its " + kind);
  const auto own = [&](const std::string& path) {
    return files.size() > 1 ? std::optional(SocketFile::adopt(path, std::move(files[1]))) : std::nullopt;
  };
  if (kind == "state_lock") {
    inheritance_.state_lock = std::move(files[0]);
  } else if (kind == "tcp") {
    inheritance_.service.push_back({.entry = what.at("entry").get<std::string>(),
                                    .address = address_from(what.at("address").get<std::string>()),
                                    .socket = std::move(files[0]),
                                    .shared = what.at("shared").get<bool>(),
                                    .listening = true});
  } else if (kind == "unix") {
    const auto path = what.at("entry").get<std::string>();
    io::Address address;
    address.storage.ss_family = AF_UNIX;
    inheritance_.service.push_back({.entry = path,
                                    .address = address,
                                    .socket = std::move(files[0]),
                                    .shared = true,
                                    .listening = true,
                                    .file = own(path)});
  } else if (kind == "admin" && files.size() > 1) {
    const auto path = what.at("path").get<std::string>();
    inheritance_.admin.emplace(path, std::move(*own(path)), std::move(files[0]));
  } else if (kind == "udp") {
    inheritance_.udp.emplace(address_from(what.at("address").get<std::string>()), std::move(files[0]));
  } else if (kind == "serial") {
    inheritance_.lines[what.at("device").get<std::string>()] = std::move(files[0]);
  }
  return {};  // of a kind that we do not know: closed
}

std::expected<Takeover::Commit, std::string> Takeover::commit() {
  if (auto sent = channel_.send({{"type", "ready"}}); !sent) return std::unexpected(sent.error());
  auto message = channel_.wait(commit_limit);
  if (!message) return std::unexpected("the running daemon is not taken over: " + message.error());
  if (message->type() != "commit")
    return std::unexpected("the running daemon is not taken over: " + refusal_of(*message).why);
  Commit commit;
  if (const auto route = message->body.find("route"); route != message->body.end())
    commit.route = route_from_json(*route);
  try {
    for (const json& former : message->body.at("formers")) {
      auto files = first_of(message->files, 1);
      if (files.empty()) break;
      commit.formers.push_back({.pid = former.at("pid").get<pid_t>(),
                                .since = core::Instant(core::Duration(former.at("since_ns").get<long>())),
                                .channel = Channel(std::move(files[0]))});
    }
  } catch (const std::exception& error) {
    return std::unexpected(std::string("what it sent cannot be understood: ") + error.what());
  }
  return commit;
}

void Takeover::discard_rest() {
  Inheritance rest = std::exchange(inheritance_, {});
  if (rest.admin) rest.admin->file.keep(false);
  for (auto& socket : rest.service) {
    if (socket.file) socket.file->keep(false);
  }
}

std::expected<FormerChannel, std::string> Takeover::serving(core::Duration drain_timeout) {
  if (auto sent = channel_.send({{"type", "serving"}, {"drain_timeout_ms", core::to_ms(drain_timeout)}});
      !sent)
    return std::unexpected(sent.error());
  return FormerChannel{.pid = pid_, .since = io::now(), .channel = std::move(channel_)};
}

}  // namespace pointsman::proxy
