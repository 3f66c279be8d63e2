#include "bench/demo_panel.h"

#include <algorithm>
#include <array>

#include "bench/chart.h"
#include "bench/table.h"

namespace pointsman::bench {

namespace {

constexpr std::size_t note_indent = 5;

struct Signs {
  const char *top_left, *top_right, *bottom_left, *bottom_right, *line, *side;
  const char *to_right, *to_left, *filled, *hollow, *cross, *tick, *now, *mark;
};
constexpr Signs unicode_signs{"╭", "╮", "╰", "╯", "─", "│", "──▶", "◀──", "●", "○", "✖", "✔", "▸", "▲"};
constexpr Signs ascii_signs{"+", "+", "+", "+", "-", "|", "-->", "<--", "*", "o", "x", "v", ">", "^"};

namespace colour {
constexpr const char* bold = "1";
constexpr const char* dim = "2";
constexpr const char* red = "31";
constexpr const char* green = "32";
constexpr const char* yellow = "33";
constexpr const char* magenta = "35";
constexpr const char* cyan = "36";
}  // namespace colour

// Everything that turns the scene into lines for one style.
class Painter {
 public:
  Painter(const Scene& scene, const PanelStyle& style)
      : scene_(scene),
        style_(style),
        signs_(style.unicode ? unicode_signs : ascii_signs),
        width_(std::clamp(style.width, min_panel_width, max_panel_width) - 2),
        compact_(style.height < full_panel_height) {}

  std::vector<std::string> paint() {
    header();
    servers();
    chart();
    chapters();
    footer();
    // Wider than the terminal only when that is narrower than we can draw.
    for (std::string& line : lines_) line = cut(line, style_.width);
    // A line that scrolled out of the terminal could not be drawn again.
    if (lines_.size() >= style_.height) lines_.resize(style_.height - 1);
    return std::move(lines_);
  }

 private:
  std::string in(const char* code, const std::string& text) const {
    return style_.colours && !text.empty() ? std::string("\x1b[") + code + "m" + text + "\x1b[0m" : text;
  }
  void add(const std::string& line) { lines_.push_back(" " + cut(line, width_)); }
  void blank() { lines_.emplace_back(); }
  std::string between(const std::string& left, const std::string& right) const {
    const std::size_t used = width_of(left) + width_of(right);
    return left + std::string(used < width_ ? width_ - used : 1, ' ') + right;
  }
  std::string repeat(const char* sign, std::size_t times) const {
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += sign;
    return text;
  }

  void header() {
    if (!compact_) blank();
    const std::string seconds = format_number(scene_.elapsed_s, 1) + " s";
    add(between(in(colour::bold, "Pointsman") + "  one address that follows the primary",
                in(colour::dim, seconds)));
    const char* paint = scene_.state == "steady" ? colour::green : colour::yellow;
    const std::string primary = scene_.primary.empty() ? "nobody" : scene_.primary;
    add(between(std::string("application ") + signs_.to_right + " " + in(colour::bold, scene_.address) + " " +
                    signs_.to_right + " " + in(paint, primary),
                in(paint, scene_.state)));
    blank();
  }

  const char* paint_of(const ServerSight& server) const {
    if (server.pid == 0 || server.verdict == "crashed" || server.verdict == "dead") return colour::red;
    if (server.role == "quarantined") return colour::magenta;
    if (server.role == "primary" && server.verdict == "up") return colour::green;
    if (server.role == "replica" && server.verdict == "up") return colour::cyan;
    return colour::yellow;
  }

  // Four lines; `inner`: columns between the borders.
  std::array<std::string, 4> box(const ServerSight& server, std::size_t inner) const {
    const char* paint = paint_of(server);
    const bool down = server.pid == 0;
    const char* sign = down ? signs_.cross : server.role == "primary" ? signs_.filled : signs_.hollow;
    const std::string title = " " + server.name + " ";
    const std::string address = " " + server.address + " ";
    const std::size_t rest = inner - std::min(inner, width_of(title) + width_of(address) + 2);
    const std::string role = server.role.empty() ? "unknown" : server.role;
    const std::string what = std::string(sign) + " " + role + "   " + server.verdict;
    const std::string pid = down ? "not running" : "pid " + std::to_string(server.pid);
    const auto row = [&](const std::string& text) {
      return in(paint, signs_.side) + pad(cut(text, inner), inner) + in(paint, signs_.side);
    };
    const std::size_t used = width_of(what) + width_of(pid) + 2;
    return {
        in(paint, std::string(signs_.top_left) + signs_.line) + in(colour::bold, title) +
            in(paint, repeat(signs_.line, rest)) + in(colour::dim, address) +
            in(paint, std::string(signs_.line) + signs_.top_right),
        row(" " + in(paint, what) + std::string(used < inner ? inner - used : 1, ' ') + in(colour::dim, pid)),
        row(" " + server.detail), bottom(server, paint, inner)};
  }

  const char* paint_of(const LinkSight& link) const {
    return link.state == "alive" ? colour::green : link.state == "late" ? colour::yellow : colour::red;
  }

