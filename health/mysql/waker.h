#pragma once

namespace pointsman::mysql {

// A bell between threads: any thread rings it, one thread finds its descriptor readable in poll(2). An
// eventfd, so ringing twice before the other side looks is the same as ringing once.
class Waker {
 public:
  Waker();
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  void ring();   // any thread
  void clear();  // the listening thread
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace pointsman::mysql
