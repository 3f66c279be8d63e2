#include "tests/layout/layout.h"

#include <gtest/gtest.h>

namespace pointsman::layout {
namespace {

std::string complaints_of(const Tree& tree) {
  std::string text;
  for (const Complaint& complaint : check(tree)) {
    text += complaint.file + ":" + std::to_string(complaint.line) + ": " + complaint.text + "\n";
  }
  return text;
}

std::size_t count(const std::string& file, const std::string& source) {
  return check({{file, source}}).size();
}

// The repository itself keeps the rules.
TEST(Layout, TheRepositoryKeepsTheRules) {
  const Tree tree = read_tree(POINTSMAN_SOURCE_DIR);
  EXPECT_TRUE(tree.contains("conf/config.h")) << "nothing was read";
  EXPECT_TRUE(tree.contains("health/core/ids.h")) << "nothing was read";
  EXPECT_EQ(complaints_of(tree), "");
}

// What the direction allows passes, whatever folder it is in.
TEST(Layout, AcceptsTheDirection) {
  EXPECT_EQ(
      complaints_of({
          {"conf/a.cc", "#include <fstream>\n#include <toml++/toml.h>\n#include \"conf/config.h\"\n"},
          {"health/mysql/a.cc",
           "#include <mysql.h>\n#include \"conf/config.h\"\n#include \"health/core/ids.h\"\n"},
          {"health/core/a.h",
           "#include <chrono>\n#include \"conf/config.h\"\n#include \"health/core/ids.h\"\n"},
          {"proxy/a.cc",
           "#include <uv.h>\n#include \"health/io/loop.h\"\n#include \"conf/a.h\"\n#include \"proxy/b.h\"\n"},
          {"bench/a.cc", "#include \"proxy/a.h\"\n#include \"tests/testbed/server.h\"\n"},
          {"tests/core/a.cc", "#include \"health/core/ids.h\"\n#include \"bench/gap.h\"\n"},
      }),
      "");
}

// Each step against the direction is told with its file and line.
TEST(Layout, RefusesEveryStepAgainstTheDirection) {
  EXPECT_EQ(complaints_of({{"conf/a.cc", "#include <string>\n#include \"health/core/ids.h\"\n"}}),
            "conf/a.cc:2: conf may not include health/core/ids.h\n");
  EXPECT_EQ(complaints_of({{"health/io/a.h", "#pragma once\n\n  #  include \"proxy/route.h\"  // no\n"}}),
            "health/io/a.h:3: health may not include proxy/route.h\n");
  for (const char* target : {"proxy/a.h", "bench/a.h", "tests/testbed/server.h"}) {
    const std::string include = "#include \"" + std::string(target) + "\"\n";
    EXPECT_EQ(count("conf/a.h", include), 1U) << target;
    EXPECT_EQ(count("health/mysql/a.h", include), 1U) << target;
    EXPECT_EQ(count("health/core/a.h", include), 1U) << target;
  }
  EXPECT_EQ(count("proxy/a.h", "#include \"bench/a.h\"\n"), 1U);
  EXPECT_EQ(count("proxy/a.h", "#include \"tests/testbed/server.h\"\n"), 1U);
}

// Ways round the check: angle brackets, a relative path, a macro.
TEST(Layout, RefusesWaysRound) {
  EXPECT_EQ(count("conf/a.h", "#include <proxy/route.h>\n"), 1U);
  EXPECT_EQ(count("conf/a.h", "#include \"../proxy/route.h\"\n"), 1U);
  EXPECT_EQ(count("health/core/a.h", "#include \"ids.h\"\n"), 1U);
  EXPECT_EQ(count("conf/a.h", "#define WHERE \"proxy/route.h\"\n#include WHERE\n"), 1U);
  EXPECT_EQ(count("conf/a.inc", "#include \"proxy/route.h\"\n"), 1U);
}

// The core is pure: no thread, lock, file, stream of the process, C or system header, nor another folder of
// health.
TEST(Layout, RefusesWhatIsNotPureInTheCore) {
  for (const char* header : {"<thread>",
                             "<mutex>",
                             "<shared_mutex>",
                             "<condition_variable>",
                             "<future>",
                             "<atomic>",
                             "<fstream>",
                             "<iostream>",
                             "<filesystem>",
                             "<print>",
                             "<sys/socket.h>",
                             "<unistd.h>",
                             "<uv.h>",
                             "<mysql.h>",
                             "<spdlog/spdlog.h>",
                             "<nlohmann/json.hpp>",
                             "<stdio.h>",
                             "<ctime>",
                             "\"health/mysql/prober.h\"",
                             "\"health/io/loop.h\""}) {
    EXPECT_EQ(count("health/core/a.cc", "#include " + std::string(header) + "\n"), 1U) << header;
  }
  EXPECT_EQ(count("health/mysql/a.cc", "#include <thread>\n"), 0U);
}

TEST(Layout, RefusesClocksAndChanceInTheCore) {
  EXPECT_EQ(count("health/core/a.cc", "#include <chrono>\nauto t = std::chrono::steady_clock::now();\n"), 1U);
  EXPECT_EQ(count("health/core/a.cc", "using C = std::chrono::system_clock;\nauto t = C::now();\n"), 1U);
  EXPECT_EQ(count("health/core/a.cc", "std::random_device seed;\n"), 1U);
  EXPECT_EQ(count("health/core/a.cc", "const char* home = std::getenv(\"HOME\");\n"), 1U);
  EXPECT_EQ(count("health/mysql/a.cc", "auto t = std::chrono::steady_clock::now();\n"), 0U);
}

// Words in comments and in strings break no rule, and do not hide what comes after them.
TEST(Layout, ReadsCodeOnly) {
  EXPECT_EQ(
      count("health/core/a.cc", "// never steady_clock::now()\n/* #include <thread>\n#include <mutex>\n*/\n"),
      0U);
  EXPECT_EQ(count("health/core/a.cc", "const char* text = \"C::now() // \\\" /*\"; auto t = C::now();\n"),
            1U);
  EXPECT_EQ(count("health/core/a.cc", "int big = 1'000'000; char q = '\"'; auto t = C::now(); // '\n"), 1U);
  EXPECT_EQ(count("health/core/a.cc", "/* a */ #include <thread>\n"), 1U);
}

// No folder beside the five, and no source at the top.
TEST(Layout, RefusesOtherFolders) {
  EXPECT_EQ(count("src/a.cc", ""), 1U);
  EXPECT_EQ(count("common/util.h", ""), 1U);
  EXPECT_EQ(count("main.cc", ""), 1U);
  EXPECT_EQ(count("conf.h", ""), 1U);
}

}  // namespace
}  // namespace pointsman::layout
