#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/loader.h"

// Texts and files that the tests of conf/ load.
namespace pointsman::conf {

// What every file must have, to put behind the lines under test, so that those keep their numbers.
inline const std::string monitor_section = "[monitor]\nuser = \"pointsman\"\npassword_file = \"/m\"\n";
inline const std::string replication_section = "[replication]\nuser = \"replica\"\npassword_file = \"/r\"\n";
inline const std::string two_backends =
    "[[backend]]\nname = \"dbserv1\"\naddress = \"10.0.0.1:3306\"\n"
    "[[backend]]\nname = \"dbserv2\"\naddress = \"10.0.0.2:3306\"\n";
inline const std::string accounts = monitor_section + replication_section;
inline const std::string rest = accounts + two_backends;

// "p.toml:1:2: ..." of each problem of `text`; empty when it is valid. Password files are not read.
inline std::vector<std::string> problems_of(std::string_view text) {
  const auto config = load_text(text, "p.toml", {.files = false});
  std::vector<std::string> lines;
  if (config) return lines;
  EXPECT_FALSE(config.error().empty());
  for (const Problem& problem : config.error()) lines.push_back(to_string(problem));
  return lines;
}

inline Config must_load(std::string_view text) {
  auto config = load_text(text, "p.toml", {.files = false});
  if (config) return std::move(*config);
  for (const Problem& problem : config.error()) ADD_FAILURE() << to_string(problem);
  return {};
}

inline std::string content_of(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.is_open()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

// A directory of its own, removed at the end.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "pointsman-conf-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << name;
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string write(const std::string& name, std::string_view content, mode_t mode = 0600) const {
    std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary) << content;
    EXPECT_EQ(::chmod(file.c_str(), mode), 0) << file;
    return file;
  }

 private:
  std::string path_;
};

}  // namespace pointsman::conf
