#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/problem.h"

// The keys that heartbeats are signed with, in the syntax of Linux-HA Heartbeat's `authkeys`:
//
//   # comments anywhere, blanks separate
//   auth 2                  the key that we sign with
//   1 sha1 oldsecret        N method [secret]; every listed key is accepted, so that keys can be changed
//   without a gap 2 sha256 newsecret
//
// A secret is a word of 1 to 1024 printable bytes without blank or '#', used as it stands; `crc` takes none.
// Plain data, made once; any thread.
namespace pointsman::conf {

struct AuthKeys {
  enum class Method { sha256, sha1, md5, crc };
  struct Key {
    unsigned number = 0;  // 1 to 255
    Method method = Method::sha256;
    std::string secret{};  // empty for crc
    bool operator==(const Key&) const = default;
  };

  std::vector<Key> keys;  // in the order of the file, each number once; at least one
  unsigned sending = 0;   // the number of one of them
  std::string file;

  const Key* find(unsigned number) const;  // null: there is none
  bool operator==(const AuthKeys&) const = default;
};

const char* to_string(AuthKeys::Method method);

inline constexpr unsigned max_key_number = 255;
inline constexpr std::size_t max_authkeys_file = 65'536;  // bytes
inline constexpr std::size_t max_key_secret = 1024;       // bytes

// The keys that the file holds, or all that is wrong with it (at most 100). Refused as a whole: a file that
// is missing, not a regular file, readable by group or others, or of another owner than the reading user or
// root. Never blocks. No message contains a part of a secret.
std::expected<AuthKeys, std::vector<Problem>> load_authkeys(const std::string& path);

// The same of a text; `file` is what problems name.
std::expected<AuthKeys, std::vector<Problem>> parse_authkeys(std::string_view text, const std::string& file);

// What makes these keys weaker than they look, a sentence each, to be logged at each start: crc, sha1, md5,
// short secrets.
std::vector<std::string> authkeys_warnings(const AuthKeys& keys);

// The text of a new file with one sha256 key.
std::string new_authkeys_text(std::string_view secret);

// The text with one more sha256 key under `number`, which must be free, all else left as it stands; with
// `send`, that one is signed with from now on. `text` is one that parse_authkeys() takes.
std::string with_new_key(std::string_view text, unsigned number, std::string_view secret, bool send);

// The number for one more key; nullopt: all are taken.
std::optional<unsigned> next_key_number(const AuthKeys& keys);

}  // namespace pointsman::conf
