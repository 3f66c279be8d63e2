#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "conf/schema.h"
#include "proxy/cli/manual.h"
#include "proxy/pages/completion.h"
#include "proxy/pages/config_page.h"
#include "proxy/pages/program_page.h"
#include "proxy/pages/roff.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

// Manual pages and completion have all that the programs have, and are text that roff and bash take.
namespace pointsman::proxy::pages {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string sample_text(const std::string& name) {
  std::ifstream file(POINTSMAN_CONF_DIR "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string page_of(const ConfigAbout& about, const std::vector<conf::KeyInfo>& keys) {
  auto page = config_page(about, keys, read_sample(sample_text(std::string(about.title))));
  if (page) return *page;
  ADD_FAILURE() << page.error();
  return {};
}

TEST(ProgramPage, TellsEachCommandWithItsOptions) {
  for (const auto& [program, about] :
       {std::pair(pointsman_program(), about_pointsman()), std::pair(agent_program(), about_agent())}) {
    const std::string page = program_page(program, about);
    ASSERT_FALSE(program.commands.empty());
    for (const CommandText& command : program.commands) {
      const std::size_t begin = page.find("\n\\fB" + escaped(command.name) + "\\fR");
      ASSERT_NE(begin, std::string::npos) << command.name;
      const std::string part = page.substr(begin, page.find("\n.SS", begin) - begin);
      for (const Option& option : command.options) {
        if (option.names.back() == "--help") continue;
        EXPECT_TRUE(has(part, escaped(option.names.back()) + "\\fR"))
            << command.name << " " << option.names.back();
      }
    }
    EXPECT_TRUE(has(page, ".SH \"EXIT STATUS\"\n"));
  }
}

// Nothing of --help is lost: each command's text and example are those of the manual.
TEST(ProgramPage, HasTheTextsOfHelp) {
  const Program program = pointsman_program();
  ASSERT_EQ(program.commands.size(), cli::manuals().size());
  for (const cli::Manual& manual : cli::manuals()) {
    const auto command = std::ranges::find(program.commands, manual.name, &CommandText::name);
    ASSERT_NE(command, program.commands.end()) << manual.name;
    EXPECT_EQ(command->text, manual.text);
    EXPECT_EQ(command->example, manual.example);
    EXPECT_EQ(command->group, manual.group);
  }
}

TEST(ConfigPage, TellsEveryKeyWithItsRange) {
  const std::vector<std::pair<ConfigAbout, std::vector<conf::KeyInfo>>> files{
      {about_pointsman_toml(), conf::schema()}, {about_agent_toml(), conf::agent_schema()}};
  for (const auto& [about, keys] : files) {
    const std::string page = page_of(about, keys);
    for (const conf::KeyInfo& key : keys) {
      const std::string name = key.name.substr(key.name.find('.') + 1);
      EXPECT_TRUE(has(page, "\n.TP\n\\fB" + escaped(name) + "\\fR\n")) << key.name;
      EXPECT_TRUE(has(page, "Must be " + escaped(key.expected) + ".")) << key.name;
    }
  }
}

// A key that only one of schema and sample has is an error of the build.
TEST(ConfigPage, RefusesADifference) {
  const std::string text = sample_text("agent.toml");
  auto keys = conf::agent_schema();
  const auto more =
      config_page(about_agent_toml(), keys, read_sample(text + "\n# No such key.\nnonsense = 1\n"));
  ASSERT_FALSE(more.has_value());
  EXPECT_EQ(more.error(), "the sample has log.nonsense, which is no key");
  keys.push_back({"log.colour", "true or false", "true"});
  const auto less = config_page(about_agent_toml(), keys, read_sample(text));
  ASSERT_FALSE(less.has_value());
  EXPECT_EQ(less.error(), "the sample lacks log.colour");
}

TEST(Sample, ReadsCommentsOfSectionsAndKeys) {
  const auto sections = read_sample(
      "# The file.\n\n# All of it.\n[a]\n# One.\n# Two.\nx = 1\ny = 2\n\n# Not of z.\n\nz = 3\n"
      "[[b]]\n# First.\nname = \"n\"\n[[b]]\nname = \"m\"\n");
  ASSERT_EQ(sections.size(), 2U);
  EXPECT_EQ(sections[0].comment, "All of it.\n");
  ASSERT_EQ(sections[0].keys.size(), 3U);
  EXPECT_EQ(sections[0].keys[0].name, "a.x");
  EXPECT_EQ(sections[0].keys[0].comment, "One.\nTwo.\n");
  EXPECT_EQ(sections[0].keys[1].comment, "");
  EXPECT_EQ(sections[0].keys[2].comment, "");
  ASSERT_EQ(sections[1].keys.size(), 1U);
  EXPECT_EQ(sections[1].keys[0].comment, "First.\n");
}

// What would be a macro, an escape or a hyphen stays the text that it is.
TEST(Roff, Escapes) {
  EXPECT_EQ(escaped(".TH"), "\\&.TH");
  EXPECT_EQ(escaped("'quoted'"), "\\&\\(aqquoted\\(aq");
  EXPECT_EQ(escaped("a\\b --to x"), "a\\eb \\-\\-to x");
  EXPECT_EQ(escaped("see `run -c`."), "see \\fBrun \\-c\\fR.");
}

// What bash offers when the words were typed and Tab is pressed behind the last.
class Completion : public testing::Test {
 protected:
  void SetUp() override {
    auto made = testbed::TempDirectory::create("pages");
    ASSERT_TRUE(made) << made.error();
    directory_ = std::move(*made);
    config_ = (directory_.path() / "site.toml").string();
    write("site.toml", "[[backend]]\nname = \"alpha\"\n\n[[backend]]\nname = \"beta\" # the second\n");
    write("pointsman.bash", bash_completion(pointsman_program(), config_));
    write("agent.bash", bash_completion(agent_program(), "/etc/pointsman/agent.toml"));
  }

