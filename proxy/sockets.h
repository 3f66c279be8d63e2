#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "conf/config.h"
#include "health/core/time.h"
#include "health/io/address.h"

// What the proxy asks of the kernel about its sockets. Stateless, any thread.
namespace pointsman::proxy {

// An idle peer that vanished is noticed after keepalive_idle + keepalive_probes * keepalive_interval, one
// that does not acknowledge (or keeps its window shut) after user_timeout. That is longer than MySQL's
// net_write_timeout (60 s): a slow reader is the server's to judge, not ours; and a dead primary is noticed
// by the health module long before.
inline constexpr std::chrono::seconds keepalive_idle{60};
inline constexpr std::chrono::seconds keepalive_interval{10};
inline constexpr int keepalive_probes = 6;
inline constexpr std::chrono::seconds user_timeout{120};
// Clients that wait to be accepted, per listener; the kernel cuts it to net.core.somaxconn.
inline constexpr int listen_backlog = 4096;

// The addresses of one `proxy.listen` entry; a name is resolved, blocking (start of the daemon only).
std::expected<std::vector<io::Address>, std::string> listen_addresses(const conf::HostPort& where);

// Fails when anybody, also another process with SO_REUSEPORT, listens on `address`.
std::expected<void, std::string> check_free(const io::Address& address);

// A non-blocking socket with SO_REUSEPORT that does not listen yet; port 0 in `address` is replaced by the
// kernel's choice. An IPv6 socket takes IPv6 only, so that [::] and 0.0.0.0 can be listed together.
std::expected<int, std::string> bind_on(io::Address& address);

// TCP_NODELAY, keepalive and TCP_USER_TIMEOUT. A failure of one is not worth a session and is ignored.
void tune(int fd);

// Urgent data is read like all other. Else a byte of it makes a socket readable that has nothing to read:
// often enough, and io_uring leaves a thread of the kernel's waiting for it.
void take_urgent_data(int fd);

// What the system says to an errno.
std::string system_says(int error);

// Sends a reset to the peer now, and discards what it has not got yet; `fd` is still to be closed.
void reset(int fd);
// Where the peer of `fd` connected to.
io::Address local_address(int fd);
// Bytes that the peer has not acknowledged yet.
int unacknowledged(int fd);
// The error that waits to be reported on `fd`, an errno; it is reported here and not again. 0: none.
int pending_error(int fd);

// Lets the process have `wanted` file descriptors, as far as it may; returns how many it may have now.
rlim_t raise_file_limit(rlim_t wanted);

}  // namespace pointsman::proxy
