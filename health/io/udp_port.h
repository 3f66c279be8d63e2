#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include <uv.h>

#include "health/io/address.h"
#include "health/io/descriptor.h"
#include "health/io/handle.h"
#include "health/io/link_stats.h"
#include "health/io/loop.h"

namespace pointsman::io {

// One UDP socket for heartbeats, shared by all peers: they are told apart by what they sign, not by where
// they send from.
//
// Used on its loop's thread; a callback may destroy it. Nothing here waits. At most `max_batch` datagrams are
// taken in one iteration of the loop, so that a flood slows the loop and does not stop it; what is longer
// than a frame is counted and never copied. A socket on "::" speaks IPv4 too, and shows IPv4 peers as IPv4.
//
// It does not use uv_udp_t, which neither bounds a copy by the size of a frame nor reads the socket's error
// queue. That queue says which peer refused ("nobody listens there"), and read in time it keeps the refusal
// of one peer from failing the next send to another.
class UdpPort {
 public:
  static constexpr std::size_t max_batch = 64;

  struct Callbacks {
    // `frame` has 0 to max_frame bytes and is gone when the callback returns.
    std::function<void(const Address& from, std::span<const std::uint8_t> frame)> on_datagram;
    // A datagram to `to` was refused on its way, or could not be sent. May be empty. Called at most
    // max_batch times an iteration, and never from inside send().
    std::function<void(const Address& to, const std::string& text)> on_error;
  };

  UdpPort(Loop& loop, Callbacks callbacks);
  ~UdpPort();
  UdpPort(const UdpPort&) = delete;
  UdpPort& operator=(const UdpPort&) = delete;

  // Once. Error: "udp 0.0.0.0:694: address already in use".
  std::expected<void, std::string> bind(const Address& listen);
  // The same with a socket of open_udp(), perhaps in another process.
  std::expected<void, std::string> adopt(Descriptor socket);
  // Reads nothing meanwhile: another process does, from the same socket.
  void pause();
  void resume();
  int fd() const { return fd_; }  // -1: not bound

  // Sends now, or drops: a heartbeat that waits is worth nothing. False: dropped, and stats() says why.
  bool send(const Address& to, std::span<const std::uint8_t> frame);

  // Where it is bound, with the port that the kernel chose when 0 was asked for.
  const Address& local() const { return local_; }
  const LinkStats& stats() const { return stats_; }
  // Datagrams that the kernel threw away because its buffer was full; asks it.
  std::uint64_t receive_drops() const;

 private:
  struct Batch;

  static void on_poll(uv_poll_t* handle, int status, int events);
  void receive();
  // Reads the error queue: at most max_batch entries. `report`: to the callback as well.
  void take_errors(bool report);
  void note_error(const Address& to, const std::string& text);
  bool watch();

  Loop& loop_;
  std::shared_ptr<const Callbacks> callbacks_;  // shared with a call that runs while this is destroyed
  std::shared_ptr<Batch> batch_;                // likewise
  int fd_ = -1;
  Address local_;
  Handle<uv_poll_t> poll_;
  LinkStats stats_;
};

// A socket for a UdpPort, bound to `listen`. Error as of bind().
std::expected<Descriptor, std::string> open_udp(const Address& listen);

}  // namespace pointsman::io
