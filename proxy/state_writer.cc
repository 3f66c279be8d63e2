#include "proxy/state_writer.h"

#include <mutex>
#include <utility>

#include "proxy/state_dir.h"

namespace pointsman::proxy {

struct StateWriter::Disk {
  explicit Disk(std::string path) : directory(std::move(path)) {}

  // Any thread. What is older than the last one written is not written over it.
  std::expected<void, std::string> write(const core::StoreState& wanted) {
    const std::scoped_lock lock(mutex);
    if (wanted.version <= written) return {};
    auto saved = StateDir::save(directory, wanted.state);
    if (saved) written = wanted.version;
    return saved;
  }

  const std::string directory;
  std::mutex mutex;
  std::uint64_t written = 0;  // under mutex; versions begin with 1
};

StateWriter::StateWriter(io::Background& background, io::Mailbox& mailbox, io::Log& log,
                         std::string directory, std::function<void(core::StateStored)> on_stored)
    : background_(background),
      mailbox_(mailbox),
      log_(log),
      on_stored_(std::move(on_stored)),
      disk_(std::make_shared<Disk>(std::move(directory))) {}

void StateWriter::store(core::StoreState wanted) {
  waiting_ = std::move(wanted);
  next();
}

void StateWriter::next() {
  if (writing_ || !waiting_) return;
  auto job = std::make_shared<const core::StoreState>(std::move(*std::exchange(waiting_, std::nullopt)));
  auto result = std::make_shared<std::expected<void, std::string>>();
  writing_ = job;
  const auto done = [this, job, result] {
    writing_.reset();
    if (!*result) log_.error("state_not_stored", {{"why", result->error()}});
    on_stored_({job->version, *result});
    next();
  };
  if (background_.submit([job, result, disk = disk_] { *result = disk->write(*job); }, done)) return;
  *result = std::unexpected("too much background work");
  if (!mailbox_.post(done)) writing_.reset();
}

void StateWriter::finish() {
  const auto newest = waiting_ ? std::make_shared<const core::StoreState>(*waiting_) : writing_;
  waiting_.reset();
  if (!newest) return;
  if (const auto written = disk_->write(*newest); !written)
    log_.error("state_not_stored", {{"why", written.error()}});
}

}  // namespace pointsman::proxy
