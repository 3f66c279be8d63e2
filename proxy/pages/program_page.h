#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/pages/program.h"

namespace pointsman::proxy::pages {

// What a page says that the command line does not know.
struct Row {
  std::string_view word;
  std::string_view text;
};
struct About {
  std::string_view summary;  // behind the name
  std::string_view text;     // paragraphs of the description
  std::vector<Row> exits, signals, files;
  std::string_view see_also;  // "pointsman.toml(5), systemctl(1)"
};

// The manual page of a program, section 8.
std::string program_page(const Program& program, const About& about);

About about_pointsman();
About about_agent();

}  // namespace pointsman::proxy::pages
