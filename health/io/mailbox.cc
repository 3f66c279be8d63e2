#include "health/io/mailbox.h"

#include <utility>

namespace pointsman::io {

Mailbox::Mailbox(Loop& loop, std::size_t limit) : limit_(limit) {
  auto made = make_handle<uv_async_t>(
      this, [&](uv_async_t* h) { return uv_async_init(loop.raw(), h, &Mailbox::wake); });
  if (!made) invariant_broken("uv_async_init", uv_strerror(made.error()));
  handle_ = std::move(*made);
}

Mailbox::~Mailbox() {
  close();
}

bool Mailbox::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (!handle_ || tasks_.size() >= limit_) return false;
  tasks_.push_back(std::move(task));
  // Sent under the lock: after close() the handle must not be touched. One wake empties the whole box.
  if (tasks_.size() == 1) uv_async_send(handle_.get());
  return true;
}

void Mailbox::close() {
  std::vector<std::function<void()>> dropped;  // destroyed after the lock is gone: what they hold may post
  const std::lock_guard lock(mutex_);
  dropped.swap(tasks_);
  handle_.reset();
}

void Mailbox::wake(uv_async_t* handle) {
  auto* self = static_cast<Mailbox*>(handle->data);
  if (self == nullptr) return;
  std::vector<std::function<void()>> batch;
  {
    const std::lock_guard lock(self->mutex_);
    batch.swap(self->tasks_);
  }
  for (auto& task : batch) {
    task();
    if (handle->data == nullptr) return;  // the task closed or destroyed the mailbox
  }
}

}  // namespace pointsman::io
