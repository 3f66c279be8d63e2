#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "conf/problem.h"

// The files of a Linux-HA Heartbeat installation (release 3.0.6 and its forebears), as data. Pure; any
// thread.
//
// In both '#' starts a comment, anywhere in a line. In ha.cf blanks and commas separate words; in haresources
// blanks do, and a '\' at the end continues a line.
namespace pointsman::conf {

inline constexpr std::size_t max_heartbeat_file = std::size_t{1} << 20U;  // bytes

// A word and where it stands.
struct Word {
  std::string text;
  Position at;
};

struct HaCf {
  struct Time {
    Duration value{};
    Position at;
  };
  struct Network {
    enum class Kind { bcast, ucast, mcast };
    Kind kind = Kind::bcast;
    Word interface;
    std::string peer;  // of ucast: the address; of mcast: the group
  };
  struct Serial {
    Word device;
    unsigned baud = 0;
  };
  struct Failback {
    enum class Meaning { on, off, unclear };
    Meaning meaning = Meaning::off;
    Word directive;
    std::string value;
  };

  std::vector<Word> nodes;
  std::optional<Time> keepalive;
  std::optional<Time> warntime;
  std::optional<Time> deadtime;
  std::vector<Network> networks;
  std::vector<Serial> serials;
  std::uint16_t udp_port = 694;  // in force where the first network stands
  // `baud` and `udpport` behind every medium that they could be for: without effect.
  std::vector<Word> too_late;
  std::optional<Failback> failback;
  // Directives that Pointsman has no key for, each with its values.
  struct Other {
    Word directive;
    std::string values;
  };
  std::vector<Other> others;
};

struct HaResources {
  // One line: the resources that a node owns while it lives, in the order of their start.
  struct Group {
    Word node;
    struct Resource {
      std::string type;                 // "IPaddr", "mysql"
      std::string arguments;            // what follows the first "::"
      std::optional<HostPort> address;  // of an IPaddr and its kin; the port is 0
      Position at;
    };
    std::vector<Resource> resources;
  };
  std::vector<Group> groups;
};

// `file` is what problems name. All problems are told, in the order of the file.
std::expected<HaCf, std::vector<Problem>> parse_ha_cf(std::string_view text, const std::string& file);
std::expected<HaResources, std::vector<Problem>> parse_haresources(std::string_view text,
                                                                   const std::string& file);

// Heartbeat's times: a bare number is seconds, "ms" and "us" are allowed, "1s" is not; fractions are. The
// error says what is wrong, without repeating the text.
std::expected<Duration, std::string> parse_heartbeat_time(std::string_view text);

// What to do instead of a directive that has no counterpart; "": it has one, or is unknown.
std::string_view advice_on_directive(std::string_view directive);

}  // namespace pointsman::conf
