#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pointsman::testbed {

// A switch and the hosts on it, each a network namespace with its own lo and eth0 (veth), for tests of cut
// cables. For root only. One thread at a time, but any number of threads may be inside() a host.
//
// Nothing of it is in the system's own namespace, and nothing has a name there: the namespaces are held by
// descriptors of this process alone, so that the kernel removes them when this object and the processes
// inside are gone, however this process ended. So parallel tests cannot collide, and all of them
// use 10.77.0.0/24. To look into a host from a shell: nsenter --net=PATH, with path()'s PATH.
//
// The kernel has no netem here: wires are cut, but not slow or lossy.
class Network {
 public:
  enum class Cut {
    unplugged,  // the switch's port goes down: eth0 of the host loses its carrier
    silent,     // the switch drops what comes from and what goes to the host; both see a good link
    from_host,  // drops what the host sends
    to_host,    // drops what is sent to the host
  };

  // At most 250 hosts; names are 1 to 12 letters and digits (they become part of an interface's name).
  static std::expected<std::unique_ptr<Network>, std::string> create(const std::vector<std::string>& hosts);
  // Whether this process may: "" or why not.
  static std::string why_not();

  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  std::string address(const std::string& host) const;  // "10.77.0.1"; "" for no such host
  // For Process::Options::network_namespace and Server::Options::network_namespace; valid while this lives.
  std::filesystem::path path(const std::string& host) const;

  // Replaces an earlier cut of this host.
  std::expected<void, std::string> cut(const std::string& host, Cut how = Cut::unplugged);
  // Both ways between two hosts only, silently, while each of them reaches all others: what replicates from
  // one to the other stops. Counts as a cut of `host`.
  std::expected<void, std::string> cut_between(const std::string& host, const std::string& other);
  std::expected<void, std::string> mend(const std::string& host);

  // While it lives, the sockets that this thread opens are the host's (open ones stay where they are), and so
  // are its children unless they are Processes. Ends on the thread that made it, in reverse order.
  class Inside {
   public:
    ~Inside();
    Inside(Inside&& other) noexcept;
    Inside& operator=(Inside&&) = delete;

   private:
    friend class Network;
    explicit Inside(int before) : before_(before) {}
    int before_;  // the namespace to return to
  };
  std::expected<Inside, std::string> inside(const std::string& host) const;

 private:
  struct Host {
    int fd = -1;
    unsigned number = 0;
    bool unplugged = false;
    bool filtered = false;
  };

  Network() = default;
  std::expected<void, std::string> build(const std::vector<std::string>& hosts);
  std::expected<Host*, std::string> find(const std::string& host);
  std::expected<void, std::string> drop(const std::string& host, const std::string& from,
                                        const std::string& to);

  int switch_ = -1;
  std::map<std::string, Host> hosts_;
};

}  // namespace pointsman::testbed
