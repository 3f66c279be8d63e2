#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/demo_scene.h"

namespace pointsman::bench {

struct PanelStyle {
  std::size_t width = 80;  // columns of the terminal
  bool colours = true;
  bool unicode = true;  // else ASCII alone
};

inline constexpr std::size_t min_panel_width = 50;
inline constexpr std::size_t max_panel_width = 100;  // wider lines are hard to take in

// The scene as lines for a terminal, none wider than `style.width`. Pure.
std::vector<std::string> draw_panel(const Scene& scene, const PanelStyle& style);

}  // namespace pointsman::bench
