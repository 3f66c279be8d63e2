#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <liburing.h>
#include <sys/socket.h>

namespace pointsman::proxy {

// io_uring, as far as the relay needs it: operations are asked for, one call into the kernel hands over all
// of them and waits, and their users are told what became of each. All on the thread that made it: the kernel
// interrupts the one that did when the ring goes.
class Ring {
 public:
  // An operation that is under way.
  using Ticket = std::uint32_t;
  static constexpr Ticket none = ~Ticket{0};

  // Bytes that a receive() takes at most.
  enum class Chunk : std::uint8_t { small, large };
  static constexpr std::size_t small_chunk = std::size_t{16} * 1024;
  static constexpr std::size_t large_chunk = std::size_t{256} * 1024;

  // Who asks. Each ticket is told of once, by hand_out(), unless it was given up.
  class User {
   public:
    User() = default;
    User(const User&) = delete;
    User& operator=(const User&) = delete;

    virtual void on_polled() {}
    // 0 or a negative errno, as with all results.
    virtual void on_connect_done(int) {}
    // The number of bytes, which are there until it returns. `more`: the socket has more of them.
    virtual void on_received(int, std::span<const char>, bool) {}
    // Of how many `bytes`, what was asked for, the kernel took.
    virtual void on_sent(int, std::span<const char>) {}

   protected:
    ~User() = default;
  };

  // Error: why the kernel has none for us; it takes Linux 6.1, and may be forbidden.
  static std::expected<std::unique_ptr<Ring>, std::string> create();
  // Hands over what was asked for.
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // `events` of poll(2), once.
  Ticket poll(User& user, int fd, unsigned events);
  Ticket connect(User& user, int fd, const sockaddr* address, socklen_t length);
  // What there is, as soon as there is something. Those that find something at once take turns, in the order
  // in which they were asked for. -ENOBUFS: all buffers of this turn are in use.
  Ticket receive(User& user, int fd, Chunk chunk);
  // As far as the kernel takes them at once. Those that a receive() brought are not copied. That all were
  // taken is no news to return from wait() for.
  Ticket send(User& user, int fd, std::span<const char> bytes);
  // All, however long it takes.
  Ticket send_all(User& user, int fd, std::vector<char> bytes);
  // The user is not told. send() is carried out nevertheless; anything else ends.
  void give_up(Ticket ticket);
  // After what was asked for before.
  void close(int fd);

  // Waits for something to hand out, at most so long (ms; -1: for ever), having handed over what was asked
  // for.
  void wait(int timeout_ms);
  void hand_out();
  // The next wait() does not wait: somebody is interested in a send() that very likely succeeds.
  void hurry() { hurried_ = true; }
  // Hands over and does not wait: then what was asked for and has not to be waited for is done.
  void submit();

 private:
  enum class Kind : std::uint8_t { poll, connect, receive, send, send_all };
  struct Operation {
    User* user = nullptr;  // none: given up
    std::uint32_t at = 0;  // its payload; of receive the group of buffers
    Kind kind = Kind::poll;
  };
  struct Answer {
    Ticket ticket;
    int result;
    unsigned flags;
  };
  // One of those that receive() reads into. They are lent to the kernel, which takes one when there is
  // something to read; what waits for nothing has none.
  class Buffers {
   public:
    std::expected<void, std::string> lend(io_uring& ring, std::uint16_t group, unsigned count,
                                          std::size_t size);
    std::uint16_t group() const { return group_; }
    std::size_t size() const { return size_; }
    std::span<const char> filled(unsigned number, std::size_t bytes) const;
    // Which one `bytes` lie in; -1: in none.
    int holding(std::span<const char> bytes) const;
    void use(unsigned number) { ++uses_[number]; }
    // Back to the kernel after the last one.
    void leave(unsigned number);

   private:
    struct Free {
      void operator()(void* memory) const { std::free(memory); }
    };
    void give(unsigned number);
    char* at(unsigned number) const { return memory_.get() + stride_ * number; }

    std::unique_ptr<io_uring_buf_ring, Free> ring_;
    std::unique_ptr<char, Free> memory_;
    std::vector<std::uint8_t> uses_;
    std::size_t size_ = 0;
    std::size_t stride_ = 0;
    std::uint16_t group_ = 0;
  };
  // What an operation refers to until it is done.
  struct Payload {
    std::span<const char> bytes;
    std::vector<char> own;
    Buffers* from = nullptr;  // in `buffer` of these
    unsigned buffer = 0;
  };

  Ring() = default;
  io_uring_sqe& entry();
  Ticket begin(User& user, Kind kind);
  void enter(int timeout_ms);
  std::uint32_t keep(Payload payload);
  // Its ticket is free.
  Operation finish(Ticket ticket);
  void tell(const Answer& answer);
  void received(const Operation& done, const Answer& answer);
  void sent(const Operation& done, int result);

  io_uring ring_{};
  bool made_ = false;
  Buffers small_;
  Buffers large_;
  std::vector<Operation> operations_;
  std::vector<Ticket> free_operations_;
  std::vector<Payload> payloads_;
  std::vector<std::uint32_t> free_payloads_;
  std::vector<Ticket> handing_;      // sends that the next call into the kernel carries out
  std::vector<Ticket> carried_out_;  // those of the last one; of their failures it has told
  std::vector<Ticket> succeeded_;    // of hand_out(); so is answers_
  std::vector<Answer> answers_;
  bool hurried_ = false;
};

}  // namespace pointsman::proxy
