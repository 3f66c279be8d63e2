#include "proxy/cli/terminal.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <vector>

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace pointsman::proxy::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

std::optional<std::size_t> columns_from_environment() {
  const std::string_view text = environment("COLUMNS");
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The first of these that is set and not empty decides (setlocale(3)).
bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value(environment(name));
    if (value.empty()) continue;
    std::ranges::transform(value, value.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

constexpr std::size_t narrowest = 40;  // below that no table makes sense; lines may break
constexpr std::size_t widest = 400;

// Alternate screen on, cursor off, automatic margins off (the terminal cuts long lines); and back.
constexpr std::string_view enter_sequence = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
constexpr std::string_view leave_sequence = "\x1b[?7h\x1b[?25h\x1b[?1049l";
// Synchronized update: terminals that know it show the picture whole.
constexpr std::string_view begin_update = "\x1b[?2026h\x1b[H";
constexpr std::string_view end_update = "\x1b[?2026l";

}  // namespace

bool is_terminal(int fd) {
  return ::isatty(fd) == 1;
}

Style style_of(int fd) {
  Style style;
  winsize size{};
  if (const auto wanted = columns_from_environment()) {
    style.width = *wanted;
  } else if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.width = size.ws_col;
  }
  style.width = std::clamp(style.width, narrowest, widest);
  style.color = is_terminal(fd) && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
  style.unicode = locale_is_utf8();
  return style;
}

std::size_t rows_of(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 1000;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EAGAIN) {  // somebody left the terminal non-blocking
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
      continue;
    }
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

Screen::Screen(int in, int out) : in_(in), out_(out) {
  enter();
}

Screen::~Screen() {
  leave();
}

void Screen::enter() {
  if (entered_) return;
  entered_ = true;
  termios now{};
  // Keys must not write into the picture, and `q` must come without a line end; Ctrl-C and Ctrl-Z stay
  // signals.
  if (::tcgetattr(in_, &now) == 0) {
    before_ = now;
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
    now.c_cc[VMIN] = 0;
    now.c_cc[VTIME] = 0;
    ::tcsetattr(in_, TCSANOW, &now);
  }
  write_all(out_, enter_sequence);
}

void Screen::leave() {
  if (!entered_) return;
  entered_ = false;
  write_all(out_, leave_sequence);
  if (before_) ::tcsetattr(in_, TCSANOW, &*before_);
}

void Screen::draw(std::string_view text, const Style& style) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  const std::size_t rows = rows_of(out_);
  std::string cut;
  if (lines.size() > rows) {
    cut = toned("... " + std::to_string(lines.size() - rows + 1) + " more lines; the window is too low",
                Tone::caution, style);
    lines.resize(rows);
    lines.back() = cut;
  }
  std::string out(begin_update);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\r\n";
    out += lines[i];
    out += "\x1b[K";
  }
  out += "\x1b[J";
  out += end_update;
  write_all(out_, out);
}

}  // namespace pointsman::proxy::cli
