#include "proxy/pages/config_page.h"

#include <algorithm>
#include <vector>

#include "proxy/pages/roff.h"

namespace pointsman::proxy::pages {
namespace {

const conf::KeyInfo* find_key(std::span<const conf::KeyInfo> keys, std::string_view name) {
  const auto found = std::ranges::find(keys, name, &conf::KeyInfo::name);
  return found == keys.end() ? nullptr : &*found;
}

std::string facts_of(const conf::KeyInfo& key, bool reloads) {
  std::string text = "Must be " + key.expected + ". ";
  if (key.need == conf::Need::mandatory) {
    text += "It must be written.";
  } else if (!key.default_value.empty()) {
    text += "Default: `" + key.default_value + "`.";
  } else {
    text += "It may be left out.";
  }
  if (reloads)
    text += key.change == conf::Change::on_reload ? " Applied by reload." : " A change takes a restart.";
  return text;
}

// A comment as it was broken by hand; its lists, which stand further in, keep one line for each entry.
void write_comment(Roff& roff, std::string_view comment) {
  bool in_list = false;
  while (!comment.empty()) {
    const std::size_t end = std::min(comment.find('\n'), comment.size());
    const std::string_view line = comment.substr(0, end);
    comment.remove_prefix(std::min(end + 1, comment.size()));
    const std::size_t margin = std::min(line.find_first_not_of(' '), line.size());
    const bool entry = margin == 2;
    if (entry || (in_list && margin == 0)) roff.line_break();
    in_list = margin > 0;
    roff.line(line.substr(margin));
  }
}

std::string bare(std::string_view name) {
  return std::string(name.substr(name.find('.') + 1));
}

}  // namespace

std::expected<std::string, std::string> config_page(const ConfigAbout& about,
                                                    std::span<const conf::KeyInfo> keys,
                                                    std::span<const SampleSection> sample) {
  std::size_t shown = 0;
  bool reloads = false;  // false for a file that no reload reads again: nothing to say at each key
  for (const conf::KeyInfo& key : keys) reloads = reloads || key.change == conf::Change::on_reload;
  Roff roff(about.title, 5, POINTSMAN_VERSION);
  roff.section("NAME");
  roff.line(std::string(about.title) + " - " + std::string(about.summary));
  roff.section("DESCRIPTION");
  roff.paragraphs(about.text);
  for (const SampleSection& section : sample) {
    roff.section(section.name == "backend" ? "[[backend]]" : "[" + section.name + "]");
    if (!section.comment.empty()) write_comment(roff, section.comment);
    for (auto key = section.keys.begin(); key != section.keys.end(); ++key) {
      const conf::KeyInfo* info = find_key(keys, key->name);
      if (info == nullptr) return std::unexpected("the sample has " + key->name + ", which is no key");
      ++shown;
      roff.item({bare(key->name)}, "", "");
      // Keys that share a comment are explained at the first.
      if (key->comment.empty() && key != section.keys.begin()) {
        roff.line("See `" + bare(std::prev(key)->name) + "`.");
      } else {
        write_comment(roff, key->comment);
      }
      roff.more(facts_of(*info, reloads));
    }
  }
  if (shown != keys.size()) {
    for (const conf::KeyInfo& key : keys) {
      const auto has = [&](const SampleSection& section) {
        return std::ranges::find(section.keys, key.name, &SampleKey::name) != section.keys.end();
      };
      if (!std::ranges::any_of(sample, has)) return std::unexpected("the sample lacks " + key.name);
    }
    return std::unexpected("the sample has a key twice");
  }
  roff.section("SEE ALSO");
  roff.paragraphs(about.see_also);
  return roff.text();
}

ConfigAbout about_pointsman_toml() {
  return {
      .title = "pointsman.toml",
      .summary = "configuration of pointsman",
      .text =
          R"(A file in TOML, by default /etc/pointsman/pointsman.toml. Only the accounts, the names and the
addresses must be written: [monitor] and [replication] with `user` and `password_file`, and two
[[backend]] with `name` and `address`. Every other key has a default.

Durations are strings of a number and a unit, `ns`, `us`, `ms`, `s`, `m` or `h`: "250ms", "1.5s". Addresses
are "host:port", IPv6 in brackets.

`pointsman check` reports every problem at once, with line and column; the daemon does not start with one,
and on reload it keeps what it has. /usr/share/doc/pointsman/examples/pointsman.toml is a sample with
every key.)",
      .see_also = "pointsman(8), agent.toml(5)",
  };
}

ConfigAbout about_agent_toml() {
  return {
      .title = "agent.toml",
      .summary = "configuration of pointsman-agent",
      .text =
          R"(A file in TOML, by default /etc/pointsman/agent.toml, one on each database host. Only the node's name,
one way to Pointsman (`proxies` or `serial`, better both) and the account must be written. Every other key
has a default.

Durations are strings of a number and a unit, `ns`, `us`, `ms`, `s`, `m` or `h`: "250ms", "1.5s". Addresses
are "host:port", IPv6 in brackets.

`pointsman-agent check` reports every problem at once, with line and column. A change takes a restart of the
agent, which leaves mysqld alone; the authkeys are read again on SIGHUP.
/usr/share/doc/pointsman-agent/examples/agent.toml is a sample with every key.)",
      .see_also = "pointsman-agent(8), pointsman.toml(5)",
  };
}

}  // namespace pointsman::proxy::pages
