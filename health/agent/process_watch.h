#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>

#include <sys/types.h>
#include <uv.h>

#include "health/agent/thread_states.h"
#include "health/core/time.h"
#include "health/io/handle.h"
#include "health/io/loop.h"
#include "health/io/timer.h"

namespace pointsman::agent {

// Knows the process that serves a Unix socket: whether there is one, and within a few milliseconds that it
// ends. Used on its loop's thread; nothing here waits.
//
// While no process is known the socket is connected to every `search_period`; who listens there names his pid
// (SO_PEERCRED). A connection is closed at once and costs the server an "aborted connection", so there are
// only two for each process: the second proves that the pidfd opened meanwhile is of the process that
// listens, and not of one that took over its number.
//
// The end of a large process takes long: the kernel frees its memory or writes its core before the pidfd
// becomes readable and its sockets close. That it is `dying` show the flags of its threads within one
// `look_period` (see ThreadStates).
class ProcessWatch {
 public:
  static constexpr core::Duration search_period = std::chrono::milliseconds(10);
  static constexpr core::Duration look_period = std::chrono::milliseconds(3);
  // How often it is looked, while nobody listens, whether a server may run out of our sight.
  static constexpr core::Duration survey_period = std::chrono::seconds(1);

  enum class State : std::uint8_t {
    unknown,  // not looked yet, or it cannot be told; problem() says why
    absent,   // nobody listens, and no server was ever seen
    runs,
    dying,   // every thread of it is on its way out
    exited,  // seen to end; no other has come yet
  };

  // `started`: state() is runs, of a process that was not there when we looked before. Called from the top of
  // the loop, and from inside check().
  using Changed = std::function<void(bool started)>;

  ProcessWatch(io::Loop& loop, std::string socket, Changed changed);
  ~ProcessWatch();
  ProcessWatch(const ProcessWatch&) = delete;
  ProcessWatch& operator=(const ProcessWatch&) = delete;

  State state() const { return state_; }
  pid_t pid() const { return pid_; }  // of the process in state runs, dying or exited; 0: none
  // In state dying or exited: a signal ended it. False where that was not seen.
  bool by_signal() const { return by_signal_; }
  // When the present process was found.
  core::Instant found_at() const { return found_at_; }
  // Why the state is unknown, or why no process can be watched.
  const std::string& problem() const { return problem_; }

  // Looks at once whether the process ends or has ended. Before something is said of it: should this program
  // have stood still, a timer may be run before the news is read.
  void check();

  // SIGKILL to the process that runs; never to another one that has its number now.
  std::expected<void, std::string> kill() const;

 private:
  static void on_poll(uv_poll_t* handle, int status, int events);
  void search();
  bool adopt(pid_t pid);
  void no_listener();
  void look();
  void on_exit();
  void forget_process();
  void change(State state, bool started);
  void trouble(std::string text);

  io::Loop& loop_;
  const std::string socket_;
  const Changed changed_;

  State state_ = State::unknown;
  pid_t pid_ = 0;
  int pidfd_ = -1;
  bool by_signal_ = false;
  core::Instant found_at_{};
  std::optional<ThreadStates> threads_;
  io::Handle<uv_poll_t> poll_;
  bool looked_ = false;  // a search has ended with nobody listening, or a process was known
  core::Instant next_survey_{};
  std::string problem_;

  io::Timer search_;
  io::Timer look_;
};

const char* to_string(ProcessWatch::State state);

}  // namespace pointsman::agent
