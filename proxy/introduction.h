#pragma once

#include <expected>
#include <memory>
#include <string>

#include <uv.h>

#include "health/core/time.h"
#include "health/io/address.h"
#include "health/io/handle.h"
#include "health/io/loop.h"
#include "health/io/timer.h"
#include "proxy/proxy_header.h"

namespace pointsman::proxy {

// A connection from a balancer that we trust, until it has said by its PROXY protocol header whom it is for;
// then it becomes a session. Owned by its worker, on whose thread it calls back.
//
// It reads the header and not a byte of what follows, so that a session begins with the client's own bytes.
class Introduction {
 public:
  // A lost first packet (resent after 1 s, and again after 2 s) is forgiven. The header comes without having
  // been asked for, so nobody takes longer.
  static constexpr core::Duration limit = std::chrono::seconds(4);

  class Events {
   public:
    Events() = default;
    Events(const Events&) = delete;
    Events& operator=(const Events&) = delete;
    // Each is the last that the introduction does; the callee takes over its descriptor by release().
    virtual void on_introduced(Introduction& introduction, const io::Address& client) = 0;
    virtual void on_not_introduced(Introduction& introduction, proxy_header::Fault fault) = 0;
    // The peer has gone without having sent anything, as those that only look whether somebody listens, or
    // in the middle.
    virtual void on_gone(Introduction& introduction) = 0;

   protected:
    ~Events() = default;
  };

  // Takes over `fd`, a connected non-blocking socket; it is closed also on an error (libuv's).
  static std::expected<std::unique_ptr<Introduction>, int> begin(io::Loop& loop, int fd, std::uint64_t id,
                                                                 core::Instant accepted,
                                                                 const io::Address& peer, Events& events);
  ~Introduction();
  Introduction(const Introduction&) = delete;
  Introduction& operator=(const Introduction&) = delete;

  // The session that it becomes.
  std::uint64_t id() const { return id_; }
  core::Instant accepted() const { return accepted_; }
  const io::Address& peer() const { return peer_; }
  // The descriptor, now the caller's and no longer watched.
  int release();

 private:
  Introduction(io::Loop& loop, int fd, std::uint64_t id, core::Instant accepted, const io::Address& peer,
               Events& events);
  void read();

  int fd_;
  const std::uint64_t id_;
  const core::Instant accepted_;
  const io::Address peer_;
  Events& events_;
  std::string header_;  // so far; proxy_header bounds it
  io::Handle<uv_poll_t> poll_;
  io::Timer late_;
};

}  // namespace pointsman::proxy
