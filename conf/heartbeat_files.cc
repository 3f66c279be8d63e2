#include "conf/heartbeat_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <utility>

#include "conf/address.h"
#include "conf/suggest.h"

namespace pointsman::conf {
namespace {

constexpr std::size_t max_reported = 100;
constexpr std::array bauds{1200U,  2400U,   4800U,   9600U,   19200U, 38400U,
                           57600U, 115200U, 230400U, 460800U, 921600U};

// Directives that stand for themselves, and the words that follow them.
constexpr std::array<std::string_view, 16> known{
    "keepalive", "deadtime", "warntime", "initdead", "serial", "baud",          "udpport",       "bcast",
    "udp",       "ucast",    "mcast",    "mcast6",   "node",   "auto_failback", "nice_failback", "failback"};

struct Advice {
  std::string_view directive;
  std::string_view text;
};

constexpr std::string_view logs =
    "Pointsman logs to standard error, that is the journal under systemd; log.file and log.level change that";
constexpr std::string_view not_needed = "nothing to do: Pointsman has no need of it";
constexpr std::string_view isolation =
    "nothing to do: when all database hosts fall silent together, Pointsman takes itself for isolated and "
    "promotes "
    "nobody";
constexpr std::string_view power =
    "a program that switches a dead host off goes into fence.command, e.g. one of the fence-agents, with "
    "options on "
    "its standard input";
constexpr std::string_view children =
    "what Heartbeat started and watched has to be a systemd service of its own now";
constexpr std::string_view manager =
    "with a cluster manager haresources is not in force: look into its own configuration for addresses and "
    "services";
constexpr std::string_view quorum =
    "two servers need no quorum here: the one Pointsman daemon decides, and the lease stops a primary that "
    "it cannot "
    "reach";

constexpr std::array advice_table{
    Advice{"initdead", "nothing to do: at start Pointsman reads who is primary from the servers themselves"},
    Advice{"ping", isolation},
    Advice{"ping_group", isolation},
    Advice{"hbaping", isolation},
    Advice{"deadping", isolation},
    Advice{"stonith", power},
    Advice{"stonith_host", power},
    Advice{"watchdog",
           "the agent's lease does its work: a primary that hears nobody makes itself read-only; a "
           "watchdog for the whole host is systemd's RuntimeWatchdogSec"},
    Advice{"logfile", logs},
    Advice{"debugfile", logs},
    Advice{"logfacility", logs},
    Advice{"use_logd", logs},
    Advice{"conn_logd_time", logs},
    Advice{"debug", logs},
    Advice{"log_badpack", logs},
    Advice{"syslogmsgfmt", logs},
    Advice{"respawn", children},
    Advice{"apiauth", children},
    Advice{"use_apphbd", children},
    Advice{"crm", manager},
    Advice{"pacemaker", manager},
    Advice{"openais", manager},
    Advice{"cluster", quorum},
    Advice{"quorum", quorum},
    Advice{"quorum_server", quorum},
    Advice{"tiebreaker", quorum},
    Advice{"realtime", not_needed},
    Advice{"rtprio", not_needed},
    Advice{"memreserve", not_needed},
    Advice{"hopfudge", not_needed},
    Advice{"hbgenmethod", not_needed},
    Advice{"normalpoll", not_needed},
    Advice{"msgfmt", not_needed},
    Advice{"coredumps", not_needed},
    Advice{"coreroot", not_needed},
    Advice{"autojoin", "list every server as a [[backend]]: none joins by itself"},
    Advice{"compression", not_needed},
    Advice{"compression_threshold", not_needed},
    Advice{"traditional_compression", not_needed},
    Advice{"uuidfrom", not_needed},
    Advice{"env", children},
    Advice{"max_rexmit_delay", not_needed},
    Advice{"record_config_changes", not_needed},
    Advice{"record_pengine_inputs", not_needed},
    Advice{"enable_config_writes", not_needed},
    Advice{"release2mode", manager},
};

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

bool is_continuation_byte(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

// The lines of a file as words, without comments. Hostile bytes make problems here, so that nobody behind
// this meets them.
class Lines {
 public:
  Lines(std::string_view text, const std::string& file, bool commas)
      : text_(text), file_(file), commas_(commas) {}

  // The words of the next line, "" lines skipped; empty at the end.
  std::vector<Word> next(bool continued) {
    std::vector<Word> words;
    while (!text_.empty() && (words.empty() || again_)) {
      again_ = false;
      ++line_;
      const std::size_t end = std::min(text_.find('\n'), text_.size());
      split(text_.substr(0, end), words, continued);
      text_.remove_prefix(std::min(end + 1, text_.size()));
    }
    again_ = false;
    return words;
  }
  std::vector<Problem>& problems() { return problems_; }
  void add(Position at, std::string message) {
    if (problems_.size() < max_reported) problems_.push_back({file_, at.line, at.column, std::move(message)});
  }

 private:
  void split(std::string_view line, std::vector<Word>& words, bool continued) {
    line = line.substr(0, line.find('#'));
    while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
    if (continued && line.ends_with('\\')) {
      line.remove_suffix(1);
      again_ = true;
    }
    unsigned column = 0;
    bool inside = false;
    for (const char c : line) {
      if (!is_continuation_byte(c)) ++column;
      if (is_blank(c) || (commas_ && c == ',')) {
        inside = false;
        continue;
      }
      if (c < '!' || c > '~') {
        add({line_, column}, "only printable ASCII may stand here, found " + quoted({&c, 1}));
        return;
      }
      if (!inside) words.push_back({"", {line_, column}});
      inside = true;
      words.back().text += c;
    }
  }

  std::string_view text_;
  std::string file_;
  bool commas_;
  bool again_ = false;
  unsigned line_ = 0;
  std::vector<Problem> problems_;
};

using Words = std::span<const Word>;

class HaCfParser {
 public:
  HaCfParser(std::string_view text, const std::string& file) : lines_(text, file, true) {}

  std::expected<HaCf, std::vector<Problem>> run() {
    for (auto words = lines_.next(false); !words.empty(); words = lines_.next(false)) {
      directive(words.front(), Words(words).subspan(1));
    }
    for (const auto& late : {late_baud_, late_udp_port_}) {
      if (late) result_.too_late.push_back(*late);
    }
    if (result_.nodes.empty() && lines_.problems().empty()) lines_.add({}, "no `node` is named");
    if (lines_.problems().empty()) return std::move(result_);
    return std::unexpected(std::move(lines_.problems()));
  }

 private:
  void directive(const Word& name, Words values) {
    const std::string& d = name.text;
    if (!advice_on_directive(d).empty()) return other(name, values);
    if (std::ranges::find(known, d) == known.end()) return unknown(name);
    if (values.empty()) return lines_.add(name.at, "`" + d + "` needs a value");
    if (d == "node") return nodes(values);
    if (d == "serial") return serials(values);
    if (d == "bcast" || d == "udp") return bcast(values);
    if (d == "ucast") return network(name, values, HaCf::Network::Kind::ucast, 2);
    if (d == "mcast") return network(name, values, HaCf::Network::Kind::mcast, 5);
    if (d == "mcast6") return network(name, values, HaCf::Network::Kind::mcast, 5);
    if (values.size() > 1) return lines_.add(values[1].at, "`" + d + "` takes one value");
    if (d == "keepalive") return time(result_.keepalive, name, values[0]);
    if (d == "warntime") return time(result_.warntime, name, values[0]);
    if (d == "deadtime") return time(result_.deadtime, name, values[0]);
    if (d == "baud") return baud(name, values[0]);
    if (d == "udpport") return udpport(name, values[0]);
    failback(name, values[0]);
  }

  void unknown(const Word& name) {
    std::vector<std::string_view> all(known.begin(), known.end());
    for (const Advice& a : advice_table) all.push_back(a.directive);
    const std::string_view near = nearest(name.text, all);
    lines_.add(name.at, "unknown directive " + quoted(name.text) +
                            (near.empty() ? "" : ": did you mean \"" + std::string(near) + "\"?"));
  }

  void other(const Word& name, Words values) {
    std::string text;
    for (const Word& value : values) text += (text.empty() ? "" : " ") + value.text;
    result_.others.push_back({name, std::move(text)});
  }

  void nodes(Words values) {
    for (const Word& node : values) {
      if (std::ranges::any_of(result_.nodes, [&](const Word& n) { return n.text == node.text; })) {
        lines_.add(node.at, "node " + quoted(node.text) + " is there twice");
      } else {
        result_.nodes.push_back(node);
      }
    }
  }

  void serials(Words values) {
    late_baud_.reset();
    for (const Word& device : values) {
      if (!device.text.starts_with('/')) {
        lines_.add(device.at, "a serial device is an absolute path, found " + quoted(device.text));
      } else {
        result_.serials.push_back({device, baud_});
      }
    }
  }

  void bcast(Words values) {
    begin_network();
    for (const Word& interface : values)
      result_.networks.push_back({HaCf::Network::Kind::bcast, interface, ""});
  }

  // "ucast eth0 192.168.10.2", "mcast eth0 225.0.0.1 694 1 0"
  void network(const Word& name, Words values, HaCf::Network::Kind kind, std::size_t count) {
    begin_network();
    if (values.size() != count) {
      return lines_.add(name.at, "`" + name.text + "` takes " + std::to_string(count) + " values, found " +
                                     std::to_string(values.size()));
    }
    result_.networks.push_back({kind, values[0], values[1].text});
    if (kind != HaCf::Network::Kind::mcast) return;
    const auto port = port_of(values[2]);
    if (port && result_.networks.size() == 1) result_.udp_port = *port;
  }

  // A medium takes the settings that precede it.
  void begin_network() {
    if (result_.networks.empty()) result_.udp_port = udp_port_;
    late_udp_port_.reset();
  }
  // Each of these may stand once.
  bool repeated(const Word& name) {
    const auto [first, fresh] = once_.try_emplace(name.text, name.at);
    if (!fresh) {
      lines_.add(name.at,
                 "`" + name.text + "` is there twice, first in line " + std::to_string(first->second.line));
    }
    return !fresh;
  }

  void time(std::optional<HaCf::Time>& into, const Word& name, const Word& value) {
    if (repeated(name)) return;
    const auto parsed = parse_heartbeat_time(value.text);
    if (!parsed)
      return lines_.add(value.at, "`" + name.text + "` " + quoted(value.text) + ": " + parsed.error());
    into = HaCf::Time{*parsed, value.at};
  }

  void baud(const Word& name, const Word& value) {
    late_baud_ = name;
    for (const unsigned rate : bauds) {
      if (value.text == std::to_string(rate)) {
        baud_ = rate;
        return;
      }
    }
    lines_.add(value.at, "no serial line has " + quoted(value.text) + " baud");
  }

  std::optional<std::uint16_t> port_of(const Word& value) {
    std::uint16_t port = 0;
    const char* end = value.text.data() + value.text.size();
    const auto [last, error] = std::from_chars(value.text.data(), end, port);
    if (error == std::errc{} && last == end && port != 0) return port;
    lines_.add(value.at, "a port is a number from 1 to 65535, found " + quoted(value.text));
    return std::nullopt;
  }

  void udpport(const Word& name, const Word& value) {
    late_udp_port_ = name;
    if (const auto port = port_of(value)) udp_port_ = *port;
  }

  void failback(const Word& name, const Word& value) {
    using Meaning = HaCf::Failback::Meaning;
    if (result_.failback) {
      return lines_.add(name.at, "`" + name.text + "` and `" + result_.failback->directive.text +
                                     "` in line " + std::to_string(result_.failback->directive.at.line) +
                                     " say the same thing twice");
    }
    std::string word = value.text;
    std::ranges::transform(word, word.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const auto is = [&](std::initializer_list<std::string_view> list) {
      return std::ranges::find(list, word) != list.end();
    };
    Meaning meaning = Meaning::unclear;
    if (is({"on", "yes", "true", "y", "1"})) {
      meaning = Meaning::on;
    } else if (is({"off", "no", "false", "n", "0"})) {
      meaning = Meaning::off;
    } else if (name.text == "nice_failback" || word != "legacy") {
      return lines_.add(value.at, "`" + name.text + "` is on or off, found " + quoted(value.text));
    }
    if (name.text == "nice_failback" && meaning != Meaning::unclear) {
      meaning = meaning == Meaning::on ? Meaning::off : Meaning::on;
    }
    result_.failback = HaCf::Failback{meaning, name, word};
  }

  Lines lines_;
  HaCf result_;
  unsigned baud_ = 19200;
  std::uint16_t udp_port_ = 694;
  std::optional<Word> late_baud_;      // set, and no serial line since
  std::optional<Word> late_udp_port_;  // set, and no network since
  std::map<std::string, Position> once_;
};

class HaResourcesParser {
 public:
  HaResourcesParser(std::string_view text, const std::string& file) : lines_(text, file, false) {}

  std::expected<HaResources, std::vector<Problem>> run() {
    for (auto words = lines_.next(true); !words.empty(); words = lines_.next(true)) {
      HaResources::Group group{words.front(), {}};
      if (group.node.text.contains(':') || group.node.text.contains('/')) {
        lines_.add(group.node.at,
                   "a line begins with the name of a node, found the resource " + quoted(group.node.text));
      }
      for (const Word& word : Words(words).subspan(1)) resource(group, word);
      if (words.size() == 1)
        lines_.add(group.node.at, "node " + quoted(group.node.text) + " has no resource");
      result_.groups.push_back(std::move(group));
    }
    if (lines_.problems().empty()) return std::move(result_);
    return std::unexpected(std::move(lines_.problems()));
  }

 private:
  static bool names_an_address(std::string_view type) {
    return type == "IPaddr" || type == "IPaddr2" || type == "IPv6addr";
  }

  void resource(HaResources::Group& group, const Word& word) {
    HaResources::Group::Resource made{.type = word.text, .arguments = "", .address = {}, .at = word.at};
    if (const auto colons = word.text.find("::"); colons != std::string::npos) {
      made.type = word.text.substr(0, colons);
      made.arguments = word.text.substr(colons + 2);
    } else if (word.text.find_first_not_of("0123456789./") == std::string::npos ||
               (word.text.front() >= '0' && word.text.front() <= '9')) {
      made.type = "IPaddr";  // a bare address, perhaps with "/mask/nic/broadcast"
      made.arguments = word.text;
    }
    if (made.type.empty()) return lines_.add(word.at, "a resource's name is missing before the ::");
    if (names_an_address(made.type)) {
      const bool six = made.type == "IPv6addr";
      const std::string host = made.arguments.substr(0, made.arguments.find('/'));
      auto address = parse_address((six ? "[" + host + "]" : host) + ":0");
      const bool numeric = six || host.find_first_not_of("0123456789.") == std::string::npos;
      if (!address || !numeric) {
        return lines_.add(
            word.at, made.type + " needs an " + (six ? "IPv6" : "IPv4") + " address, found " + quoted(host));
      }
      made.address = *address;
    }
    group.resources.push_back(std::move(made));
  }

  Lines lines_;
  HaResources result_;
};

}  // namespace

std::expected<HaCf, std::vector<Problem>> parse_ha_cf(std::string_view text, const std::string& file) {
  return HaCfParser(text, file).run();
}

std::expected<HaResources, std::vector<Problem>> parse_haresources(std::string_view text,
                                                                   const std::string& file) {
  return HaResourcesParser(text, file).run();
}

std::string_view advice_on_directive(std::string_view directive) {
  const auto* found = std::ranges::find(advice_table, directive, &Advice::directive);
  return found == advice_table.end() ? "" : found->text;
}

std::expected<Duration, std::string> parse_heartbeat_time(std::string_view text) {
  const std::string_view digits = text.substr(0, text.find_first_not_of("0123456789."));
  std::string_view unit = text.substr(digits.size());
  double number = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number, std::chars_format::fixed);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) {
    return std::unexpected("a time is a number of seconds, or one with ms or us behind it");
  }
  double ns_per_unit = 1e9;
  if (unit == "ms" || unit == "msec") {
    ns_per_unit = 1e6;
  } else if (unit == "us" || unit == "usec") {
    ns_per_unit = 1e3;
  } else if (!unit.empty()) {
    return std::unexpected("the unit may be ms or us; a number alone is seconds");
  }
  constexpr double longest = 1e9 * 86400 * 365;
  const double ns = std::round(number * ns_per_unit);
  if (ns > longest) return std::unexpected("longer than a year");
  if (ns < 1e3) return std::unexpected("shorter than a microsecond");
  return Duration(static_cast<std::int64_t>(ns));
}

}  // namespace pointsman::conf
