#include "conf/secret.h"

#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conf/config_text.h"

namespace pointsman::conf {
namespace {

std::string read(const std::string& path) {
  const auto secret = read_secret(path);
  return secret ? *secret : "error: " + secret.error();
}

// Whatever editor wrote it, the password is the first line.
TEST(Secret, FirstLine) {
  const TempDir dir;
  EXPECT_EQ(read(dir.write("a", "geheim")), "geheim");
  EXPECT_EQ(read(dir.write("b", "geheim\n")), "geheim");
  EXPECT_EQ(read(dir.write("c", "geheim\r\n")), "geheim");
  EXPECT_EQ(read(dir.write("d", " two words \nmore\n")), " two words ");
  EXPECT_EQ(read(dir.write("e", "p\xc3\xa4ss", 0400)), "p\xc3\xa4ss");
  EXPECT_EQ(read(dir.write("f", std::string(4096, 'x'))), std::string(4096, 'x'));
}

// Each way in which a password file is not fit says so, and how to mend it.
TEST(Secret, Refused) {
  const TempDir dir;
  const std::string at = dir.path() + "/";
  EXPECT_EQ(read(at + "none"), "error: " + at + "none: cannot open: No such file or directory");
  EXPECT_EQ(read(dir.path()), "error: " + dir.path() + ": not a regular file");
  EXPECT_EQ(read("/dev/null"), "error: /dev/null: not a regular file");
  EXPECT_EQ(read(dir.write("group", "x", 0640)),
            "error: " + at + "group: accessible by group or others; run: chmod 600 " + at + "group");
  EXPECT_EQ(read(dir.write("others", "x", 0604)),
            "error: " + at + "others: accessible by group or others; run: chmod 600 " + at + "others");
  EXPECT_EQ(read(dir.write("empty", "")), "error: " + at + "empty: empty");
  EXPECT_EQ(read(dir.write("line", "\nx")), "error: " + at + "line: the first line is empty");
  EXPECT_EQ(read(dir.write("crlf", "\r\n")), "error: " + at + "crlf: the first line is empty");
  EXPECT_EQ(read(dir.write("nul", std::string("a\0b", 3))), "error: " + at + "nul: contains a NUL byte");
  EXPECT_EQ(read(dir.write("big", std::string(4097, 'x'))), "error: " + at + "big: longer than 4096 bytes");
  EXPECT_EQ(read(std::string("/a\0b", 4)).substr(0, 7), "error: ");
}

// A FIFO in place of the file must not hang the daemon.
TEST(Secret, FifoDoesNotBlock) {
  const TempDir dir;
  const std::string path = dir.path() + "/fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(read(path), "error: " + path + ": not a regular file");
}

// Somebody else's file could be changed by somebody else.
TEST(Secret, OtherOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  const TempDir dir;
  const std::string path = dir.write("theirs", "x");
  ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
  EXPECT_EQ(read(path), "error: " + path + ": owned by user id 65534, expected the reading user (0) or root");
}

}  // namespace
}  // namespace pointsman::conf
