#include "conf/authkeys.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <span>
#include <utility>

#include "conf/secret.h"
#include "conf/suggest.h"

namespace pointsman::conf {
namespace {

constexpr std::size_t max_authkeys_problems = 100;
constexpr std::size_t short_secret = 16;  // bytes; a shorter one can be guessed from recorded frames

constexpr std::array<std::string_view, 4> method_names{"sha256", "sha1", "md5", "crc"};

struct Word {
  std::string_view text;
  Position position;
};

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

// The words of a line up to its comment.
std::vector<Word> words_of(std::string_view line, unsigned number) {
  line = line.substr(0, line.find('#'));
  std::vector<Word> words;
  unsigned column = 0;
  bool in_word = false;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= line.size(); ++i) {
    const bool blank = i == line.size() || is_blank(line[i]);
    if (blank && in_word) words.back().text = line.substr(start, i - start);
    if (i == line.size()) break;
    const bool continues_code_point = (static_cast<unsigned char>(line[i]) & 0xc0U) == 0x80U;
    if (!continues_code_point) ++column;
    if (!blank && !in_word) {
      words.push_back({{}, {number, std::max(column, 1U)}});
      start = i;
    }
    in_word = !blank;
  }
  return words;
}

// Calls `each(line, number)`, numbers from 1, lines without their end.
template <typename Each>
void for_each_line(std::string_view text, const Each& each) {
  unsigned number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    each(text.substr(0, end), ++number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::optional<unsigned> key_number(std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number >= 1 && number <= max_key_number ? std::optional(number) : std::nullopt;
}

bool starts_with_digit(std::string_view text) {
  return text.front() >= '0' && text.front() <= '9';
}

class Parser {
 public:
  explicit Parser(const std::string& file) { keys_.file = file; }

  void line(std::string_view line, unsigned number) {
    const std::vector<Word> words = words_of(line, number);
    if (words.empty()) return;
    if (words[0].text == "auth") return auth(words);
    if (starts_with_digit(words[0].text)) return key(words);
    const bool near_auth =
        nearest(words[0].text, std::array<std::string_view, 1>{"auth"}) == std::string_view("auth");
    problem(words[0].position, near_auth
                                   ? "expected \"auth N\" or \"N method secret\": did you mean \"auth\"?"
                                   : "expected \"auth N\" or \"N method secret\"");
  }

  std::expected<AuthKeys, std::vector<Problem>> finish() {
    if (keys_.keys.empty() && problems_.empty())
      whole_file("holds no key; make one with: pointsman keygen FILE");
    if (auth_.line == 0 && !auth_tried_ && !keys_.keys.empty())
      whole_file("has no line \"auth N\", which says which key to sign with");
    // A key that is there and wrong is no reason for a second complaint.
    if (auth_.line != 0 && !defined_.contains(keys_.sending))
      problem(auth_, "there is no key " + std::to_string(keys_.sending) + " in this file");
    if (problems_.empty()) return std::move(keys_);
    std::ranges::sort(problems_, {}, [](const Problem& p) { return std::pair(p.line, p.column); });
    return std::unexpected(std::move(problems_));
  }

 private:
  void auth(const std::vector<Word>& words) {
    if (auth_tried_)
      return problem(words[0].position,
                     "\"auth\" stands a second time; first in line " + std::to_string(auth_tried_line_));
    auth_tried_ = true;
    auth_tried_line_ = words[0].position.line;
    if (words.size() < 2)
      return problem(behind(words[0]), "expected the number of the key to sign with, 1 to 255");
    const auto number = key_number(words[1].text);
    if (!number) return problem(words[1].position, "expected the number of a key, 1 to 255");
    if (words.size() > 2) return problem(words[2].position, "expected nothing behind the number");
    auth_ = words[1].position;
    keys_.sending = *number;
  }

  void key(const std::vector<Word>& words) {
    const auto number = key_number(words[0].text);
    if (!number) return problem(words[0].position, "expected the number of a key, 1 to 255");
    const auto [known, is_new] = defined_.emplace(*number, words[0].position.line);
    if (!is_new)
      return problem(words[0].position, "key " + std::to_string(*number) + " is already in line " +
                                            std::to_string(known->second));
    if (words.size() < 2) return problem(behind(words[0]), "expected a method: sha256, sha1, md5 or crc");
    const auto* method = std::ranges::find(method_names, words[1].text);
    if (method == method_names.end()) return unknown_method(words[1]);
    const AuthKeys::Key key{*number, static_cast<AuthKeys::Method>(method - method_names.begin()), ""};
    if (key.method == AuthKeys::Method::crc) {
      if (words.size() > 2) return problem(words[2].position, "crc takes no secret");
      return keys_.keys.push_back(key);
    }
    if (words.size() < 3)
      return problem(behind(words[1]), "expected a secret behind " + std::string(*method));
    if (words.size() > 3)
      return problem(words[3].position, "expected nothing behind the secret, which has no blanks in it");
    secret(key, words[2]);
  }

  void secret(AuthKeys::Key key, const Word& word) {
    const auto printable = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; };
    if (word.text.size() > max_key_secret)
      return problem(word.position, "the secret is longer than " + std::to_string(max_key_secret) + " bytes");
    if (!std::ranges::all_of(word.text, printable))
      return problem(word.position, "the secret has a control character in it");
    key.secret = word.text;
    keys_.keys.push_back(std::move(key));
  }

  // Not quoted: who forgot the method wrote the secret here.
  void unknown_method(const Word& word) {
    const std::string_view similar = nearest(word.text, method_names);
    std::string message = "expected a method: sha256, sha1, md5 or crc";
    if (!similar.empty()) message.append(": did you mean \"").append(similar).append("\"?");
    problem(word.position, std::move(message));
  }

  static Position behind(const Word& word) {
    const auto code_points = std::ranges::count_if(
        word.text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; });
    return {word.position.line, word.position.column + static_cast<unsigned>(code_points)};
  }

  void whole_file(std::string message) { problem({}, std::move(message)); }
  void problem(Position at, std::string message) {
    if (problems_.size() < max_authkeys_problems)
      problems_.push_back({keys_.file, at.line, at.column, std::move(message)});
  }

  AuthKeys keys_;
  std::map<unsigned, unsigned> defined_;  // number to line, also of keys that were refused
  Position auth_;                         // of the number behind it
  bool auth_tried_ = false;
  unsigned auth_tried_line_ = 0;
  std::vector<Problem> problems_;
};

}  // namespace

