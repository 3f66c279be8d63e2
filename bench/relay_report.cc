#include <algorithm>
#include <utility>

#include "bench/relay.h"
#include "bench/statistics.h"
#include "bench/table.h"

namespace pointsman::bench {

namespace {

std::string median_of(const std::vector<double>& values, int digits) {
  const auto summary = summarise(values);
  return summary ? format_number(summary->median, digits) : "-";
}

nlohmann::json summary_of(const std::vector<double>& values) {
  const auto summary = summarise(values);
  return summary ? to_json(*summary) : nlohmann::json();
}

std::vector<std::string> row_of(const RelaySeries& series, Path path) {
  std::vector<double> p95;
  for (const RelaySample& sample : series.of(path)) p95.push_back(sample.figures.latency_p95_ms);
  const auto rates = summarise(series.rates(path));
  const bool proxy = path != Path::direct;
  return {to_string(path),
          rates ? format_number(rates->median) : "-",
          rates ? format_number(rates->min) : "-",
          rates ? format_number(rates->max) : "-",
          median_of(p95, 2),
          proxy ? median_of(series.ratios(path, Path::direct), 3) : "",
          proxy ? median_of(series.cpu_ms_per_1000(path), 2) : ""};
}

}  // namespace

std::vector<double> RelaySeries::rates(Path path) const {
  std::vector<double> rates;
  for (const RelaySample& sample : of(path)) rates.push_back(sample.figures.queries_per_second);
  return rates;
}

std::vector<double> RelaySeries::ratios(Path path, Path to) const {
  const auto one = rates(path);
  const auto other = rates(to);
  std::vector<double> ratios;
  for (std::size_t round = 0; round < std::min(one.size(), other.size()); ++round) {
    if (other[round] > 0) ratios.push_back(one[round] / other[round]);
  }
  return ratios;
}

std::vector<double> RelaySeries::cpu_ms_per_1000(Path path) const {
  std::vector<double> costs;
  for (const RelaySample& sample : of(path)) {
    if (sample.figures.queries > 0) costs.push_back(sample.cpu_s * 1000 / (sample.figures.queries / 1000));
  }
  return costs;
}

std::string RelayBench::text() const {
  std::string text;
  for (const RelaySeries& series : series_) {
    text += "threads " + std::to_string(series.threads) + ", " + std::to_string(series.clients) +
            " clients, " + std::to_string(series.of(Path::direct).size()) + " rounds of " +
            std::to_string(options_.time.count()) + " s\n";
    Table table({"", "queries/s", "min", "max", "p95 ms", "of direct", "CPU ms/1000"});
    for (const Path path : relay_paths) table.add(row_of(series, path));
    text += table.text();
    const auto ratio = summarise(series.ratios(Path::pointsman, Path::haproxy));
    if (ratio) {
      text += "  pointsman/haproxy: median of the rounds' ratios " + format_number(ratio->median, 3) + " (" +
              format_number(ratio->min, 3) + " to " + format_number(ratio->max, 3) + ")\n";
    }
    text += "\n";
  }
  Table table({"memory, KiB", "threads", "at start",
               "with " + std::to_string(options_.idle_connections) + " idle", "each"});
  for (const RelayMemory& memory : memory_) {
    const double each = (static_cast<double>(memory.idle_kib) - static_cast<double>(memory.fresh_kib)) /
                        static_cast<double>(options_.idle_connections);
    table.add({to_string(memory.path), std::to_string(memory.threads),
               format_number(static_cast<double>(memory.fresh_kib)),
               format_number(static_cast<double>(memory.idle_kib)), format_number(each, 1)});
  }
  text += table.text() + "\n" + haproxy_version_ + "\n" + haproxy_configuration_;
  return text;
}

nlohmann::json RelayBench::json() const {
  nlohmann::json all = nlohmann::json::array();
  for (const RelaySeries& series : series_) {
    nlohmann::json one = {{"threads", series.threads}, {"clients", series.clients}};
    for (const Path path : relay_paths) {
      nlohmann::json rounds = nlohmann::json::array();
      for (const RelaySample& sample : series.of(path)) {
        rounds.push_back({{"queries", sample.figures.queries},
                          {"queries_per_second", sample.figures.queries_per_second},
                          {"latency_avg_ms", sample.figures.latency_avg_ms},
                          {"latency_p95_ms", sample.figures.latency_p95_ms},
                          {"cpu_s", sample.cpu_s}});
      }
      one[to_string(path)] = {{"rounds", rounds},
                              {"queries_per_second", summary_of(series.rates(path))},
                              {"cpu_ms_per_1000", summary_of(series.cpu_ms_per_1000(path))}};
    }
    one["pointsman_to_haproxy"] = summary_of(series.ratios(Path::pointsman, Path::haproxy));
    all.push_back(std::move(one));
  }
  nlohmann::json memory = nlohmann::json::array();
  for (const RelayMemory& one : memory_) {
    memory.push_back({{"path", to_string(one.path)},
                      {"threads", one.threads},
                      {"fresh_kib", one.fresh_kib},
                      {"idle_kib", one.idle_kib},
                      {"idle_connections", options_.idle_connections}});
  }
  return {{"seconds", options_.time.count()},
          {"rounds", options_.rounds},
          {"series", all},
          {"memory", memory},
          {"haproxy_version", haproxy_version_},
          {"haproxy_configuration", haproxy_configuration_}};
}

}  // namespace pointsman::bench
