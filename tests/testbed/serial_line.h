#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace pointsman::testbed {

// A null modem cable between two hosts, without the hosts: two pseudo-terminals and a thread that carries
// bytes between them at the speed of a serial line, 10 bits a byte, each direction on a wire of its own.
//
// As on a real line, what is sent waits in a bounded buffer until its turn (when that is full, the device
// takes no more); what the receiver does not read in time is lost; a cut wire swallows bytes, and nobody is
// told. Unlike a real UART, a pseudo-terminal has some 64 KiB of its own in front of the buffer.
//
// The paths of the two devices stay the same over the life of the line, also when a device is unplugged and
// comes back. Any thread may call.
class SerialLine {
 public:
  enum class Side : std::uint8_t { a, b };

  struct Options {
    unsigned baud = 19200;
    std::size_t buffer = 4096;          // bytes in each direction; Linux' transmit buffer
    std::filesystem::path directory{};  // for the two devices, "a" and "b"; "": a temporary one
  };

  // What one direction has done since the line was made. Bytes.
  struct Traffic {
    std::uint64_t sent = 0;       // taken from the sender, and on the wire for their time
    std::uint64_t delivered = 0;  // of those, handed to the receiver
    std::uint64_t cut = 0;        // of those, swallowed by a cut wire
    std::uint64_t overrun = 0;    // not taken by the receiver in time, noise included
    std::uint64_t noise = 0;      // injected ones that were handed to the receiver
  };

  static std::expected<std::unique_ptr<SerialLine>, std::string> create(Options options);
  static std::expected<std::unique_ptr<SerialLine>, std::string> create() { return create(Options{}); }
  ~SerialLine();
  SerialLine(const SerialLine&) = delete;
  SerialLine& operator=(const SerialLine&) = delete;

  // What the program on this side opens.
  std::filesystem::path device(Side side) const;
  unsigned baud() const;

  // The wire that carries what `from` sends.
  void cut(Side from);
  void mend(Side from);
  // Both wires.
  void cut();
  void mend();

  // Bytes that nobody sent come out at `to`, at the line's speed, before what waits; also when the wire is
  // cut. False: over a megabyte waits already, and these were not taken.
  bool inject(Side to, std::span<const std::uint8_t> noise);

  // The device of this side disappears, as a USB adapter that is pulled; plug() brings it back. Error: the
  // system has no pseudo-terminal left.
  void unplug(Side side);
  std::expected<void, std::string> plug(Side side);

  Traffic traffic(Side from) const;

 private:
  class Relay;
  explicit SerialLine(std::unique_ptr<Relay> relay);
  std::unique_ptr<Relay> relay_;
};

// The share of a direction's capacity that `bytes` take in `seconds`: 1 is a full line.
double line_load(std::uint64_t bytes, double seconds, unsigned baud);

}  // namespace pointsman::testbed
