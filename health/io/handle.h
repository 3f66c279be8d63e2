#pragma once

#include <expected>
#include <memory>
#include <utility>

#include <uv.h>

// Ownership of libuv handles. libuv needs a handle's memory until its close callback, long after the owner
// may be gone; so the deleter closes, and only the close callback frees.
namespace pointsman::io {

template <class H>
struct HandleCloser {
  void operator()(H* handle) const {
    handle->data = nullptr;  // a callback that still comes finds no owner
    uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* h) { delete reinterpret_cast<H*>(h); });
  }
};

// A libuv handle (uv_tcp_t, uv_timer_t, ...) on the heap. Made and dropped on its loop's thread.
template <class H>
using Handle = std::unique_ptr<H, HandleCloser<H>>;

template <class H>
uv_handle_t* as_handle(H* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}
inline uv_stream_t* as_stream(uv_tcp_t* handle) {
  return reinterpret_cast<uv_stream_t*>(handle);
}
inline uv_stream_t* as_stream(uv_pipe_t* handle) {
  return reinterpret_cast<uv_stream_t*>(handle);
}

// Makes a handle with `init(H*)`, which returns libuv's status (0, or a negative error that is passed on).
// `data` is what callbacks find in handle->data.
template <class H, class Init>
std::expected<Handle<H>, int> make_handle(void* data, Init&& init) {
  auto raw = std::make_unique<H>();
  if (const int status = std::forward<Init>(init)(raw.get()); status != 0) return std::unexpected(status);
  raw->data = data;
  return Handle<H>(raw.release());
}

}  // namespace pointsman::io
