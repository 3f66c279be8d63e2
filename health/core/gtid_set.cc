#include "health/core/gtid_set.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <tuple>

#include "conf/characters.h"

namespace pointsman::core {
namespace {

using Interval = GtidSet::Interval;
using Intervals = std::vector<Interval>;
using Origins = std::map<std::string, Intervals, std::less<>>;

constexpr std::size_t max_text = std::size_t{1} << 20U;
constexpr std::size_t uuid_length = 36;
constexpr std::size_t max_tag_length = 32;
constexpr std::uint64_t max_mysql_sequence =
    std::numeric_limits<std::int64_t>::max();  // "GTID Format and Storage"
constexpr std::uint64_t max_sequence = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t max_uint32 = std::numeric_limits<std::uint32_t>::max();

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool is_hex(char c) {
  return conf::is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}
bool is_tag_start(char c) {
  return c == '_' || (lower(c) >= 'a' && lower(c) <= 'z');
}
bool is_tag(char c) {
  return is_tag_start(c) || conf::is_digit(c);
}

// The start of `rest`, fit for a log line: short, and nothing in it but printable ASCII.
std::string quoted(std::string_view rest) {
  constexpr std::size_t max_shown = 20;
  constexpr std::array digits{'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  if (rest.empty()) return "the end";
  std::string shown = "\"";
  for (const char c : rest.substr(0, max_shown)) {
    if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
      shown += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      shown += {'\\', 'x', digits.at(byte >> 4U), digits.at(byte & 15U)};
    }
  }
  return shown + (rest.size() > max_shown ? "\"..." : "\"");
}

// Sorts, and merges what overlaps or touches: the form in which two equal sets are equal member by member.
void normalise(Intervals& intervals) {
  std::ranges::sort(intervals, {}, &Interval::first);
  std::size_t kept = 0;
  for (const Interval& next : intervals) {
    if (kept > 0 && next.first - 1 <= intervals[kept - 1].last) {  // first >= 1, so no wrap
      intervals[kept - 1].last = std::max(intervals[kept - 1].last, next.last);
    } else {
      intervals[kept++] = next;
    }
  }
  intervals.resize(kept);
}

// Reads one set from text that nobody has vouched for. The first error ends it and is kept; afterwards every
// method does nothing, so that callers need not check after each.
class GtidReader {
 public:
  GtidReader(Flavour flavour, std::string_view text) : flavour_(flavour), text_(text) {}

  std::expected<Origins, std::string> read() {
    skip_spaces();
    if (at_end()) return std::move(origins_);
    do {
      if (flavour_ == Flavour::mysql) {
        mysql_element();
      } else {
        mariadb_element();
      }
    } while (!error_ && take(','));
    if (!error_ && !at_end()) fail("',' or the end");
    if (error_) return std::unexpected(std::move(*error_));
    for (auto& [origin, intervals] : origins_) normalise(intervals);
    return std::move(origins_);
  }

 private:
  // uuid:[tag:]interval[:[tag:]interval]...  A tag holds for the intervals up to the next tag.
  void mysql_element() {
    const std::string uuid = read_uuid();
    if (!expect(':')) return;
    std::string origin = uuid;
    bool tag_open = false;  // a tag that has no interval yet
    do {
      if (!at_end() && is_tag_start(text_[at_])) {
        if (tag_open) return fail("a sequence number");
        origin = uuid + ":" + read_tag();
        tag_open = true;
      } else {
        mysql_interval(origin);
        tag_open = false;
      }
    } while (!error_ && take(':'));
    if (tag_open) fail("':' and a sequence number after the tag");
  }

  void mysql_interval(const std::string& origin) {
    const std::size_t start = at_;
    const std::uint64_t first = number(max_mysql_sequence, "a sequence number");
    const std::uint64_t last = take('-') ? number(max_mysql_sequence, "a sequence number") : first;
    add(start, origin, {first, last});
  }

  // domain-server-sequence, as the server prints it, or our own domain-server-first..last.
  void mariadb_element() {
    const std::uint64_t domain = number(max_uint32, "a domain");
    if (!expect('-')) return;
    const std::uint64_t server = number(max_uint32, "a server id");
    if (!expect('-')) return;
    const std::size_t start = at_;
    const std::uint64_t sequence = number(max_sequence, "a sequence number");
    const std::string origin = std::to_string(domain) + "-" + std::to_string(server);
    if (take('.')) {
      if (!expect('.')) return;
      add(start, origin, {sequence, number(max_sequence, "a sequence number")});
    } else if (sequence > 0) {  // D-S-0 is the position before the first transaction: nothing
      add(start, origin, {1, sequence});
    }
  }

