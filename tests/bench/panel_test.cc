#include <algorithm>

#include <gtest/gtest.h>

#include "bench/demo_panel.h"
#include "bench/table.h"

namespace pointsman::bench {
namespace {

Scene a_scene() {
  Scene scene;
  scene.address = "127.0.0.1:3306";
  scene.state = "steady";
  scene.primary = "db1";
  const std::vector<LinkSight> links{{"udp", "alive"}, {"serial", "dead"}};
  scene.servers = {{"db1", "127.0.0.1:20001", 4711, "primary", "up", "probe 0.3 ms", links},
                   {"db2", "127.0.0.1:20002", 4712, "replica", "up", "follows db1", links}};
  scene.samples.assign(200, 50);
  scene.marks = {{10, "long gone"}, {150, "kill -9 db1"}, {199, "switchover"}};
  scene.chapters = {{Chapter::State::done, "steady", "2,000 commits a second", {}},
                    {Chapter::State::running,
                     "kill -9 of db1",
                     "",
                     {"a note that is much longer than any terminal is "
                      "wide, so that it has to be cut somewhere"}},
                    {Chapter::State::ahead, "switchover", "", {}}};
  return scene;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// Whatever the terminal's width, no line is wider: a wrapped line would break the redrawing.
TEST(Panel, FitsEveryWidth) {
  for (std::size_t width = 1; width <= 200; ++width) {
    for (const bool unicode : {false, true}) {
      for (const std::string& line : draw_panel(a_scene(), {.width = width, .unicode = unicode})) {
        ASSERT_LE(width_of(line), width) << line;
      }
    }
  }
}

// Nor are there more lines than the terminal shows, for a line that scrolled away cannot be drawn again.
TEST(Panel, FitsEveryHeight) {
  for (std::size_t height = 1; height <= 60; ++height) {
    EXPECT_LT(draw_panel(a_scene(), {.height = height}).size(), height);
  }
}

// In a small terminal the chapters are all there; the notes are the latest one's alone.
TEST(Panel, FitsASmallTerminal) {
  Scene scene = a_scene();
  scene.chapters[0].notes = {"an older note"};
  const std::string text =
      joined(draw_panel(scene, {.width = 80, .height = min_panel_height, .colours = false}));
  EXPECT_EQ(text.find("an older note"), std::string::npos) << text;
  EXPECT_NE(text.find("a note that is"), std::string::npos) << text;
  EXPECT_NE(text.find("3  switchover"), std::string::npos) << text;
}

// Without colours there is no escape sequence, and in ASCII nothing else than that.
TEST(Panel, PlainStyle) {
  const std::string text = joined(draw_panel(a_scene(), {.width = 80, .colours = false, .unicode = false}));
  EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); })) << text;
  EXPECT_NE(text.find("* primary   up"), std::string::npos) << text;
  EXPECT_NE(text.find(" --> "), std::string::npos) << text;
  EXPECT_NE(text.find("kill -9 db1"), std::string::npos) << text;
}

// Each server's links are in its lower border.
TEST(Panel, ShowsLinks) {
  const std::string text = joined(draw_panel(a_scene(), {.width = 100, .colours = false, .unicode = false}));
  EXPECT_NE(text.find("+- udp * alive - serial x dead --"), std::string::npos) << text;
}

// The arrow between the servers follows the direction of replication, and is gone while there is none.
TEST(Panel, ArrowFollowsReplication) {
  Scene scene = a_scene();
  std::swap(scene.servers[0].role, scene.servers[1].role);
  const PanelStyle style{.width = 80, .colours = false, .unicode = false};
  EXPECT_NE(joined(draw_panel(scene, style)).find(" <-- "), std::string::npos);
  scene.servers[0].pid = 0;
  const std::string text = joined(draw_panel(scene, style));
  EXPECT_EQ(text.find(" <-- "), std::string::npos) << text;
  EXPECT_NE(text.find("not running"), std::string::npos) << text;
}

// An empty scene, before anything runs, is drawn too.
TEST(Panel, EmptyScene) {
  EXPECT_FALSE(draw_panel({}, {}).empty());
}

}  // namespace
}  // namespace pointsman::bench