  void write(const std::string& name, const std::string& text) const {
    const auto done = testbed::write_file(directory_.path() / name, text);
    ASSERT_TRUE(done) << done.error();
  }

  std::string offered(std::vector<std::string> words) const {
    const bool agent = words.front() == "pointsman-agent";
    std::vector<std::string> argv{"bash",
                                  "--norc",
                                  "-c",
                                  "set -u; source \"$1\"; function=$2; shift 2; COMP_WORDS=(\"$@\"); "
                                  "COMP_CWORD=$(($# - 1)); COMPREPLY=(); "
                                  "$function; echo \"${COMPREPLY[*]}\"",
                                  "bash",
                                  (directory_.path() / (agent ? "agent.bash" : "pointsman.bash")).string(),
                                  agent ? "_pointsman_agent" : "_pointsman"};
    argv.insert(argv.end(), words.begin(), words.end());
    const auto done = testbed::run({.argv = argv, .directory = directory_.path()}, testbed::Millis(20'000));
    if (!done) return done.error();
    return done->code == 0 && done->err.empty() ? done->out : "failed: " + done->err;
  }

  testbed::TempDirectory directory_;
  std::string config_;
};

TEST_F(Completion, OffersCommands) {
  EXPECT_EQ(offered({"pointsman", "s"}), "status sessions switchover setup\n");
  EXPECT_EQ(offered({"pointsman", "--v"}), "--version\n");
  EXPECT_EQ(offered({"pointsman-agent", ""}), "run copies check -h --help --version\n");
}

TEST_F(Completion, OffersOptionsOfTheCommand) {
  EXPECT_EQ(offered({"pointsman", "switchover", "--d"}), "--dry-run\n");
  EXPECT_EQ(offered({"pointsman", "pause", "--d"}), "\n");
  EXPECT_EQ(offered({"pointsman-agent", "check", "--c"}), "--config\n");
}

TEST_F(Completion, OffersServersOfTheConfiguration) {
  EXPECT_EQ(offered({"pointsman", "switchover", "--to", ""}), "alpha beta\n");
  EXPECT_EQ(offered({"pointsman", "rejoin", "--discard", "a"}), "alpha\n");
  write("other.toml", "name = \"gamma\"\n");
  EXPECT_EQ(offered({"pointsman", "rejoin", "-c", "other.toml", ""}), "gamma\n");
}

TEST_F(Completion, OffersWhatAnArgumentMayBe) {
  EXPECT_EQ(offered({"pointsman", "maintenance", "alpha", "o"}), "on off\n");
  EXPECT_EQ(offered({"pointsman", "automatic", "of"}), "off\n");
  EXPECT_EQ(offered({"pointsman", "check", "-c", "si"}), "site.toml\n");
  EXPECT_EQ(offered({"pointsman", "events", "-n", ""}), "\n");
}

}  // namespace
}  // namespace pointsman::proxy::pages
