#pragma once

#include <cstdint>
#include <span>

namespace pointsman::proxy {

enum class Direction : std::uint8_t { to_server, to_client };

// What a session does with the bytes that pass through it: the one place where the relay can look at them,
// hold them back or put others in their place. Used on the worker's thread, from the relay's hot path.
class ChunkFilter {
 public:
  ChunkFilter() = default;
  virtual ~ChunkFilter() = default;
  ChunkFilter(const ChunkFilter&) = delete;
  ChunkFilter& operator=(const ChunkFilter&) = delete;

  // What goes on to the other side now: `chunk` itself, a part of it, or bytes of the filter's own that live
  // until its next call. Chunks are cut where the network cut them, at any byte; never empty.
  virtual std::span<const char> pass(Direction direction, std::span<const char> chunk) = 0;
};

// Copies. Stateless: one serves every session of a worker.
class PassThrough final : public ChunkFilter {
 public:
  std::span<const char> pass(Direction, std::span<const char> chunk) override { return chunk; }
};

}  // namespace pointsman::proxy