  void add(std::size_t start, const std::string& origin, Interval interval) {
    if (error_) return;
    if (interval.first == 0) return fail_at(start, "sequence numbers start at 1, found 0");
    if (interval.last < interval.first) {
      return fail_at(start, "an interval ends before it starts: " + std::to_string(interval.first) + " to " +
                                std::to_string(interval.last));
    }
    origins_[origin].push_back(interval);
  }

  std::string read_uuid() {
    if (error_) return {};
    std::string uuid;
    for (std::size_t i = 0; i < uuid_length && at_ + i < text_.size(); ++i) {
      const char c = text_[at_ + i];
      const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      if (dash ? c != '-' : !is_hex(c)) break;
      uuid += lower(c);
    }
    if (uuid.size() != uuid_length) {
      fail("a server UUID");
      return {};
    }
    at_ += uuid_length;
    skip_spaces();
    return uuid;
  }

  std::string read_tag() {
    std::string tag;
    const std::size_t start = at_;
    while (!at_end() && is_tag(text_[at_])) tag += lower(text_[at_++]);
    if (tag.size() > max_tag_length) {
      fail_at(start, "a tag of " + std::to_string(tag.size()) + " characters, at most 32 are allowed");
    }
    skip_spaces();
    return tag;
  }

  std::uint64_t number(std::uint64_t limit, const char* what) {
    if (error_) return 0;
    std::uint64_t value = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, problem] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (end == begin) {
      fail(what);
      return 0;
    }
    if (problem != std::errc{} || value > limit) {
      fail_at(at_, std::string(what) + " above " + std::to_string(limit) + ": " + quoted(text_.substr(at_)));
      return 0;
    }
    at_ += static_cast<std::size_t>(end - begin);
    skip_spaces();
    return value;
  }

  bool take(char c) {
    if (error_ || at_end() || text_[at_] != c) return false;
    ++at_;
    skip_spaces();
    return true;
  }
  bool expect(char c) {
    if (take(c)) return true;
    fail(std::string("'") + c + "'");
    return false;
  }

  bool at_end() const { return at_ == text_.size(); }
  void skip_spaces() {
    while (!at_end() && is_space(text_[at_])) ++at_;
  }

  void fail(const std::string& expected) {
    fail_at(at_, "expected " + expected + ", found " + quoted(text_.substr(at_)));
  }
  void fail_at(std::size_t where, const std::string& what) {
    if (error_) return;
    error_ =
        std::string(core::to_string(flavour_)) + " GTID set, byte " + std::to_string(where + 1) + ": " + what;
  }

  Flavour flavour_;
  std::string_view text_;
  std::size_t at_ = 0;
  Origins origins_;
  std::optional<std::string> error_;
};

bool covers(const Intervals& ours, const Intervals& theirs) {
  auto mine = ours.begin();
  for (const Interval& their : theirs) {
    while (mine != ours.end() && mine->last < their.first) ++mine;
    if (mine == ours.end() || mine->first > their.first || mine->last < their.last) return false;
  }
  return true;
}

Intervals difference(const Intervals& from, const Intervals& what) {
  Intervals left;
  auto cut = what.begin();
  for (Interval rest : from) {
    while (cut != what.end() && cut->last < rest.first) ++cut;
    // Invariant: everything of `rest` before rest.first is decided. `next` runs ahead of `cut`, which the
    // following interval of `from` may still need.
    bool open = true;
    for (auto next = cut; next != what.end() && next->first <= rest.last; ++next) {
      if (next->first > rest.first) left.push_back({rest.first, next->first - 1});
      open = next->last < rest.last;
      if (!open) break;
      rest.first = next->last + 1;
      cut = next;
    }
    if (open) left.push_back(rest);
  }
  return left;
}

// MariaDB's origins in the order of their numbers; the map has them in the order of their text.
struct MariaDbOrigin {
  std::uint32_t domain = 0;
  std::uint32_t server = 0;
  const std::string* text = nullptr;
  const Intervals* intervals = nullptr;
};

std::vector<MariaDbOrigin> by_number(const Origins& origins) {
  std::vector<MariaDbOrigin> sorted;
  for (const auto& [text, intervals] : origins) {
    MariaDbOrigin origin{.text = &text, .intervals = &intervals};
    const char* const end = text.data() + text.size();
    const auto domain = std::from_chars(text.data(), end, origin.domain);
    // A set that was united with one of the other flavour holds origins without a number; they sort first.
    if (domain.ptr != end) std::from_chars(domain.ptr + 1, end, origin.server);
    sorted.push_back(origin);
  }
  std::ranges::stable_sort(sorted, {}, [](const MariaDbOrigin& o) { return std::tuple(o.domain, o.server); });
  return sorted;
}

std::string mariadb_text(const Origins& origins) {
  std::string text;
  for (const MariaDbOrigin& origin : by_number(origins)) {
    for (const auto& [first, last] : *origin.intervals) {
      if (!text.empty()) text += ',';
      text += *origin.text + "-";
      if (first != 1) text += std::to_string(first) + "..";
      text += std::to_string(last);
    }
  }
  return text;
}

// Intervals of one UUID stand together: "uuid:1-3:tag:1-2". The map has "uuid" just before its "uuid:tag".
std::string mysql_text(const Origins& origins) {
  std::string text;
  std::string_view uuid;
  for (const auto& [origin, intervals] : origins) {
    const std::string_view name = origin;
    if (!text.empty() && name.substr(0, uuid_length) == uuid) {
      text += name.substr(uuid_length);
    } else {
      if (!text.empty()) text += ',';
      text += name;
    }
    uuid = name.substr(0, uuid_length);
    for (const auto& [first, last] : intervals) {
      text += ":" + std::to_string(first);
      if (last != first) text += "-" + std::to_string(last);
    }
  }
  return text;
}

}  // namespace

