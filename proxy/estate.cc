#include "proxy/estate.h"

#include <fstream>
#include <sstream>

namespace pointsman::proxy {

namespace {

// A control group: that of a service, under systemd.
std::string group_of(const std::string& process) {
  std::ifstream in("/proc/" + process + "/cgroup");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

std::vector<Handover::Piece> pieces_of(const Estate& estate) {
  std::vector<Handover::Piece> list{
      {{{"kind", "state_lock"}}, {estate.state_dir.lock()}},
      {{{"kind", "admin"}, {"path", estate.admin.path()}}, {estate.admin.socket(), estate.admin.lock()}}};
  for (const ServiceSocket& socket : estate.workers.sockets()) {
    Handover::Piece piece{{{"kind", socket.is_unix() ? "unix" : "tcp"},
                           {"entry", socket.entry},
                           {"address", socket.address.to_string()},
                           {"shared", socket.shared}},
                          {socket.socket.get()}};
    if (socket.file) piece.files.push_back(socket.file->lock());
    list.push_back(std::move(piece));
  }
  const Heartbeats* heartbeats = estate.heartbeats;
  if (heartbeats == nullptr) return list;
  if (heartbeats->udp_socket() >= 0)
    list.push_back(
        {{{"kind", "udp"}, {"address", heartbeats->udp_address().to_string()}}, {heartbeats->udp_socket()}});
  for (const auto& [device, fd] : heartbeats->lines())
    list.push_back({{{"kind", "serial"}, {"device", device}}, {fd}});
  return list;
}

// It ends the service with the last of the processes that it takes for its own.
std::string why_not_of_our_service(const io::Systemd& systemd, pid_t process) {
  if (!systemd.active() || group_of(std::to_string(process)) == group_of("self")) return {};
  return "it is not of this service of systemd's; take over by: systemctl kill -s USR2 --kill-whom=main "
         "pointsman";
}

}  // namespace pointsman::proxy
