#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/demo_scene.h"

namespace pointsman::bench {

struct PanelStyle {
  std::size_t width = 80;   // columns of the terminal
  std::size_t height = 50;  // its lines; with few the panel is drawn shorter
  bool colours = true;
  bool unicode = true;  // else ASCII alone
};

inline constexpr std::size_t min_panel_width = 50;
inline constexpr std::size_t max_panel_width = 100;  // wider lines are hard to take in

inline constexpr std::size_t min_panel_height = 24;
inline constexpr std::size_t full_panel_height = 38;

// The scene as lines for a terminal, none wider than `style.width`, and at most `style.height` - 1 of them.
// Pure.
std::vector<std::string> draw_panel(const Scene& scene, const PanelStyle& style);

}  // namespace pointsman::bench
