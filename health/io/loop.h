#pragma once

#include <concepts>
#include <memory>
#include <vector>

#include <uv.h>

namespace pointsman::io {

// One libuv event loop and the objects that wait to be deleted on it.
//
// Belongs to the thread that calls run(); everything here is called on that thread (other threads reach it by
// a Mailbox). Whoever creates the Loop destroys it, after every owner of a handle on it: the destructor runs
// the loop dry, so that close callbacks and cancelled requests come home, and ends the program with a message
// when a handle is still open (a leak that would otherwise be a hang).
class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(), or until nothing is left that could call back.
  void run();
  // Ends run() after the current iteration.
  void stop();

  // For an object that ends inside one of its own callbacks: it is deleted later in this iteration, from the
  // top of the loop, when no frame of it is on the stack. Objects must have stopped acting by themselves
  // before.
  template <class T>
  void defer_delete(std::unique_ptr<T> object) {
    if (object) push_garbage(std::make_unique<Holder<T>>(std::move(object)));
  }

  uv_loop_t* raw() { return &loop_; }

 private:
  struct Garbage {
    Garbage() = default;
    virtual ~Garbage() = default;
    Garbage(const Garbage&) = delete;
    Garbage& operator=(const Garbage&) = delete;
  };
  template <class T>
  struct Holder final : Garbage {
    explicit Holder(std::unique_ptr<T> o) : object(std::move(o)) {}
    std::unique_ptr<T> object;
  };

  void push_garbage(std::unique_ptr<Garbage> garbage);
  void collect();

  uv_loop_t loop_{};
  // The check handle collects after the poll phase; the idle handle runs only while garbage waits, so that
  // the poll phase does not block before it is collected.
  uv_check_t check_{};
  uv_idle_t idle_{};
  // Makes the loop's eventfd now, so that no later Mailbox can fail for want of a file descriptor.
  uv_async_t wakeup_{};
  std::vector<std::unique_ptr<Garbage>> garbage_;
};

// Ends the program: a broken invariant of ours (never anything that a network, a server or a user did).
[[noreturn]] void invariant_broken(const char* what, const char* detail);

}  // namespace pointsman::io
