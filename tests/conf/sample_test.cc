#include <string>

#include <gtest/gtest.h>

#include "conf/agent_config.h"
#include "conf/event_kinds.h"
#include "conf/loader.h"
#include "conf/schema.h"
#include "tests/conf/config_text.h"

// The sample and the README against the schema: each key is there, with its true default, range and way of
// change.
namespace pointsman::conf {
namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

// The installed sample, with password files that exist here.
Config load_sample() {
  const TempDir dir;
  const std::string password = dir.write("password", "x\n");
  std::string text = content_of(POINTSMAN_CONF_DIR "/pointsman.toml");
  text = replaced(text, "/etc/pointsman/monitor.password", password);
  text = replaced(text, "/etc/pointsman/replica.password", password);
  const auto config = load(dir.write("pointsman.toml", text));
  if (config) return *config;
  for (const Problem& problem : config.error()) ADD_FAILURE() << to_string(problem);
  return {};
}

TEST(Sample, ValuesAreTheDefaults) {
  const Config sample = load_sample();
  const Config defaults;
  for (const Key<Config>& key : config_keys()) {
    if (key.need == Need::mandatory || key.name == "node") continue;
    EXPECT_EQ(value_text(key.field, sample), value_text(key.field, defaults))
        << key.section << "." << key.name;
  }
  ASSERT_EQ(sample.backends.size(), 2U);
  for (const Backend& backend : sample.backends) EXPECT_EQ(backend.baud, Backend{}.baud);
  EXPECT_EQ(sample.monitor.account.password, "x");
}

// Every key is written, under its section, behind a comment or next to a key that has one.
TEST(Sample, ShowsEveryKey) {
  const std::string text = content_of(POINTSMAN_CONF_DIR "/pointsman.toml");
  for (const KeyInfo& key : schema()) {
    const std::string section = key.name.substr(0, key.name.find('.'));
    const std::size_t begin = text.find("\n[" + (section == "backend" ? "[backend]" : section) + "]\n");
    ASSERT_NE(begin, std::string::npos) << section;
    const std::size_t end = text.find("\n[", begin + 1);
    const std::string part = text.substr(begin, end - begin);
    EXPECT_NE(part.find("\n" + key.name.substr(section.size() + 1) + " = "), std::string::npos) << key.name;
  }
}

// Who writes hooks.events finds what there is to choose from, in the sample and in the manual.
TEST(Sample, ListsTheKindsOfEvents) {
  const std::string sample = content_of(POINTSMAN_CONF_DIR "/pointsman.toml");
  const std::size_t begin = sample.find("\n# The kinds of events");
  ASSERT_NE(begin, std::string::npos);
  const std::string list = sample.substr(begin, sample.find("\nevents = ", begin) - begin);
  const std::string readme = content_of(POINTSMAN_CONF_DIR "/../README.md");
  for (const std::string_view kind : event_kinds) {
    EXPECT_TRUE(list.contains(" " + std::string(kind) + ",") ||
                list.contains(" " + std::string(kind) + ".") || list.contains("# " + std::string(kind) + ","))
        << kind;
    EXPECT_TRUE(readme.contains("`" + std::string(kind) + "`")) << kind;
  }
}

// agent.toml, with a password file that exists here.
TEST(AgentSample, ValuesAreTheDefaults) {
  const TempDir dir;
  const std::string text = replaced(content_of(POINTSMAN_CONF_DIR "/agent.toml"),
                                    "/etc/pointsman/monitor.password", dir.write("password", "x\n"));
  const auto sample = load_agent(dir.write("agent.toml", text));
  if (!sample) {
    for (const Problem& problem : sample.error()) ADD_FAILURE() << to_string(problem);
    return;
  }
  const AgentConfig defaults;
  for (const Key<AgentConfig>& key : agent_keys()) {
    // A way to Pointsman is needed, and has no default.
    if (key.need == Need::mandatory || key.name == "proxies" || key.name == "serial") continue;
    EXPECT_EQ(value_text(key.field, *sample), value_text(key.field, defaults))
        << key.section << "." << key.name;
  }
}

TEST(AgentSample, ShowsEveryKey) {
  const std::string text = content_of(POINTSMAN_CONF_DIR "/agent.toml");
  for (const KeyInfo& key : agent_schema()) {
    const std::string section = key.name.substr(0, key.name.find('.'));
    const std::size_t begin = text.find("\n[" + section + "]\n");
    ASSERT_NE(begin, std::string::npos) << section;
    const std::size_t end = text.find("\n[", begin + 1);
    const std::string part = text.substr(begin, end - begin);
    EXPECT_NE(part.find("\n" + key.name.substr(section.size() + 1) + " = "), std::string::npos) << key.name;
  }
}

std::string change_word(Change change) {
  switch (change) {
    case Change::on_reload:
      return "at once";
    case Change::on_takeover:
      return "in a new process";
    case Change::on_restart:
      return "after a restart";
  }
  return "?";
}

TEST(Readme, TableAgreesWithTheSchema) {
  const std::string readme = content_of(POINTSMAN_CONF_DIR "/README.md");
  for (const KeyInfo& key : schema()) {
    const bool none = key.default_value.empty() || key.default_value == "\"\"";
    const std::string shown = key.need == Need::mandatory      ? "mandatory"
                              : none && key.name != "log.file" ? "none"
                                                               : "`" + key.default_value + "`";
    const std::string row =
        "\n| `" + key.name + "` | " + shown + " | " + key.expected + " | " + change_word(key.change) + " | ";
    EXPECT_NE(readme.find(row), std::string::npos) << row;
  }
}

// The smallest file that the README shows works.
TEST(Readme, SmallestFile) {
  const std::string readme = content_of(POINTSMAN_CONF_DIR "/README.md");
  const std::string fence = "```toml\n";
  const std::size_t begin = readme.find(fence);
  ASSERT_NE(begin, std::string::npos);
  const std::size_t end = readme.find("```", begin + fence.size());
  EXPECT_EQ(must_load(readme.substr(begin + fence.size(), end - begin - fence.size())).backends.size(), 2U);
}

}  // namespace
}  // namespace pointsman::conf
