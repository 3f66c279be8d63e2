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

std::string ratio_text(const std::vector<double>& ratios, const char* of) {
  const auto ratio = summarise(ratios);
  if (!ratio) return "";
  return std::string("  pointsman/haproxy, ") + of + ": median of the rounds' ratios " +
         format_number(ratio->median, 3) + " (" + format_number(ratio->min, 3) + " to " +
         format_number(ratio->max, 3) + ")\n";
}

std::string series_text(const RelaySeries& series, std::chrono::seconds time) {
  Table table({"", "queries/s", "min", "max", "p95 ms", "of direct", "CPU ms/1000"});
  for (const Path path : relay_paths) table.add(row_of(series, path));
  double errors = 0;
  for (const Path path : relay_paths) {
    for (const RelaySample& sample : series.of(path)) errors += sample.figures.errors;
  }
  return "threads " + std::to_string(series.threads) + ", " + to_string(series.workload) + ", " +
         std::to_string(series.clients) + " clients, " + std::to_string(series.of(Path::direct).size()) +
         " rounds of " + std::to_string(time.count()) + " s\n" + table.text() +
         ratio_text(series.ratios(Path::pointsman, Path::haproxy), "queries/s") +
         ratio_text(series.cpu_ratios(Path::pointsman, Path::haproxy), "CPU time per query") +
         (errors > 0 ? "  deadlocks that the server resolved: " + format_number(errors) + "\n" : "") + "\n";
}

std::string rate_of(const std::vector<RelaySample>& samples) {
  std::vector<double> rates;
  rates.reserve(samples.size());
  for (const RelaySample& sample : samples) rates.push_back(sample.figures.queries_per_second);
  return median_of(rates, 0);
}

std::string scale_text(const std::vector<RelayScale>& all) {
  Table memory({"memory, KiB", "threads", "at start", "idle sessions", "with them", "each", "logins/s"});
  Table busy({"busy beside idle", "threads", "busy", "idle", "queries/s", "CPU ms/1000", "without idle",
              "CPU ms/1000", "CPU, of without"});
  for (const RelayScale& one : all) {
    memory.add({to_string(one.path), std::to_string(one.threads),
                format_number(static_cast<double>(one.fresh_kib)), format_number(one.idle),
                format_number(static_cast<double>(one.idle_kib)), format_number(one.kib_each(), 2),
                format_number(one.logins_per_second)});
    const auto cost = one.cost_of_idle();
    busy.add({to_string(one.path), std::to_string(one.threads), format_number(one.busy),
              format_number(one.idle), rate_of(one.beside), median_of(cpu_ms_per_1000(one.beside), 2),
              rate_of(one.alone), median_of(cpu_ms_per_1000(one.alone), 2),
              cost ? format_number(*cost, 3) : "-"});
  }
  return memory.text() + "\n" + busy.text();
}

nlohmann::json rounds_of(const std::vector<RelaySample>& samples) {
  nlohmann::json rounds = nlohmann::json::array();
  for (const RelaySample& sample : samples) {
    rounds.push_back({{"queries", sample.figures.queries},
                      {"queries_per_second", sample.figures.queries_per_second},
                      {"latency_avg_ms", sample.figures.latency_avg_ms},
                      {"latency_p95_ms", sample.figures.latency_p95_ms},
                      {"errors", sample.figures.errors},
                      {"cpu_s", sample.cpu_s}});
  }
  return rounds;
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
  return bench::cpu_ms_per_1000(of(path));
}

std::vector<double> RelaySeries::cpu_ratios(Path path, Path to) const {
  std::vector<double> ratios;
  const std::size_t rounds = std::min(of(path).size(), of(to).size());
  for (std::size_t round = 0; round < rounds; ++round) {
    const auto one = bench::cpu_ms_per_1000({of(path)[round]});
    const auto other = bench::cpu_ms_per_1000({of(to)[round]});
    if (!one.empty() && !other.empty() && other[0] > 0) ratios.push_back(one[0] / other[0]);
  }
  return ratios;
}

std::vector<double> cpu_ms_per_1000(const std::vector<RelaySample>& samples) {
  std::vector<double> costs;
  for (const RelaySample& sample : samples) {
    if (sample.figures.queries > 0) costs.push_back(sample.cpu_s * 1000 / (sample.figures.queries / 1000));
  }
  return costs;
}

