#include "bench/tool_output.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>
#include <vector>

namespace pointsman::bench {

namespace {

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

}  // namespace

std::expected<CallCounts, std::string> parse_strace_counts(std::string_view table) {
  CallCounts counts;
  bool header = false;
  std::istringstream lines{std::string(table)};
  for (std::string line; std::getline(lines, line);) {
    const auto words = words_of(line);
    if (words.empty() || words[0].starts_with("---")) continue;
    if (words[0] == "%") {
      header = true;
      continue;
    }
    // % time, seconds, usecs/call, calls, errors (may be absent), name
    const bool row = header && (words.size() == 5 || words.size() == 6);
    const auto calls = row ? number(words[3]) : std::nullopt;
    if (!calls) return std::unexpected("cannot read what strace counted: " + line);
    if (words.back() != "total") counts[words.back()] += *calls;
  }
  return counts;
}

CallCounts per_query(const CallCounts& shorter, const CallCounts& longer, double more_queries) {
  CallCounts each;
  for (const auto& [name, count] : longer) {
    const auto before = shorter.find(name);
    each[name] = (count - (before == shorter.end() ? 0 : before->second)) / more_queries;
  }
  return each;
}

double total(const CallCounts& counts) {
  double sum = 0;
  for (const auto& [name, count] : counts) sum += count;
  return sum;
}

std::expected<double, std::string> parse_callgrind_total(std::string_view profile) {
  constexpr std::string_view label = "\nsummary: ";
  const std::size_t at = profile.find(label);
  if (at != std::string_view::npos) {
    const std::size_t begin = at + label.size();
    const std::size_t end = std::min(profile.find('\n', begin), profile.size());
    if (const auto value = number(std::string(profile.substr(begin, end - begin)))) return *value;
  }
  return std::unexpected("no total in what callgrind wrote");
}

}  // namespace pointsman::bench
