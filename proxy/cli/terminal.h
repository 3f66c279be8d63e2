#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <termios.h>

#include "proxy/cli/text.h"

namespace pointsman::proxy::cli {

bool is_terminal(int fd);
// What `fd` can show: width from the terminal or COLUMNS, else 100; colours only on a terminal, and not with
// NO_COLOR or TERM=dumb; unicode where the locale is UTF-8.
Style style_of(int fd);
// Rows of the terminal; a generous number where there is none.
std::size_t rows_of(int fd);

// Takes the whole terminal for a picture that is redrawn in place, and gives it back as it was: on
// destruction, and on leave(), which a stop signal needs. One thread.
class Screen {
 public:
  Screen(int in, int out);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void enter();
  void leave();
  // Draws over what is there in one write, so nothing flickers; lines beyond the last row are left out, and
  // said to be.
  void draw(std::string_view text, const Style& style);

 private:
  const int in_;
  const int out_;
  bool entered_ = false;
  std::optional<termios> before_;
};

// Writes all of it; false when the reader is gone.
bool write_all(int fd, std::string_view text);

}  // namespace pointsman::proxy::cli
