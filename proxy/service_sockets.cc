#include "proxy/service_sockets.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include "proxy/sockets.h"

namespace pointsman::proxy {

namespace {

using Sockets = std::vector<ServiceSocket>;

bool same(const io::Address& a, const io::Address& b) {
  return a.family() == b.family() && a.host_port() == b.host_port();
}

// Moves what `fits` from one list to the other; how many.
template <class Fits>
std::size_t take(Sockets& from, const std::string& entry, Sockets& to, const Fits& fits) {
  std::size_t taken = 0;
  for (auto& socket : from) {
    if (!fits(socket)) continue;
    socket.entry = entry;
    to.push_back(std::move(socket));
    ++taken;
  }
  std::erase_if(from, [](const ServiceSocket& socket) { return !socket.socket; });
  return taken;
}

std::expected<void, std::string> bind_more(const std::string& entry, io::Address address, std::size_t count,
                                           Sockets& into) {
  for (std::size_t i = 0; i < count; ++i) {
    // The first one's turn fills in the port that the kernel chose; the others share it.
    const auto fd = bind_on(address);
    if (!fd) return std::unexpected(fd.error());
    into.push_back({.entry = entry, .address = address, .socket = io::Descriptor(*fd)});
  }
  return {};
}

std::expected<void, std::string> add_address(const std::string& entry, const io::Address& address,
                                             std::size_t workers, Sockets& given, Sockets& into) {
  const std::size_t had = take(given, entry, into, [&](const ServiceSocket& socket) {
    return !socket.is_unix() && same(socket.address, address);
  });
  if (had == 0) {
    if (auto free = check_free(address); !free) return free;
    return bind_more(entry, address, workers, into);
  }
  if (into.back().shared || had >= workers) return {};
  // More workers than before. Where the kernel allows no further socket, as to another user, they share.
  const std::size_t first = into.size() - had;
  if (bind_more(entry, address, workers - had, into)) return {};
  for (std::size_t i = first; i < into.size(); ++i) into[i].shared = true;
  return {};
}

// A port that the kernel chose is not in the configuration.
bool take_by_entry(const std::string& entry, std::size_t workers, Sockets& given, Sockets& into) {
  const auto of_entry = [&](const ServiceSocket& socket) {
    return !socket.is_unix() && socket.entry == entry && socket.address.port() != 0;
  };
  const auto first = std::ranges::find_if(given, of_entry);
  if (first == given.end()) return false;
  return add_address(entry, io::Address(first->address), workers, given, into).has_value();
}

std::expected<void, std::string> add_tcp(const conf::HostPort& where, std::size_t workers, bool numeric_only,
                                         Sockets& given, Sockets& into) {
  const std::string entry = entry_of(where);
  bool any = false;
  while (take_by_entry(entry, workers, given, into)) any = true;
  if (any) return {};
  if (numeric_only && !io::Address::numeric(where)) {
    return std::unexpected("proxy.listen: " + entry +
                           " is a name, which is looked up at a takeover or a restart alone");
  }
  const auto addresses = listen_addresses(where);
  if (!addresses) return std::unexpected(addresses.error());
  for (const auto& address : *addresses) {
    if (auto added = add_address(entry, address, workers, given, into); !added) return added;
  }
  return {};
}

std::expected<void, std::string> add_unix(const std::string& path, Sockets& given, Sockets& into) {
  const auto of_path = [&](const ServiceSocket& socket) { return socket.is_unix() && socket.entry == path; };
  if (take(given, path, into, of_path) > 0) return {};
  auto file = SocketFile::claim(path, client_socket);
  if (!file) return std::unexpected(file.error());
  io::Descriptor socket(file->release());
  io::Address address;
  address.storage.ss_family = AF_UNIX;
  into.push_back({.entry = path,
                  .address = address,
                  .socket = std::move(socket),
                  .shared = true,
                  .file = std::move(*file)});
  return {};
}

}  // namespace

std::string ServiceSocket::where() const {
  return is_unix() ? "unix:" + entry : address.to_string();
}

std::expected<void, std::string> ServiceSocket::listen() {
  if (!listening && ::listen(socket.get(), listen_backlog) != 0)
    return std::unexpected("cannot listen on " + where() + ": " + system_says(errno));
  listening = true;
  return {};
}

std::string entry_of(const conf::HostPort& where) {
  return conf::to_string(where);
}

std::expected<Sockets, std::string> service_sockets(const conf::Proxy& proxy, std::size_t workers,
                                                    Sockets& given, bool numeric_only) {
  Sockets found;
  for (const auto& where : proxy.listen) {
    if (auto added = add_tcp(where, workers, numeric_only, given, found); !added)
      return std::unexpected(added.error());
  }
  for (const auto& path : proxy.listen_unix) {
    if (auto added = add_unix(path, given, found); !added) return std::unexpected(added.error());
  }
  return found;
}

}  // namespace pointsman::proxy
