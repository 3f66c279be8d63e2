#include "proxy/history.h"

#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "health/io/loop.h"
#include "tests/testbed/files.h"

namespace pointsman::proxy {
namespace {

nlohmann::json event(int i, const char* kind = "verdict") {
  return {{"kind", kind}, {"n", i}};
}

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() : directory_(*testbed::TempDirectory::create("history")) {}
  std::string path() const { return directory_.path().string(); }

  testbed::TempDirectory directory_;
};

// What one daemon appended, the next one finds, in order; steps are on the disk but are no events.
TEST_F(HistoryTest, SurvivesTheDaemon) {
  {
    io::Loop loop;
    io::Background background(loop);
    History history(background, path());
    std::vector<int> heard;
    history.on_event = [&](const nlohmann::json& e) { heard.push_back(e["n"]); };
    for (int i = 0; i < 5; ++i) history.append(event(i));
    history.append(event(99, "step"));
    loop.run();
    EXPECT_EQ(heard, (std::vector<int>{0, 1, 2, 3, 4}));
    EXPECT_EQ(history.last_error(), "");
  }
  io::Loop loop;
  io::Background background(loop);
  History history(background, path());
  history.load();
  const auto events = history.newest(3);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events.front()["n"], 2);
  EXPECT_EQ(events.back()["n"], 4);
  std::ifstream in(path() + "/history.jsonl");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  EXPECT_NE(text.find("\"step\""), std::string::npos);
}

// Lines that somebody damaged are passed over, the rest is there.
TEST_F(HistoryTest, DamagedLinesAreSkipped) {
  std::ofstream(path() + "/history.jsonl")
      << event(1).dump() << "\n{\"kind\": \"ver\n\x01\xff\n[]\n{\"kind\": 7}\n"
      << event(2).dump() << "\n";
  io::Loop loop;
  io::Background background(loop);
  History history(background, path());
  history.load();
  ASSERT_EQ(history.newest(10).size(), 2U);
}

// A disk that takes nothing costs lines and says so; memory stays bounded and events are still told.
TEST_F(HistoryTest, FullDisk) {
  ASSERT_EQ(::symlink("/dev/full", (path() + "/history.jsonl").c_str()), 0);
  io::Loop loop;
  io::Background background(loop);
  History history(background, path());
  for (int i = 0; i < 3000; ++i)
    history.append({{"kind", "verdict"}, {"n", i}, {"pad", std::string(1000, 'x')}});
  EXPECT_GT(history.dropped(), 0U);
  loop.run();
  EXPECT_NE(history.last_error().find("No space left on device"), std::string::npos) << history.last_error();
  EXPECT_EQ(history.newest(5000).size(), History::kept_events);
}

}  // namespace
}  // namespace pointsman::proxy