double RelayScale::kib_each() const {
  return idle == 0 ? 0 : (static_cast<double>(idle_kib) - static_cast<double>(fresh_kib)) / idle;
}

std::optional<double> RelayScale::cost_of_idle() const {
  const auto with = summarise(cpu_ms_per_1000(beside));
  const auto without = summarise(cpu_ms_per_1000(alone));
  if (!with || !without || without->median <= 0) return std::nullopt;
  return with->median / without->median;
}

std::vector<std::string> losses(const std::vector<RelaySeries>& series,
                                const std::vector<RelayScale>& scale) {
  std::vector<std::string> found;
  for (const RelaySeries& one : series) {
    const std::string row = "threads " + std::to_string(one.threads) + ", " + to_string(one.workload) + ", " +
                            std::to_string(one.clients) + " clients: ";
    const auto rate = summarise(one.ratios(Path::pointsman, Path::haproxy));
    if (rate && rate->median < 1) {
      found.push_back(row + format_number(rate->median, 3) + " of HAProxy's queries/s (" +
                      format_number(rate->min, 3) + " to " + format_number(rate->max, 3) + ")");
    }
    const auto cpu = summarise(one.cpu_ratios(Path::pointsman, Path::haproxy));
    if (cpu && cpu->median > 1)
      found.push_back(row + format_number(cpu->median, 3) + " times HAProxy's CPU time per query");
  }
  for (const RelayScale& ours : scale) {
    for (const RelayScale& theirs : scale) {
      if (ours.path != Path::pointsman || theirs.path != Path::haproxy || ours.threads != theirs.threads)
        continue;
      if (ours.kib_each() > theirs.kib_each()) {
        found.push_back("threads " + std::to_string(ours.threads) +
                        ", memory: " + format_number(ours.kib_each(), 2) +
                        " KiB for each idle session, HAProxy " + format_number(theirs.kib_each(), 2));
      }
    }
  }
  return found;
}

std::string RelayBench::text() const {
  std::string text;
  for (const RelaySeries& series : series_) text += series_text(series, options_.time);
  if (!scale_.empty()) text += scale_text(scale_) + "\n";
  const auto lost = losses(series_, scale_);
  text += lost.empty() ? "Pointsman loses in no row.\n" : "Pointsman loses:\n";
  for (const std::string& row : lost) text += "  " + row + "\n";
  return text + "\n" + haproxy_version_ + "\n" + haproxy_configuration_;
}

nlohmann::json RelayBench::json() const {
  nlohmann::json all = nlohmann::json::array();
  for (const RelaySeries& series : series_) {
    nlohmann::json one = {
        {"workload", to_string(series.workload)}, {"threads", series.threads}, {"clients", series.clients}};
    for (const Path path : relay_paths) {
      one[to_string(path)] = {{"rounds", rounds_of(series.of(path))},
                              {"queries_per_second", summary_of(series.rates(path))},
                              {"cpu_ms_per_1000", summary_of(series.cpu_ms_per_1000(path))}};
    }
    one["pointsman_to_haproxy"] = summary_of(series.ratios(Path::pointsman, Path::haproxy));
    one["cpu_pointsman_to_haproxy"] = summary_of(series.cpu_ratios(Path::pointsman, Path::haproxy));
    all.push_back(std::move(one));
  }
  nlohmann::json scale = nlohmann::json::array();
  for (const RelayScale& one : scale_) {
    scale.push_back({{"path", to_string(one.path)},
                     {"threads", one.threads},
                     {"fresh_kib", one.fresh_kib},
                     {"idle_kib", one.idle_kib},
                     {"idle_connections", one.idle},
                     {"kib_each", one.kib_each()},
                     {"logins_per_second", one.logins_per_second},
                     {"busy_connections", one.busy},
                     {"rounds_beside_idle", rounds_of(one.beside)},
                     {"rounds_alone", rounds_of(one.alone)}});
  }
  return {{"seconds", options_.time.count()},
          {"rounds", options_.rounds},
          {"series", all},
          {"scale", scale},
          {"losses", losses(series_, scale_)},
          {"haproxy_version", haproxy_version_},
          {"haproxy_configuration", haproxy_configuration_}};
}

}  // namespace pointsman::bench
