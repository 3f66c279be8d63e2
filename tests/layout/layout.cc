#include "tests/layout/layout.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

namespace pointsman::layout {

namespace fs = std::filesystem;

namespace {

const std::set<std::string, std::less<>> source_extensions{".c",  ".cc",  ".cpp", ".cxx", ".h",
                                                           ".hh", ".hpp", ".inc", ".ipp"};
const std::set<std::string, std::less<>> folders{"conf", "health", "proxy", "bench", "tests"};

// Folder -> folders of ours that it may include.
const std::map<std::string, std::set<std::string, std::less<>>, std::less<>> allowed{
    {"conf", {"conf"}},
    {"health", {"conf", "health"}},
    {"proxy", {"conf", "health", "proxy"}},
    {"bench", folders},
    {"tests", folders},
};

// The standard library without what reads a clock, waits, starts a thread or touches a file. A header that is
// missing here may be added when it is of that kind.
const std::set<std::string, std::less<>> pure_headers{"algorithm",
                                                      "any",
                                                      "array",
                                                      "bit",
                                                      "bitset",
                                                      "cassert",
                                                      "cctype",
                                                      "cerrno",
                                                      "cfloat",
                                                      "charconv",
                                                      "chrono",
                                                      "cinttypes",
                                                      "climits",
                                                      "cmath",
                                                      "compare",
                                                      "complex",
                                                      "concepts",
                                                      "cstddef",
                                                      "cstdint",
                                                      "cstdlib",
                                                      "cstring",
                                                      "deque",
                                                      "exception",
                                                      "expected",
                                                      "forward_list",
                                                      "functional",
                                                      "initializer_list",
                                                      "iomanip",
                                                      "ios",
                                                      "iosfwd",
                                                      "istream",
                                                      "iterator",
                                                      "limits",
                                                      "list",
                                                      "map",
                                                      "memory",
                                                      "memory_resource",
                                                      "new",
                                                      "numbers",
                                                      "numeric",
                                                      "optional",
                                                      "ostream",
                                                      "queue",
                                                      "random",
                                                      "ranges",
                                                      "ratio",
                                                      "scoped_allocator",
                                                      "set",
                                                      "source_location",
                                                      "span",
                                                      "sstream",
                                                      "stack",
                                                      "stdexcept",
                                                      "streambuf",
                                                      "string",
                                                      "string_view",
                                                      "system_error",
                                                      "tuple",
                                                      "type_traits",
                                                      "typeindex",
                                                      "typeinfo",
                                                      "unordered_map",
                                                      "unordered_set",
                                                      "utility",
                                                      "valarray",
                                                      "variant",
                                                      "vector",
                                                      "version"};

// What a pure file may not say even though its header is allowed, and why.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> impure_words{{
    {"::now(", "reads a clock; take `now` as a parameter"},
    {"random_device", "is not repeatable; take the random source as a parameter"},
    {"std::rand(", "is not repeatable; take the random source as a parameter"},
    {"std::time(", "reads a clock; take `now` as a parameter"},
    {"getenv(", "reads the environment; take the value as a parameter"},
    {"system(", "starts a program"},
}};

std::string first_folder(std::string_view path) {
  return std::string(path.substr(0, path.find('/')));
}

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

struct Include {
  std::string name;
  bool quoted = false;
};

// nullopt: the line is no #include. An empty name: an #include of a macro.
std::optional<Include> parse_include(std::string_view line) {
  line = trim(line);
  if (!line.starts_with('#')) return std::nullopt;
  line = trim(line.substr(1));
  if (!line.starts_with("include")) return std::nullopt;
  line = trim(line.substr(7));
  if (line.empty() || (line.front() != '"' && line.front() != '<')) return Include{};
  const std::size_t end = line.find(line.front() == '"' ? '"' : '>', 1);
  if (end == std::string_view::npos) return Include{};
  return Include{std::string(line.substr(1, end - 1)), line.front() == '"'};
}

