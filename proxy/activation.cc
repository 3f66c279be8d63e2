#include "proxy/activation.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "proxy/sockets.h"

namespace pointsman::proxy {

std::expected<std::vector<ServiceSocket>, std::string> activated_sockets(std::vector<io::Descriptor> given) {
  std::vector<ServiceSocket> sockets;
  for (auto& descriptor : given) {
    const int fd = descriptor.get();
    int listening = 0;
    int type = 0;
    socklen_t size = sizeof listening;
    const bool known = ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 &&
                       ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
    if (!known || listening == 0 || type != SOCK_STREAM)
      return std::unexpected("descriptor " + std::to_string(fd) +
                             " of systemd is no listening stream socket (Accept=yes? ListenDatagram=?)");
    static_cast<void>(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK));
    ServiceSocket socket{.address = local_address(fd), .shared = true, .listening = true};
    if (socket.is_unix()) {
      const auto* address = reinterpret_cast<const sockaddr_un*>(&socket.address.storage);
      socket.entry = address->sun_path;
    }
    socket.socket = std::move(descriptor);
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

std::string why_not_used(const std::vector<ServiceSocket>& left) {
  std::string list;
  for (const auto& socket : left) list += (list.empty() ? "" : ", ") + socket.where();
  if (list.empty()) return {};
  return "systemd gives a socket for " + list +
         ", which is in neither proxy.listen nor proxy.listen_unix: make the configuration and the units "
         "Listen...= say the same";
}

}  // namespace pointsman::proxy
