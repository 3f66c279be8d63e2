#pragma once

#include <memory>
#include <string>

#include "bench/demo_panel.h"
#include "bench/demo_scene.h"

namespace pointsman::bench {

// Where the demo is shown. Called by one thread at a time.
class View {
 public:
  virtual ~View() = default;

  virtual void show(const Scene& scene) = 0;                        // ten times a second
  virtual void say(double elapsed_s, const std::string& text) = 0;  // something happened
  virtual void print(const std::string& text) = 0;                  // lines that stay, above what is shown
  virtual void close() = 0;  // the last thing shown stays; what is printed next goes below it
  virtual bool unicode() const = 0;
};

struct ViewOptions {
  bool plain = false;  // lines even on a terminal
};

// A redrawn panel when standard output is a terminal that is large enough and can move its cursor, else
// lines.
std::unique_ptr<View> make_view(const ViewOptions& options);

// Makes the cursor visible again; safe at any time, also beside a running view.
void restore_terminal();

}  // namespace pointsman::bench
