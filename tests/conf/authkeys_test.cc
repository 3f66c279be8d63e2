#include "conf/authkeys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conf/config_text.h"

namespace pointsman::conf {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Method = AuthKeys::Method;

AuthKeys must_parse(std::string_view text) {
  auto keys = parse_authkeys(text, "keys");
  if (keys) return std::move(*keys);
  for (const Problem& problem : keys.error()) ADD_FAILURE() << to_string(problem);
  return {};
}

std::vector<std::string> authkeys_problems(const std::expected<AuthKeys, std::vector<Problem>>& keys) {
  std::vector<std::string> lines;
  if (keys) return lines;
  EXPECT_FALSE(keys.error().empty());
  for (const Problem& problem : keys.error()) lines.push_back(to_string(problem));
  return lines;
}
std::vector<std::string> authkeys_problems(std::string_view text) {
  return authkeys_problems(parse_authkeys(text, "k"));
}

// What Heartbeat's own samples look like, and what people make of them.
TEST(AuthKeysTest, HeartbeatsSyntax) {
  const AuthKeys keys = must_parse(
      "# Authentication file.  Must be mode 600\n"
      "\n"
      "#\tauth <number>\n"
      "auth 2   # the new one\n"
      "1 crc\n"
      "  2\tsha1\tHI!\t# former\n"
      "3 md5 Hello!\r\n"
      "250 sha256 \xc3\xa4#not a part of it\n"
      "   \t\n");
  EXPECT_EQ(keys.sending, 2U);
  EXPECT_EQ(keys.file, "keys");
  EXPECT_THAT(keys.keys, ElementsAre(AuthKeys::Key{1, Method::crc, ""}, AuthKeys::Key{2, Method::sha1, "HI!"},
                                     AuthKeys::Key{3, Method::md5, "Hello!"},
                                     AuthKeys::Key{250, Method::sha256, "\xc3\xa4"}));
  EXPECT_EQ(keys.find(250)->secret, "\xc3\xa4");
  EXPECT_EQ(keys.find(4), nullptr);
  EXPECT_EQ(must_parse("1 crc\nauth 1").sending, 1U) << "in any order, and without a last line end";
}

// Everything that is wrong at once, each with its place and what was expected there.
TEST(AuthKeysTest, Problems) {
  EXPECT_THAT(authkeys_problems(""), ElementsAre("k: holds no key; make one with: pointsman keygen FILE"));
  EXPECT_THAT(authkeys_problems("# nothing\n"), ElementsAre(HasSubstr("holds no key")));
  EXPECT_THAT(authkeys_problems("1 sha1 x\n"),
              ElementsAre("k: has no line \"auth N\", which says which key to sign with"));
  EXPECT_THAT(authkeys_problems("1 sha1 x\nauth 2\n"), ElementsAre("k:2:6: there is no key 2 in this file"));
  EXPECT_THAT(authkeys_problems("auth 1\n1 sha1 x\n 1 md5 y\n"),
              ElementsAre("k:3:2: key 1 is already in line 2"));
  EXPECT_THAT(authkeys_problems("auth 1\nauth 1\n1 sha1 x\n"),
              ElementsAre("k:2:1: \"auth\" stands a second time; first in line 1"));
  EXPECT_THAT(authkeys_problems("auth\n1 sha1 x\n"),
              ElementsAre("k:1:5: expected the number of the key to sign with, 1 to 255"));
  EXPECT_THAT(authkeys_problems("auth 1 2\n1 sha1 x\n"),
              ElementsAre("k:1:8: expected nothing behind the number"));
  for (const char* number : {"0", "256", "-1", "1x", "99999999999999999999", "x"}) {
    EXPECT_THAT(authkeys_problems("auth " + std::string(number) + "\n1 sha1 x\n"),
                ElementsAre("k:1:6: expected the number of a key, 1 to 255"))
        << number;
  }
  EXPECT_THAT(authkeys_problems("auth 1\n1 sha1 x\n256 sha1 x\n0 crc\n2x crc\n"),
              ElementsAre("k:3:1: expected the number of a key, 1 to 255",
                          "k:4:1: expected the number of a key, 1 to 255",
                          "k:5:1: expected the number of a key, 1 to 255"));
  EXPECT_THAT(authkeys_problems("auth 1\n1\n"),
              ElementsAre("k:2:2: expected a method: sha256, sha1, md5 or crc"));
  EXPECT_THAT(authkeys_problems("auth 1\n1 sha265 geheim\n"),
              ElementsAre("k:2:3: expected a method: sha256, sha1, md5 or crc: did you mean \"sha256\"?"));
  EXPECT_THAT(authkeys_problems("auth 1\n1 sha256 # forgotten\n"),
              ElementsAre("k:2:9: expected a secret behind sha256"));
  EXPECT_THAT(authkeys_problems("auth 1\n1 crc geheim\n"), ElementsAre("k:2:7: crc takes no secret"));
  EXPECT_THAT(authkeys_problems("auth 1\n1 sha1 a b\n"),
              ElementsAre("k:2:10: expected nothing behind the secret, which has no blanks in it"));
  EXPECT_THAT(authkeys_problems("atuh 1\nauth 1\n1 crc\n"),
              ElementsAre("k:1:1: expected \"auth N\" or \"N method secret\": did you mean \"auth\"?"));
  EXPECT_THAT(authkeys_problems(std::string_view("auth 1\n1 sha1 a\0b\n", 18)),
              ElementsAre("k:2:8: the secret has a control character in it"));
  EXPECT_THAT(authkeys_problems("auth 1\n1 sha1 " + std::string(1025, 'x')),
              ElementsAre("k:2:8: the secret is longer than 1024 bytes"));
  EXPECT_THAT(authkeys_problems("\xc3\xa4\xc3\xb6 1\nauth 1\n1 crc x"),
              ElementsAre("k:1:1: expected \"auth N\" or \"N method secret\"", "k:3:7: crc takes no secret"));
  EXPECT_LE(authkeys_problems([] {
              std::string text;
              for (int i = 0; i < 1000; ++i) text += "x\n";
              return text;
            }())
                .size(),
            100U);
}

// Messages go to logs, and a slip of the pen puts the secret where something else was expected.
TEST(AuthKeysTest, NoSecretInMessages) {
  for (const char* text :
       {"auth 1\n1 geheim\n", "auth 1\n1 sha1 a geheim\n", "auth geheim\n1 sha1 x\n",
        "geheim\nauth 1\n1 sha1 x\n", "auth 1 geheim\n1 sha1 x\n", "auth 1\n1 crc geheim\n"}) {
    EXPECT_THAT(authkeys_problems(text), AllOf(Not(IsEmpty()), Each(Not(HasSubstr("geheim"))))) << text;
  }
}

// What is weak is said, and what `keygen` writes is not.
TEST(AuthKeysTest, Warnings) {
  const std::string good = "0123456789abcdef";
  EXPECT_THAT(authkeys_warnings(must_parse("auth 1\n1 sha256 " + good)), IsEmpty());
  EXPECT_THAT(
      authkeys_warnings(must_parse("auth 4\n1 crc\n2 sha1 " + good + "\n3 md5 " + good + "\n4 sha256 short")),
      ElementsAre("keys: key 1 (crc) authenticates nothing: whoever reaches a link can forge heartbeats and "
                  "orders",
                  HasSubstr("key 2 (sha1) is an old method"), HasSubstr("key 3 (md5) is an old method"),
                  HasSubstr("key 4 (sha256) has a secret so short")));
}

// The file itself must be as private as its content.
TEST(AuthKeysTest, LoadsOnlyPrivateFiles) {
  const TempDir dir;
  const auto problems = [](const std::string& path) { return authkeys_problems(load_authkeys(path)); };
  const std::string text = "auth 1\n1 sha256 geheim\n";
  const auto keys = load_authkeys(dir.write("good", text));
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->file, dir.path() + "/good");
  EXPECT_THAT(problems(dir.path() + "/none"), ElementsAre(HasSubstr("cannot open: No such file")));
  EXPECT_THAT(problems(dir.path()), ElementsAre(HasSubstr("not a regular file")));
  const std::string shared = dir.write("shared", text, 0640);
  EXPECT_THAT(problems(shared),
              ElementsAre(shared + ": accessible by group or others; run: chmod 600 " + shared));
  EXPECT_THAT(problems(dir.write("empty", "")), ElementsAre(HasSubstr("empty")));
  EXPECT_THAT(problems(dir.write("big", std::string(70'000, '#'))),
              ElementsAre(HasSubstr("longer than 65536")));
  const std::string wrong = dir.write("wrong", "auth 1\n1 sha256\n");
  EXPECT_THAT(problems(wrong), ElementsAre(wrong + ":2:9: expected a secret behind sha256"));
  const std::string fifo = dir.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(problems(fifo), ElementsAre(HasSubstr("not a regular file")));
  if (::geteuid() == 0) {
    const std::string theirs = dir.write("theirs", text);
    ASSERT_EQ(::chown(theirs.c_str(), 65534, 65534), 0);
    EXPECT_THAT(problems(theirs), ElementsAre(HasSubstr("owned by user id 65534")));
  }
}

// A key is added to what the operator wrote, and nothing else of it changes.
TEST(AuthKeysTest, AddsKeys) {
  const std::string text = "# mine\n auth\t7 # sign\n7 sha1 old";
  EXPECT_EQ(with_new_key(text, 8, "new", true), "# mine\n auth\t8 # sign\n7 sha1 old\n8 sha256 new\n");
  EXPECT_EQ(with_new_key(text, 8, "new", false), "# mine\n auth\t7 # sign\n7 sha1 old\n8 sha256 new\n");
  EXPECT_EQ(must_parse(new_authkeys_text("s")).find(1)->secret, "s");

  AuthKeys keys;
  EXPECT_EQ(next_key_number(keys), 1U);
  keys.keys = {{.number = 3}, {.number = 9}};
  EXPECT_EQ(next_key_number(keys), 10U);
  keys.keys.push_back({.number = 255});
  EXPECT_EQ(next_key_number(keys), 1U) << "the lowest that is free";
  keys.keys.clear();
  for (unsigned number = 1; number <= 255; ++number) keys.keys.push_back({.number = number});
  EXPECT_EQ(next_key_number(keys), std::nullopt);
}

}  // namespace
}  // namespace pointsman::conf
