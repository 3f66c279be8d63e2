#include "health/io/loop.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace pointsman::io {

namespace {

void must(int status, const char* what) {
  if (status != 0) invariant_broken(what, uv_strerror(status));
}

}  // namespace

void invariant_broken(const char* what, const char* detail) {
  std::fprintf(stderr, "pointsman: internal error: %s: %s\n", what, detail);
  std::abort();
}

Loop::Loop() {
  must(uv_loop_init(&loop_), "uv_loop_init");
  must(uv_check_init(&loop_, &check_), "uv_check_init");
  must(uv_idle_init(&loop_, &idle_), "uv_idle_init");
  must(uv_async_init(&loop_, &wakeup_, nullptr), "uv_async_init");
  check_.data = this;
  idle_.data = this;
  must(uv_check_start(&check_, [](uv_check_t* h) { static_cast<Loop*>(h->data)->collect(); }),
       "uv_check_start");
  uv_unref(reinterpret_cast<uv_handle_t*>(&check_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&wakeup_));
}

Loop::~Loop() {
  collect();
  uv_close(reinterpret_cast<uv_handle_t*>(&check_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&wakeup_), nullptr);
  uv_walk(
      &loop_,
      [](uv_handle_t* h, void*) {
        if (uv_is_closing(h) == 0) {
          invariant_broken("a handle outlives its loop", uv_handle_type_name(uv_handle_get_type(h)));
        }
      },
      nullptr);
  // Again when a stop() from before makes it return at once.
  while (uv_run(&loop_, UV_RUN_DEFAULT) != 0) {
  }
  must(uv_loop_close(&loop_), "uv_loop_close");
}

void Loop::run() {
  uv_run(&loop_, UV_RUN_DEFAULT);
}

void Loop::stop() {
  uv_stop(&loop_);
}

void Loop::push_garbage(std::unique_ptr<Garbage> garbage) {
  if (garbage_.empty()) {
    uv_idle_start(&idle_, [](uv_idle_t* h) { static_cast<Loop*>(h->data)->collect(); });
  }
  garbage_.push_back(std::move(garbage));
}

void Loop::collect() {
  // A destructor may hand over further objects.
  while (!garbage_.empty()) {
    auto batch = std::exchange(garbage_, {});
    batch.clear();
    if (garbage_.empty()) uv_idle_stop(&idle_);
  }
}

}  // namespace pointsman::io
