#include "bench/chaos_keeper.h"

#include <chrono>

namespace pointsman::bench {

namespace {

constexpr std::chrono::milliseconds keeper_look_pause{20};

}  // namespace

Keeper::Keeper(testbed::Server& server) : server_(server), thread_([this] { keep(); }) {}

Keeper::~Keeper() {
  stop_ = true;
  thread_.join();
}

void Keeper::with(const std::function<void(testbed::Server&)>& act) {
  const std::scoped_lock lock(mutex_);
  act(server_);
}

void Keeper::keep() {
  while (!stop_) {
    if (wanted_) {
      const std::scoped_lock lock(mutex_);
      // One that ends while it starts (a fence, a copy of the data) is tried again; why is in its log.
      if (!server_.running() && server_.start()) ++starts_;
    }
    std::this_thread::sleep_for(keeper_look_pause);
  }
}

}  // namespace pointsman::bench
