#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pointsman::core {

enum class Flavour { mariadb, mysql };
const char* to_string(Flavour flavour);

// A set of transactions, the same for both flavours: per origin, sorted disjoint intervals of sequence
// numbers.
//
// MySQL (manual, "GTID Sets"): the origin is a lower-case UUID, or "uuid:tag" since 8.3.
// MariaDB (knowledge base, "Global Transaction ID"): the origin is "domain-server", and a position or binlog
// state element D-S-N stands for [1, N] of origin "D-S". Servers share the sequence numbers of a domain, so
// such a set says more than what exists; containment and difference against a set of the same history are
// exact, because both sides have the same gaps, and count() of a difference is an upper bound.
class GtidSet {
 public:
  struct Interval {
    std::uint64_t first = 0;  // 1 <= first <= last
    std::uint64_t last = 0;
    bool operator==(const Interval&) const = default;
  };

  GtidSet() = default;

  // Accepts what the servers print: MySQL "uuid:1-5:7,\nuuid2:tag:1-3", MariaDB "0-1-100,1-2-7", and "" for
  // the empty set. Also reads its own to_string() (MariaDB ranges "0-1-101..105"). Input is limited to 1 MiB;
  // errors say what was found where.
  static std::expected<GtidSet, std::string> parse(Flavour flavour, std::string_view text);

  bool empty() const { return origins_.empty(); }
  bool contains(const GtidSet& other) const;
  GtidSet minus(const GtidSet& other) const;
  GtidSet united(const GtidSet& other) const;
  std::uint64_t count() const;  // saturates
  // What has this origin; MySQL: with whatever tag.
  GtidSet of(std::string_view origin) const;
  // The origins in the set, each with its highest number: {"0-1", 100}, {"<uuid>", 7}.
  std::vector<std::pair<std::string, std::uint64_t>> newest() const;

  // MySQL: as the server prints it, without line breaks. MariaDB: "D-S-N" for [1, N], "D-S-A..B" else (a
  // single one: "D-S-A..A").
  std::string to_string() const;

  // MariaDB only: per domain the GTID with the highest sequence number, "0-2-103,1-1-7": what gtid_slave_pos
  // and MASTER_GTID_WAIT take. MySQL: to_string().
  std::string position() const;

  Flavour flavour() const { return flavour_; }
  bool operator==(const GtidSet&) const = default;

 private:
  Flavour flavour_ = Flavour::mysql;
  std::map<std::string, std::vector<Interval>, std::less<>> origins_;
};

}  // namespace pointsman::core