std::expected<GtidSet, std::string> GtidSet::parse(Flavour flavour, std::string_view text) {
  if (text.size() > max_text) {
    return std::unexpected(std::string(core::to_string(flavour)) + " GTID set of " +
                           std::to_string(text.size()) + " bytes: at most " + std::to_string(max_text) +
                           " are read");
  }
  auto origins = GtidReader(flavour, text).read();
  if (!origins) return std::unexpected(std::move(origins.error()));
  GtidSet set;
  set.flavour_ = flavour;
  set.origins_ = std::move(*origins);
  return set;
}

bool GtidSet::contains(const GtidSet& other) const {
  return std::ranges::all_of(other.origins_, [this](const auto& theirs) {
    const auto ours = origins_.find(theirs.first);
    return ours != origins_.end() && covers(ours->second, theirs.second);
  });
}

GtidSet GtidSet::minus(const GtidSet& other) const {
  GtidSet result;
  result.flavour_ = flavour_;
  for (const auto& [origin, intervals] : origins_) {
    const auto theirs = other.origins_.find(origin);
    Intervals left = theirs == other.origins_.end() ? intervals : difference(intervals, theirs->second);
    if (!left.empty()) result.origins_.emplace(origin, std::move(left));
  }
  return result;
}

GtidSet GtidSet::united(const GtidSet& other) const {
  // A default-constructed set has no flavour of its own to insist on.
  if (other.empty()) return *this;
  if (empty()) return other;
  GtidSet result = *this;
  for (const auto& [origin, intervals] : other.origins_) {
    Intervals& ours = result.origins_[origin];
    ours.insert(ours.end(), intervals.begin(), intervals.end());
    normalise(ours);
  }
  return result;
}

std::uint64_t GtidSet::count() const {
  std::uint64_t sum = 0;
  for (const auto& [origin, intervals] : origins_) {
    for (const auto& [first, last] : intervals) {
      const std::uint64_t size = last - first + 1;
      if (sum > max_sequence - size) return max_sequence;
      sum += size;
    }
  }
  return sum;
}

std::string GtidSet::to_string() const {
  return flavour_ == Flavour::mariadb ? mariadb_text(origins_) : mysql_text(origins_);
}

GtidSet GtidSet::of(std::string_view origin) const {
  GtidSet part;
  part.flavour_ = flavour_;
  for (const auto& [name, intervals] : origins_) {
    const bool tagged = flavour_ == Flavour::mysql && name.starts_with(origin) &&
                        name.substr(std::min(origin.size(), name.size())).starts_with(':');
    if (name == origin || tagged) part.origins_.emplace(name, intervals);
  }
  return part;
}

std::vector<std::pair<std::string, std::uint64_t>> GtidSet::newest() const {
  std::vector<std::pair<std::string, std::uint64_t>> list;
  list.reserve(origins_.size());
  for (const auto& [origin, intervals] : origins_) list.emplace_back(origin, intervals.back().last);
  return list;
}

std::string GtidSet::position() const {
  if (flavour_ == Flavour::mysql) return to_string();
  std::string text;
  const std::vector<MariaDbOrigin> origins = by_number(origins_);
  for (std::size_t i = 0; i < origins.size();) {
    std::size_t newest = i;
    std::size_t next = i;
    for (; next < origins.size() && origins[next].domain == origins[i].domain; ++next) {
      if (origins[next].intervals->back().last > origins[newest].intervals->back().last) newest = next;
    }
    if (!text.empty()) text += ',';
    text += *origins[newest].text + "-" + std::to_string(origins[newest].intervals->back().last);
    i = next;
  }
  return text;
}

}  // namespace pointsman::core
