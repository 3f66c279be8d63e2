#include "proxy/pages/roff.h"

#include <algorithm>

namespace pointsman::proxy::pages {
namespace {

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// `bold`: whether a word between backticks began on an earlier line.
std::string escape(std::string_view line, bool& bold) {
  std::string out;
  for (const char c : line) {
    if (out.empty() && (c == '.' || c == '\'')) out += "\\&";
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '~':
        out += "\\(ti";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '`':
        bold = !bold;
        out += bold ? "\\fB" : "\\fR";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string roff_quoted(std::string_view text) {
  std::string out = "\"";
  bool bold = false;
  for (const char c : escape(text, bold)) {
    if (c == '"') {
      out += "\\(dq";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

std::string escaped(std::string_view line) {
  bool bold = false;
  std::string out = escape(line, bold);
  return bold ? out + "\\fR" : out;
}

Roff::Roff(std::string_view title, int section, std::string_view version) {
  macro(".TH " + roff_quoted(title) + " " + std::to_string(section) + R"( "" )" +
        roff_quoted("Pointsman " + std::string(version)) + R"( "Pointsman")");
  // No hyphens where there are none, and no wide gaps: commands and keys are read and copied.
  macro(".nh");
  macro(".ad l");
}

void Roff::section(std::string_view name) {
  macro(".SH " + roff_quoted(name));
}

void Roff::subsection(std::string_view name) {
  macro(".SS " + roff_quoted(name));
}

void Roff::paragraphs(std::string_view text) {
  macro(".PP");
  lines(text);
}

void Roff::item(const std::vector<std::string>& words, std::string_view plain, std::string_view text) {
  const char* begin = ".TP";
  for (const std::string& word : words) {
    macro(begin);
    const bool last = &word == &words.back() && !plain.empty();
    macro("\\fB" + escaped(word) + "\\fR" + (last ? " " + escaped(plain) : ""));
    begin = ".TQ";
  }
  lines(text);
}

void Roff::more(std::string_view text) {
  macro(".IP");
  lines(text);
}

void Roff::line(std::string_view text) {
  macro(escaped(text));
}

void Roff::line_break() {
  macro(".br");
}

void Roff::example(std::string_view text) {
  macro(".RS 4");
  macro(".nf");
  while (!text.empty()) macro(escaped(take_line(text)));
  macro(".fi");
  macro(".RE");
}

void Roff::indent() {
  macro(".RS");
}

void Roff::outdent() {
  macro(".RE");
}

void Roff::macro(std::string_view line) {
  text_.append(line).append("\n");
}

void Roff::lines(std::string_view text) {
  bool bold = false;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    macro(line.empty() ? ".PP" : escape(line, bold));
  }
  if (bold) macro("\\fR");
}

}  // namespace pointsman::proxy::pages
