#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/io/address.h"
#include "health/io/descriptor.h"
#include "proxy/socket_file.h"

// The listening sockets of the service: bound here, given by systemd, or received from the daemon whose place
// this one takes. Control loop's thread.
namespace pointsman::proxy {

struct ServiceSocket {
  std::string entry{};    // of proxy.listen or proxy.listen_unix; "": not known yet which
  io::Address address{};  // TCP; of a Unix socket the family alone
  io::Descriptor socket{};
  // One for all workers, who is first accepts: SO_REUSEPORT is neither for Unix sockets nor for one that was
  // bound without it. Else each worker has its own, and the kernel spreads the clients.
  bool shared = false;
  // Else nobody can connect yet: what is bound for a start that may fail keeps no client waiting.
  bool listening = false;
  std::optional<SocketFile> file{};  // of a Unix socket whose place is ours to clear

  bool is_unix() const { return address.family() == AF_UNIX; }
  std::string where() const;                  // for people and logs: "0.0.0.0:3306", "unix:/run/mysql.sock"
  std::expected<void, std::string> listen();  // unless it does
};

// The name of an entry of proxy.listen.
std::string entry_of(const conf::HostPort& where);

// As Unix sockets that are in the hands of clients have it: whoever reaches it still has to log in. The
// directory says who does.
inline constexpr SocketFile::Use client_socket{"client socket", "proxy.listen_unix", 0777};

// Everything that `proxy` wants to listen on, for so many workers. What fits is taken from `given`: every
// socket of it, whatever the number of workers, because closing one resets the clients that wait in its
// queue; the rest is left there. The others are bound, and do not listen yet. Error: a sentence that names
// the address; what was taken is closed.
//
// Resolves names, blocking, unless `numeric_only`: then a name that is not given is an error.
std::expected<std::vector<ServiceSocket>, std::string> service_sockets(const conf::Proxy& proxy,
                                                                       std::size_t workers,
                                                                       std::vector<ServiceSocket>& given,
                                                                       bool numeric_only = false);

}  // namespace pointsman::proxy