std::string check_include(const std::string& file, const Include& include) {
  const std::string folder = first_folder(file);
  if (include.name.empty()) return "an #include of a macro cannot be checked";
  if (include.name.contains("..") || include.name.starts_with('/')) {
    return "\"" + include.name + "\": paths start at the root of the repository";
  }
  const std::string target = first_folder(include.name);
  const bool ours = include.name.contains('/') && folders.contains(target);
  if (include.quoted && !ours) return "\"" + include.name + "\": paths start at the root of the repository";
  if (ours && !allowed.at(folder).contains(target)) return folder + " may not include " + include.name;
  if (!file.starts_with("health/core/")) return "";
  if (ours) {
    const bool pure = target == "conf" || include.name.starts_with("health/core/");
    return pure ? "" : "health/core may not include " + include.name;
  }
  return pure_headers.contains(include.name) ? "" : "health/core may not include <" + include.name + ">";
}

void check_file(const std::string& file, const std::string& source, std::vector<Complaint>& complaints) {
  const bool pure = file.starts_with("health/core/");
  std::istringstream lines(without_comments(source, Literals::keep));
  std::istringstream code_lines(without_comments(source, Literals::blank));
  std::string line;
  std::string code;
  for (unsigned number = 1; std::getline(code_lines, code) && std::getline(lines, line); ++number) {
    if (const auto include = parse_include(line)) {
      if (std::string text = check_include(file, *include); !text.empty()) {
        complaints.push_back({file, number, std::move(text)});
      }
      continue;
    }
    if (!pure) continue;
    for (const auto& [word, why] : impure_words) {
      if (code.contains(word))
        complaints.push_back({file, number, std::string(word) + " " + std::string(why)});
    }
  }
}

}  // namespace

std::string without_comments(std::string_view source, Literals literals) {
  enum class In { code, line_comment, block_comment, string, character };
  std::string out(source);
  In in = In::code;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const char c = source[i];
    const char next = i + 1 < source.size() ? source[i + 1] : '\0';
    const auto blank = [&out](std::size_t at) {
      if (out[at] != '\n') out[at] = ' ';
    };
    switch (in) {
      case In::code:
        if (c == '/' && (next == '/' || next == '*')) {
          in = next == '/' ? In::line_comment : In::block_comment;
          blank(i);
          blank(++i);
        } else if (c == '"') {
          in = In::string;
        } else if (c == '\'' && (i == 0 || std::isalnum(static_cast<unsigned char>(source[i - 1])) == 0)) {
          in = In::character;  // and not the separator of 1'000
        }
        break;
      case In::line_comment:
        if (c == '\n') in = In::code;
        blank(i);
        break;
      case In::block_comment:
        blank(i);
        if (c == '*' && next == '/') {
          blank(++i);
          in = In::code;
        }
        break;
      case In::string:
      case In::character:
        // A line's end ends a literal that this does not understand (a raw one, say): at worst one line is
        // misread.
        if (c == (in == In::string ? '"' : '\'') || c == '\n') {
          in = In::code;
        } else {
          const bool escape = c == '\\' && next != '\n' && i + 1 < source.size();
          if (literals == Literals::blank) {
            blank(i);
            if (escape) blank(i + 1);
          }
          if (escape) ++i;
        }
        break;
    }
  }
  return out;
}

std::vector<Complaint> check(const Tree& tree) {
  std::vector<Complaint> complaints;
  for (const auto& [file, source] : tree) {
    const std::string folder = first_folder(file);
    if (!file.contains('/') || !folders.contains(folder)) {
      complaints.push_back({file, 0, "sources live in conf, health, proxy, bench and tests only"});
      continue;
    }
    check_file(file, source, complaints);
  }
  return complaints;
}

Tree read_tree(const fs::path& root) {
  Tree tree;
  for (auto entry = fs::recursive_directory_iterator(root); entry != fs::recursive_directory_iterator();
       ++entry) {
    const std::string name = entry->path().filename().string();
    if (entry->is_directory() &&
        (name.starts_with('.') || (entry.depth() == 0 && name.starts_with("build")))) {
      entry.disable_recursion_pending();
      continue;
    }
    if (!entry->is_regular_file() || !source_extensions.contains(entry->path().extension().string()))
      continue;
    std::ifstream file(entry->path(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    tree.emplace(fs::relative(entry->path(), root).generic_string(), text.str());
  }
  return tree;
}

}  // namespace pointsman::layout
