#include "tests/proxy/metrics_scrape.h"

#include <cstdlib>
#include <regex>
#include <sstream>

#include "tests/proxy/peers.h"
#include "tests/testbed/files.h"
#include "tests/testbed/process.h"

namespace pointsman::proxy {

namespace {

constexpr testbed::Millis check_timeout{60000};

std::string path_of_promtool() {
  if (const char* configured = std::getenv("POINTSMAN_PROMTOOL")) return configured;
  const auto cache = testbed::cache_directory();
  const auto unpacked = cache ? *cache / "prometheus/usr/bin/promtool" : std::filesystem::path();
  return std::filesystem::exists(unpacked) ? unpacked.string() : "promtool";
}

}  // namespace

std::optional<double> Scrape::value(std::string_view series_name) const {
  const auto found = series.find(series_name);
  return found == series.end() ? std::nullopt : std::optional(found->second);
}

double Scrape::sum(std::string_view prefix) const {
  double total = 0;
  for (auto at = series.lower_bound(prefix); at != series.end() && at->first.starts_with(prefix); ++at)
    total += at->second;
  return total;
}

Scrape parse_exposition(std::string text) {
  Scrape scrape{.status = 200, .body = std::move(text)};
  std::istringstream lines(scrape.body);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t blank = line.rfind(' ');
    if (line.starts_with('#') || blank == std::string::npos) continue;
    scrape.series[line.substr(0, blank)] = std::strtod(line.c_str() + blank, nullptr);
  }
  return scrape;
}

Scrape scrape(std::uint16_t port, std::string_view path) {
  auto peer = Peer::connect(*io::Address::numeric({"127.0.0.1", port}));
  if (!peer) return {};
  if (!peer->send_all("GET " + std::string(path) + " HTTP/1.0\r\nHost: localhost\r\n\r\n")) return {};
  const std::string answer = peer->read_to_end();
  const std::size_t head = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.") || head == std::string::npos) return {};
  Scrape got = parse_exposition(answer.substr(head + 4));
  got.status = std::atoi(answer.c_str() + 9);
  return got;
}

std::set<std::string> metric_names_in(std::string_view text) {
  static const std::regex name("\\b(pointsman|process)_[a-z0-9_]+");
  std::set<std::string> names;
  const std::string all(text);
  for (std::sregex_iterator at(all.begin(), all.end(), name), end; at != end; ++at) names.insert(at->str());
  return names;
}

std::string promtool(const std::string& arguments, const std::string& input) {
  const auto folder = testbed::TempDirectory::create("promtool");
  if (!folder) return folder.error();
  const auto file = folder->path() / "input";
  if (auto written = testbed::write_file(file, input); !written) return written.error();
  const auto done =
      testbed::run({.argv = {"/bin/sh", "-c", path_of_promtool() + " " + arguments + " <" + file.string()}},
                   check_timeout);
  if (!done) return done.error();
  if (done->code == 127) return "no promtool: `tests/install test` gets one; " + done->err;
  return done->code == 0 ? "" : "promtool " + arguments + ": " + done->out + done->err;
}

}  // namespace pointsman::proxy
