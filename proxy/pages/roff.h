#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pointsman::proxy::pages {

// Writes a manual page in the man macros, man(7). All text is plain and is escaped here; what stands between
// backticks becomes bold.
class Roff {
 public:
  Roff(std::string_view title, int section, std::string_view version);

  void section(std::string_view name);     // .SH
  void subsection(std::string_view name);  // .SS
  void paragraphs(std::string_view text);  // separated by empty lines
  // A word and what it means, or several words that share one meaning. `plain` follows the last one.
  void item(const std::vector<std::string>& words, std::string_view plain, std::string_view text);
  void more(std::string_view text);  // a further paragraph of an item
  void line(std::string_view text);  // goes on where the text is
  void line_break();
  void example(std::string_view text);  // as it is
  void indent();                        // what follows stands further in, until outdent()
  void outdent();

  const std::string& text() const { return text_; }

 private:
  void macro(std::string_view line);
  void lines(std::string_view text);

  std::string text_;
};

// One line as roff takes it: "-" is a minus that can be searched and copied, no dot begins a macro.
std::string escaped(std::string_view line);

}  // namespace pointsman::proxy::pages