const AuthKeys::Key* AuthKeys::find(unsigned number) const {
  const auto found = std::ranges::find(keys, number, &Key::number);
  return found == keys.end() ? nullptr : &*found;
}

const char* to_string(AuthKeys::Method method) {
  return method_names.at(static_cast<std::size_t>(method)).data();
}

std::expected<AuthKeys, std::vector<Problem>> parse_authkeys(std::string_view text, const std::string& file) {
  Parser parser(file);
  for_each_line(text, [&parser](std::string_view line, unsigned number) { parser.line(line, number); });
  return parser.finish();
}

std::expected<AuthKeys, std::vector<Problem>> load_authkeys(const std::string& path) {
  const auto text = read_private_file(path, max_authkeys_file);
  if (!text) return std::unexpected(std::vector<Problem>{{path, 0, 0, text.error()}});
  if (text->empty()) return std::unexpected(std::vector<Problem>{{path, 0, 0, "empty"}});
  return parse_authkeys(*text, path);
}

std::vector<std::string> authkeys_warnings(const AuthKeys& keys) {
  std::vector<std::string> warnings;
  const auto warn = [&](const AuthKeys::Key& key, const std::string& why) {
    warnings.push_back(keys.file + ": key " + std::to_string(key.number) + " (" + to_string(key.method) +
                       ") " + why);
  };
  for (const AuthKeys::Key& key : keys.keys) {
    switch (key.method) {
      case AuthKeys::Method::crc:
        warn(key, "authenticates nothing: whoever reaches a link can forge heartbeats and orders");
        continue;
      case AuthKeys::Method::sha1:
      case AuthKeys::Method::md5:
        warn(key, "is an old method; sha256 is what `pointsman keygen` writes");
        break;
      case AuthKeys::Method::sha256:
        break;
    }
    if (key.secret.size() < short_secret)
      warn(key, "has a secret so short that it can be guessed from recorded heartbeats");
  }
  return warnings;
}

std::string new_authkeys_text(std::string_view secret) {
  std::string text =
      "# Keys of Pointsman's heartbeats, the same file on every host: mode 0600, owned by the user that "
      "reads it.\n"
      "# `auth N` is the key to sign with; every key listed is accepted.\n"
      "auth 1\n";
  return with_new_key(text, 1, secret, false);
}

std::string with_new_key(std::string_view text, unsigned number, std::string_view secret, bool send) {
  std::string out;
  for_each_line(text, [&](std::string_view line, unsigned at) {
    const std::vector<Word> words = words_of(line, at);
    if (send && words.size() >= 2 && words[0].text == "auth") {
      const auto start = static_cast<std::size_t>(words[1].text.data() - line.data());
      out.append(line.substr(0, start)).append(std::to_string(number));
      line.remove_prefix(start + words[1].text.size());
    }
    out.append(line).append("\n");
  });
  return out + std::to_string(number) + " sha256 " + std::string(secret) + "\n";
}

// Above all others as long as there is room, so that numbers tell the age; else the lowest that is free.
std::optional<unsigned> next_key_number(const AuthKeys& keys) {
  unsigned highest = 0;
  for (const AuthKeys::Key& key : keys.keys) highest = std::max(highest, key.number);
  if (highest < max_key_number) return highest + 1;
  for (unsigned number = 1; number <= max_key_number; ++number) {
    if (keys.find(number) == nullptr) return number;
  }
  return std::nullopt;
}

}  // namespace pointsman::conf
