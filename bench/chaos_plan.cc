#include "bench/chaos_plan.h"

#include <algorithm>
#include <utility>

namespace pointsman::bench {

namespace {

using Millis = std::chrono::milliseconds;

constexpr std::array<std::pair<FaultKind, const char*>, all_fault_kinds.size()> names{{
    {FaultKind::kill, "kill"},
    {FaultKind::freeze, "freeze"},
    {FaultKind::restart, "restart"},
    {FaultKind::kill_host, "kill-host"},
    {FaultKind::cut_eth0, "cut-eth0"},
    {FaultKind::cut_serial, "cut-serial"},
    {FaultKind::cut_off, "cut-off"},
    {FaultKind::cut_replication, "cut-replication"},
    {FaultKind::isolate_proxy, "isolate-proxy"},
    {FaultKind::kill_agent, "kill-agent"},
    {FaultKind::kill_daemon, "kill-daemon"},
    {FaultKind::fill_disk, "fill-disk"},
    {FaultKind::switchover, "switchover"},
}};

// Below, about and above the lease (800 ms) and deadtime (1 s) of the defaults.
constexpr std::array holds{Millis(200), Millis(700), Millis(1000), Millis(1500), Millis(2500), Millis(4000)};
constexpr std::uint64_t hold_jitter_ms = 400;
constexpr std::uint64_t latest_begin_ms = 1000;
constexpr std::uint64_t latest_second_ms = 2500;  // of a second fault
constexpr std::uint64_t one_in_is_double = 3;
constexpr unsigned tries_for_second = 20;

bool of_a_host(FaultKind kind) {
  switch (kind) {
    case FaultKind::isolate_proxy:
    case FaultKind::kill_daemon:
    case FaultKind::fill_disk:
    case FaultKind::switchover:
    case FaultKind::cut_replication:
      return false;
    default:
      return true;
  }
}

// What a fault takes into its hands.
struct Uses {
  bool server = false, agent = false, eth0 = false, serial = false;  // of its victim
};

Uses uses_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::kill:
    case FaultKind::freeze:
    case FaultKind::restart:
      return {.server = true};
    case FaultKind::kill_host:
      return {.server = true, .agent = true, .eth0 = true, .serial = true};
    case FaultKind::cut_eth0:
      return {.eth0 = true};
    case FaultKind::cut_serial:
      return {.serial = true};
    case FaultKind::cut_off:
      return {.eth0 = true, .serial = true};
    case FaultKind::kill_agent:
      return {.agent = true};
    default:
      return {};
  }
}

bool leaves_the_lease_alone_to_the_agent(FaultKind kind) {
  return kind == FaultKind::freeze || kind == FaultKind::cut_eth0 || kind == FaultKind::cut_off;
}

bool cuts_cables(FaultKind kind) {
  const Uses uses = uses_of(kind);
  return uses.eth0 || uses.serial || kind == FaultKind::cut_replication || kind == FaultKind::isolate_proxy;
}

}  // namespace

std::string to_string(FaultKind kind) {
  return std::ranges::find(names, kind, &std::pair<FaultKind, const char*>::first)->second;
}

std::expected<FaultKind, std::string> parse_fault_kind(const std::string& name) {
  std::string all;
  for (const auto& [kind, its_name] : names) {
    if (name == its_name) return kind;
    all += (all.empty() ? "" : ", ") + std::string(its_name);
  }
  return std::unexpected("no fault '" + name + "'; one of: " + all);
}

std::string describe(const Fault& fault) {
  std::string text = to_string(fault.kind);
  if (fault.victim != Victim::nobody) text += fault.victim == Victim::primary ? " primary" : " replica";
  return text;
}

std::string RoundPlan::name() const {
  std::vector<std::string> words;
  for (const Fault& fault : faults) words.push_back(describe(fault));
  std::ranges::sort(words);
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " + ") + word;
  return text;
}

bool may_coincide(const Fault& a, const Fault& b) {
  if (a.kind == b.kind && a.victim == b.victim) return false;
  const auto whole_network = [](FaultKind kind) {
    return kind == FaultKind::isolate_proxy || kind == FaultKind::cut_replication;
  };
  if ((whole_network(a.kind) && cuts_cables(b.kind)) || (whole_network(b.kind) && cuts_cables(a.kind)))
    return false;
  if (a.victim == Victim::nobody || b.victim == Victim::nobody || a.victim != b.victim) return true;
  const Uses first = uses_of(a.kind);
  const Uses second = uses_of(b.kind);
  if ((first.server && second.server) || (first.agent && second.agent) || (first.eth0 && second.eth0) ||
      (first.serial && second.serial))
    return false;
  return !(first.agent && leaves_the_lease_alone_to_the_agent(b.kind)) &&
         !(second.agent && leaves_the_lease_alone_to_the_agent(a.kind));
}

ChaosPlan::ChaosPlan(std::uint64_t seed, std::vector<FaultKind> kinds)
    : random_(seed), kinds_(std::move(kinds)) {}

// The bias of a remainder of 64 bits is of no weight here.
std::uint64_t ChaosPlan::below(std::uint64_t bound) {
  return random_() % bound;
}

FaultKind ChaosPlan::draw_kind() {
  if (deck_.empty()) {
    deck_ = kinds_;
    for (std::size_t i = deck_.size(); i > 1; --i) std::swap(deck_[i - 1], deck_[below(i)]);
  }
  const FaultKind kind = deck_.back();
  deck_.pop_back();
  return kind;
}

Fault ChaosPlan::draw_fault() {
  Fault fault;
  fault.kind = draw_kind();
  if (of_a_host(fault.kind)) fault.victim = below(3) < 2 ? Victim::primary : Victim::replica;
  fault.way = static_cast<CutWay>(below(4));
  fault.at = Millis(below(latest_begin_ms));
  fault.hold = holds[below(holds.size())] + Millis(below(hold_jitter_ms));
  return fault;
}

RoundPlan ChaosPlan::next() {
  RoundPlan round;
  round.supervised = below(2) == 0;
  round.faults.push_back(draw_fault());
  if (below(one_in_is_double) != 0) return round;
  for (unsigned i = 0; i < tries_for_second; ++i) {
    Fault second = draw_fault();
    if (!may_coincide(round.faults.front(), second)) {
      deck_.insert(deck_.begin(), second.kind);  // its turn comes
      continue;
    }
    second.at = Millis(below(latest_second_ms));
    round.faults.push_back(second);
    break;
  }
  return round;
}

}  // namespace pointsman::bench
