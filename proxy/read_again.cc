#include "proxy/read_again.h"

#include <algorithm>
#include <utility>

#include "conf/loader.h"

namespace pointsman::proxy {

namespace {

std::string list(const std::vector<conf::Problem>& problems) {
  std::string all;
  for (const auto& problem : problems) all += (all.empty() ? "" : "\n") + conf::to_string(problem);
  return all;
}

}  // namespace

std::unexpected<std::string> unchanged(const std::string& why) {
  return std::unexpected("the configuration was not changed: " + why);
}

std::expected<ReadAgain, std::string> ReadAgain::of(const conf::Config& running) {
  auto read = conf::load(running.file);
  if (!read) return unchanged(list(read.error()));
  ReadAgain again{.config = std::move(*read), .differences = {}, .text = {}};
  again.differences = conf::differences(running, again.config);
  for (const auto& difference : again.differences)
    again.text += (again.text.empty() ? "" : "; ") + conf::to_string(difference);
  if (again.text.empty()) again.text = "nothing has changed";
  return again;
}

bool ReadAgain::takes(conf::Change change) const {
  return std::ranges::find(differences, change, &conf::Difference::change) != differences.end();
}

std::expected<conf::Config, std::string> ReadAgain::applied_to(const conf::Config& running) const {
  auto next = conf::reloaded(running, config);
  if (!next) return unchanged(list(next.error()));
  return std::move(*next);
}

}  // namespace pointsman::proxy