  // The links of its heartbeats, in the lower border.
  std::string bottom(const ServerSight& server, const char* paint, std::size_t inner) const {
    std::string text;
    for (const LinkSight& link : server.links) {
      const std::string label = " " + link.name + " " +
                                (link.state == "dead" ? signs_.cross : signs_.filled) + " " + link.state +
                                " ";
      if (width_of(text) + width_of(label) + 1 > inner) break;
      text += in(paint, signs_.line) + in(paint_of(link), label);
    }
    return in(paint, signs_.bottom_left) + text +
           in(paint, repeat(signs_.line, inner - width_of(text)) + signs_.bottom_right);
  }

  void servers() {
    if (scene_.servers.size() != 2) return;
    const std::size_t inner = (width_ - 5 - 4) / 2;
    const auto left = box(scene_.servers[0], inner);
    const auto right = box(scene_.servers[1], inner);
    for (std::size_t i = 0; i < left.size(); ++i) {
      std::string joint(5, ' ');
      if (i == 1) joint = replication_sign();
      add(left[i] + joint + right[i]);
    }
    blank();
  }

  // Which way rows flow: from the primary to a replica that is up.
  std::string replication_sign() const {
    const auto flows = [](const ServerSight& from, const ServerSight& to) {
      return from.role == "primary" && to.role == "replica" && from.pid != 0 && to.pid != 0;
    };
    const std::string sign = flows(scene_.servers[0], scene_.servers[1])   ? signs_.to_right
                             : flows(scene_.servers[1], scene_.servers[0]) ? signs_.to_left
                                                                           : "   ";
    return " " + in(colour::cyan, sign) + " ";
  }

  void chart() {
    const auto& samples = scene_.samples;
    double rate = 0;
    const std::size_t recent = std::min<std::size_t>(samples.size(), 10);
    for (std::size_t i = samples.size() - recent; i < samples.size(); ++i) rate += samples[i];
    if (recent > 0) rate *= 10.0 / static_cast<double>(recent);
    add(between("commits per 100 ms", in(colour::bold, format_number(rate)) + " a second, " +
                                          format_number(static_cast<double>(scene_.commits)) + " so far"));
    const auto drawn = bars(samples, width_, compact_ ? 2 : 3, 0, style_.unicode);
    for (const std::string& line : drawn) add(in(colour::green, line));
    add(in(colour::yellow, mark_line()));
    if (!compact_) blank();
  }

  std::string mark_line() const {
    const std::size_t first = scene_.samples.size() > width_ ? scene_.samples.size() - width_ : 0;
    std::string line;
    std::size_t at = 0;
    for (const Mark& mark : scene_.marks) {
      if (mark.sample < first || mark.sample - first < at) continue;
      const std::size_t column = mark.sample - first;
      std::string text = std::string(signs_.mark) + " " + mark.label;
      if (column + width_of(text) > width_) {  // to the left of its column
        text = mark.label + " " + signs_.mark;
        if (column + 1 < at + width_of(text)) continue;
        line += std::string(column + 1 - width_of(text) - at, ' ') + text;
        at = column + 1;
      } else {
        line += std::string(column - at, ' ') + text;
        at = column + width_of(text);
      }
    }
    return line;
  }

  void chapters() {
    const Chapter* latest = nullptr;  // the only one whose notes are shown where there is little room
    for (const Chapter& chapter : scene_.chapters) {
      if (!chapter.notes.empty()) latest = &chapter;
    }
    for (std::size_t i = 0; i < scene_.chapters.size(); ++i) {
      const Chapter& chapter = scene_.chapters[i];
      const std::string head = std::to_string(i + 1) + "  " + chapter.title;
      switch (chapter.state) {
        case Chapter::State::ahead:
          add("  " + in(colour::dim, head));
          break;
        case Chapter::State::running:
          add(in(colour::yellow, signs_.now) + " " + in(colour::bold, head));
          break;
        case Chapter::State::done:
          add(in(colour::green, signs_.tick) + " " + head + ": " + in(colour::bold, chapter.result));
          break;
        case Chapter::State::failed:
          add(in(colour::red, signs_.cross) + " " + head + ": " + in(colour::red, chapter.result));
          break;
      }
      if (compact_ && &chapter != latest) continue;
      for (const std::string& note : chapter.notes) {
        for (const std::string& line : wrap(note, width_ - note_indent)) {
          add(std::string(note_indent, ' ') + in(colour::dim, line));
        }
      }
    }
  }

  void footer() {
    if (!scene_.now.empty()) {
      if (!compact_) blank();
      add(in(colour::yellow, signs_.now) + " " + scene_.now);
    }
    if (scene_.staying) {
      blank();
      add(in(colour::dim, "Ctrl-C stops and removes everything"));
    }
  }

  const Scene& scene_;
  const PanelStyle& style_;
  const Signs& signs_;
  const std::size_t width_;
  const bool compact_;
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> draw_panel(const Scene& scene, const PanelStyle& style) {
  return Painter(scene, style).paint();
}

}  // namespace pointsman::bench
