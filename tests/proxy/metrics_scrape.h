#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

// What Prometheus does with our metrics: asks by HTTP, reads the text, checks it.
namespace pointsman::proxy {

struct Scrape {
  int status = 0;  // of HTTP; 0: no answer
  std::string body{};
  // "name{label=\"value\"}", as it stands in the text -> value.
  std::map<std::string, double, std::less<>> series{};

  std::optional<double> value(std::string_view series_name) const;
  // The sum of all series whose name begins so.
  double sum(std::string_view prefix) const;
};

// From 127.0.0.1.
Scrape scrape(std::uint16_t port, std::string_view path = "/metrics");
Scrape parse_exposition(std::string text);

// Every word of `text` that is the name of one of our metrics, or of one of the process'.
std::set<std::string> metric_names_in(std::string_view text);

// What `promtool ARGUMENTS < input` says against it; "": nothing. Without promtool, a sentence.
std::string promtool(const std::string& arguments, const std::string& input = "");

}  // namespace pointsman::proxy
