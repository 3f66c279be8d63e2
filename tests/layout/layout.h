#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

// Who may include whom: conf <- health <- proxy; bench and tests may include all three, and health/core is
// pure.
namespace pointsman::layout {

// Path from the root of the repository -> text.
using Tree = std::map<std::string, std::string>;

struct Complaint {
  std::string file;
  unsigned line = 0;
  std::string text;
};

// Every breach of the rules, in the order of files and lines.
std::vector<Complaint> check(const Tree& tree);

// The sources below `root`, without build folders and hidden ones.
Tree read_tree(const std::filesystem::path& root);

enum class Literals { keep, blank };
// `source` with comments, and on request what stands in string and character literals, turned to blanks;
// lines stay lines.
std::string without_comments(std::string_view source, Literals literals);

}  // namespace pointsman::layout
