#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "conf/loader.h"
#include "conf/problem.h"
#include "tests/conf/config_text.h"

// Files that nobody wrote: the loader answers with a configuration or with problems, and never dies.
namespace pointsman::conf {
namespace {

// One line, printable, and with a place inside the text: fit for a terminal.
void expect_clean(const std::string& text) {
  const auto config = load_text(text, "p.toml", {.files = false});
  if (config) {
    ASSERT_GE(config->backends.size(), 2U);
    return;
  }
  ASSERT_FALSE(config.error().empty());
  for (const Problem& problem : config.error()) {
    const std::string line = to_string(problem);
    ASSERT_LT(line.size(), 2000U) << line;
    for (const char c : line) ASSERT_TRUE(c >= ' ' && c <= '~') << line;
  }
}

TEST(HostileText, RandomBytes) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 200, '\0');
    for (char& c : text) c = static_cast<char>(random());
    ASSERT_NO_FATAL_FAILURE(expect_clean(text));
  }
}

// The sample, with bytes changed, removed, doubled and lines exchanged.
TEST(HostileText, MutatedSample) {
  const std::string sample = content_of(POINTSMAN_CONF_DIR "/pointsman.toml");
  ASSERT_GT(sample.size(), 1000U);
  std::mt19937_64 random(2);
  using namespace std::string_view_literals;
  constexpr std::string_view alphabet = "\"[]{}=.,#'\\\n\r\t 0123456789-+:/_abcxyzTZ\xc3\x28\xff\x1b\0"sv;
  for (int i = 0; i < 1000; ++i) {
    std::string text = sample;
    for (auto edits = 1 + random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      switch (random() % 5) {
        case 0:
          text[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          text.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        case 2:
          text.erase(at, 1 + random() % 30);
          break;
        case 3:
          text.insert(at, text.substr(random() % text.size(), random() % 60));
          break;
        default:
          text.resize(at + 1);
      }
    }
    ASSERT_NO_FATAL_FAILURE(expect_clean(text));
  }
}

// Well-formed TOML whose keys carry values of the wrong kinds.
TEST(HostileText, ValuesExchanged) {
  const std::string values[] = {"1",
                                "-9223372036854775808",
                                "1e308",
                                "nan",
                                "true",
                                "\"\"",
                                "\"x\"",
                                "[]",
                                "[[[]]]",
                                "{a = 1}",
                                "1979-05-27",
                                "'1s'",
                                "\"9999999h\"",
                                "[1, \"a\"]",
                                "\"a:1\"",
                                "[\"a:1\", 2]",
                                "07:32:00",
                                "\"\\u0000\"",
                                "\"/\""};
  const std::string sample = content_of(POINTSMAN_CONF_DIR "/pointsman.toml");
  std::mt19937_64 random(3);
  for (int i = 0; i < 1000; ++i) {
    std::string text;
    for (std::size_t at = 0; at < sample.size();) {
      const std::size_t end = sample.find('\n', at);
      std::string line = sample.substr(at, end - at);
      at = end == std::string::npos ? sample.size() : end + 1;
      const std::size_t equals = line.find(" = ");
      if (!line.starts_with('#') && equals != std::string::npos && random() % 8 == 0) {
        line = line.substr(0, equals + 3) + values[random() % std::size(values)];
      }
      text += line + "\n";
    }
    ASSERT_NO_FATAL_FAILURE(expect_clean(text));
  }
}

}  // namespace
}  // namespace pointsman::conf
