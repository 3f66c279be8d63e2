// pointsman-pages CONF DIR: writes the manual pages and the completions into DIR, when the program is built.
// CONF is the folder of the sample configurations.
#include <cstdio>
#include <expected>
#include <fstream>
#include <iterator>
#include <string>

#include "proxy/pages/completion.h"
#include "proxy/pages/config_page.h"
#include "proxy/pages/program_page.h"

namespace {

using namespace pointsman;
using namespace pointsman::proxy::pages;
using Written = std::expected<void, std::string>;

Written write(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return std::unexpected("cannot write " + path);
  return {};
}

Written write_config_page(const ConfigAbout& about, const std::vector<conf::KeyInfo>& keys,
                          const std::string& conf, const std::string& directory) {
  const std::string path = conf + "/" + std::string(about.title);
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file || text.empty()) return std::unexpected("cannot read " + path);
  const auto page = config_page(about, keys, read_sample(text));
  if (!page) return std::unexpected(path + ": " + page.error());
  return write(directory + "/" + std::string(about.title) + ".5", *page);
}

Written write_program(const Program& program, const About& about, const std::string& config,
                      const std::string& directory) {
  auto done = write(directory + "/" + program.name + ".8", program_page(program, about));
  return done ? write(directory + "/" + program.name + ".bash", bash_completion(program, config)) : done;
}

Written write_all(const std::string& conf, const std::string& directory) {
  if (auto done =
          write_program(pointsman_program(), about_pointsman(), "/etc/pointsman/pointsman.toml", directory);
      !done)
    return done;
  if (auto done = write_program(agent_program(), about_agent(), "/etc/pointsman/agent.toml", directory);
      !done)
    return done;
  if (auto done = write_config_page(about_pointsman_toml(), conf::schema(), conf, directory); !done)
    return done;
  return write_config_page(about_agent_toml(), conf::agent_schema(), conf, directory);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: pointsman-pages CONF DIR\n");
    return 2;
  }
  if (const auto done = write_all(argv[1], argv[2]); !done) {
    std::fprintf(stderr, "pointsman-pages: %s\n", done.error().c_str());
    return 1;
  }
  return 0;
}
