#include "bench/demo_view.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

#include "bench/table.h"

namespace pointsman::bench {

namespace {

constexpr const char* hide_cursor = "\x1b[?25l";
constexpr const char* show_cursor = "\x1b[?25h";
// A terminal that knows it shows all between the two at once, others ignore it.
constexpr const char* begin_update = "\x1b[?2026h";
constexpr const char* end_update = "\x1b[?2026l";
constexpr std::size_t samples_per_line = 10;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool speaks_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = environment(name);
    if (value.empty()) continue;
    return value.contains("UTF-8") || value.contains("utf8") || value.contains("UTF8");
  }
  return false;
}

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n <= 0) return;  // nobody reads any more
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

struct Size {
  std::size_t columns = 0;
  std::size_t rows = 0;
};

Size terminal_size() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {};
  return {size.ws_col, size.ws_row};
}

class PlainView : public View {
 public:
  void show(const Scene& scene) override {
    if (scene.staying) return;  // the story is over; whoever reads this later wants no line a second
    if (scene.samples.size() < printed_ + samples_per_line) return;
    std::string line = "   commits per 100 ms:";
    for (std::size_t i = 0; i < samples_per_line; ++i) {
      std::array<char, 16> number{};
      std::snprintf(number.data(), number.size(), " %4u", scene.samples[printed_ + i]);
      line += number.data();
    }
    printed_ += samples_per_line;
    say(scene.elapsed_s, line);
  }
  void say(double elapsed_s, const std::string& text) override {
    std::array<char, 32> time{};
    std::snprintf(time.data(), time.size(), "[%5.1f s] ", elapsed_s);
    write_all(time.data() + text + "\n");
  }
  void print(const std::string& text) override { write_all(text); }
  void close() override {}
  bool unicode() const override { return speaks_utf8(); }

 private:
  std::size_t printed_ = 0;
};

class PanelView : public View {
 public:
  PanelView() { write_all(hide_cursor); }
  ~PanelView() override { restore_terminal(); }

  void show(const Scene& scene) override {
    const Size size = terminal_size();
    std::string out = begin_update;
    if (size.columns != size_.columns || size.rows != size_.rows) {
      // What was drawn for another size has been wrapped or moved by the terminal.
      if (size_.columns != 0) out += "\x1b[2J\x1b[H";
      drawn_ = 0;
      size_ = size;
    }
    auto lines = draw_panel(
        scene, {.width = size.columns, .colours = environment("NO_COLOR").empty(), .unicode = unicode()});
    if (drawn_ > 0) out += "\x1b[" + std::to_string(drawn_) + "A\r";
    for (const std::string& line : lines) out += line + "\x1b[K\n";
    out += "\x1b[J";
    out += end_update;
    drawn_ = lines.size();
    write_all(out);
  }
  void say(double, const std::string&) override {}
  void print(const std::string& text) override {
    std::string out;
    if (drawn_ > 0) out = "\x1b[" + std::to_string(drawn_) + "A\r\x1b[J";
    drawn_ = 0;
    write_all(out + text);
  }
  void close() override { restore_terminal(); }
  bool unicode() const override { return speaks_utf8(); }

 private:
  Size size_;
  std::size_t drawn_ = 0;
};

}  // namespace

void restore_terminal() {
  if (::isatty(STDOUT_FILENO) != 0 && environment("TERM") != "dumb") write_all(show_cursor);
}

std::unique_ptr<View> make_view(const ViewOptions& options) {
  const std::string terminal = environment("TERM");
  const Size size = terminal_size();
  const bool panel = !options.plain && ::isatty(STDOUT_FILENO) != 0 && !terminal.empty() &&
                     terminal != "dumb" && size.columns >= min_panel_width && size.rows >= min_panel_height;
  if (panel) return std::make_unique<PanelView>();
  return std::make_unique<PlainView>();
}

}  // namespace pointsman::bench
