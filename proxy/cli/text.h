#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// Text for a person: toned, aligned, wrapped. Pure: the same input and style give the same bytes.
namespace pointsman::proxy::cli {

// What the place that the text goes to can show.
struct Style {
  std::size_t width = 100;  // columns
  bool color = false;
  bool unicode = true;
};

enum class Tone { plain, strong, faint, good, caution, bad, alarm };

// What came from outside, made harmless to a terminal: no control characters, one line.
std::string printable(std::string_view text);

// Columns that UTF-8 text takes; every code point counts one.
std::size_t columns(std::string_view text);

std::string toned(std::string_view text, Tone tone, const Style& style);

// A line in pieces, each with its tone.
class Text {
 public:
  Text() = default;
  Text(std::string_view text, Tone tone = Tone::plain) { add(text, tone); }
  Text(const std::string& text, Tone tone = Tone::plain) { add(text, tone); }
  Text(const char* text, Tone tone = Tone::plain) { add(text, tone); }

  Text& add(std::string_view text, Tone tone);
  Text& add(const Text& other);
  Text unbroken() const;  // the same, never broken by wrap()
  bool empty() const { return pieces_.empty(); }
  std::size_t width() const;
  std::string render(const Style& style) const;
  // Broken at spaces so that no line is wider than style.width where that is possible; the first line begins
  // at column `first`, which the caller has written, the following with `indent` spaces. No line end after
  // the last.
  std::string wrap(const Style& style, std::size_t first, std::size_t indent) const;

 private:
  class Wrapper;
  struct Piece {
    std::string text;
    Tone tone;
  };
  std::vector<Piece> pieces_;  // neighbours differ in tone
};

// Parts with a separator between them: "a · b · c". Empty parts are left out, short ones are never broken.
class Chain {
 public:
  explicit Chain(const Style& style) : separator_(style.unicode ? " \u00b7 " : " | ") {}
  Chain& add(const Text& part);
  const Text& text() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string separator_;
  Text text_;
};

struct Column {
  enum class Align { left, right };

  std::string title;
  Align align = Align::left;
  int spare = 0;  // when the table is too wide, columns go in the order of this, highest first; 0: never
};

// Rows of aligned cells, each with lines of notes under it.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<Text> cells, std::vector<Text> notes = {});
  void drop_empty_columns();    // those in which no row says anything
  void fit(std::size_t width);  // drops spare columns
  std::size_t width() const;    // of heading and rows, without notes
  std::string render(const Style& style) const;

 private:
  struct Row {
    std::vector<Text> cells;
    std::vector<Text> notes;
  };

  std::size_t width_of(std::size_t column) const;
  void drop(std::size_t column);

  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

std::string human_ms(double ms);        // "0.4 ms", "37 ms", "1.3 s", "3 min 12 s", "4 d 3 h"
std::string exact_ms(double ms);        // "37.4 ms", for durations that are measured
std::string human_bytes(double bytes);  // "340 B", "1.2 MiB"

// A bar of at most `length` columns for part / whole; at least a sliver when part > 0.
std::string bar(double part, double whole, std::size_t length, const Style& style);

}  // namespace pointsman::proxy::cli
