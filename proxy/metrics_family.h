#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

#include "health/core/time.h"

// How metrics are put together; for the metrics_*.cc that do it. Any thread.
namespace pointsman::proxy {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Families = std::vector<MetricFamily>;
using Labels = std::vector<ClientMetric::Label>;

// Prometheus' own spelling of an instant or a time: a double of seconds.
inline double seconds(core::Duration d) {
  return std::chrono::duration<double>(d).count();
}

// One metric with all its series.
class Family {
 public:
  Family(Families& out, MetricType type, const char* name, const char* help) {
    out.push_back({name, help, type, {}});
    metric_ = &out.back();
  }

  Family& add(double value, Labels labels = {}) {
    ClientMetric& one = series(std::move(labels));
    (metric_->type == MetricType::Counter ? one.counter.value : one.gauge.value) = value;
    return *this;
  }
  Family& add(std::uint64_t value, Labels labels = {}) {
    return add(static_cast<double>(value), std::move(labels));
  }
  Family& add(bool value, Labels labels = {}) { return add(value ? 1.0 : 0.0, std::move(labels)); }

  // A series for each of `values`; the one that holds is 1.
  template <class E>
  void add_states(E present, std::initializer_list<E> values, const char* label, const Labels& labels = {}) {
    for (const E value : values) {
      Labels all = labels;
      all.push_back({label, core::to_string(value)});
      add(value == present, std::move(all));
    }
  }

  ClientMetric& series(Labels labels) {
    metric_->metric.emplace_back();
    metric_->metric.back().label = std::move(labels);
    return metric_->metric.back();
  }

 private:
  MetricFamily* metric_;  // the last one of the list, until the next Family is made
};

inline Family gauge(Families& out, const char* name, const char* help) {
  return {out, MetricType::Gauge, name, help};
}
inline Family counter(Families& out, const char* name, const char* help) {
  return {out, MetricType::Counter, name, help};
}

}  // namespace pointsman::proxy
