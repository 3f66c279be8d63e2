#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <random>
#include <string>
#include <vector>

// What the nemesis of `pointsman-bench chaos` does, round by round, decided by one seed alone. Pure.
namespace pointsman::bench {

enum class FaultKind {
  kill,             // SIGKILL of mysqld
  freeze,           // SIGSTOP of mysqld, SIGCONT at its end; its agent may have killed it by then
  restart,          // SIGTERM of mysqld, and a start
  kill_host,        // both links cut, mysqld and agent killed; at its end the host boots
  cut_eth0,         // of a database host
  cut_serial,       // the line of a database host
  cut_off,          // both
  cut_replication,  // between the two database hosts only
  isolate_proxy,    // the proxy's eth0 and all serial lines
  kill_agent,       // SIGKILL
  kill_daemon,      // SIGKILL
  fill_disk,        // no byte left where the daemon keeps its state
  switchover,       // the operator's command
};
inline constexpr std::array all_fault_kinds{
    FaultKind::kill,          FaultKind::freeze,     FaultKind::restart,     FaultKind::kill_host,
    FaultKind::cut_eth0,      FaultKind::cut_serial, FaultKind::cut_off,     FaultKind::cut_replication,
    FaultKind::isolate_proxy, FaultKind::kill_agent, FaultKind::kill_daemon, FaultKind::fill_disk,
    FaultKind::switchover};
std::string to_string(FaultKind kind);  // "cut-eth0"
std::expected<FaultKind, std::string> parse_fault_kind(const std::string& name);

// Whose: as the roles are when the round begins.
enum class Victim { primary, replica, nobody };

// How the cable of eth0 is cut; as testbed::Network::Cut.
enum class CutWay { unplugged, silent, from_host, to_host };

struct Fault {
  FaultKind kind = FaultKind::kill;
  Victim victim = Victim::nobody;
  CutWay way = CutWay::unplugged;     // of cut_eth0
  std::chrono::milliseconds at{0};    // after the round's begin
  std::chrono::milliseconds hold{0};  // until it is undone
};
std::string describe(const Fault& fault);  // "cut-eth0 primary"

struct RoundPlan {
  std::vector<Fault> faults;  // one, or two at once
  // A server that ends is started again at once, as systemd would, and not when the fault is over.
  bool supervised = true;

  std::string name() const;  // "kill primary + kill-daemon"
};

// Two faults of one round must not use the same cable or process. And an agent is not killed where the same
// host's server is frozen or cannot be reached: then nobody is left who could end its writes, and a proxy
// that waits for the lease to expire is wrong; only hardware (a watchdog, fence.command) helps there.
bool may_coincide(const Fault& a, const Fault& b);

class ChaosPlan {
 public:
  // Draws from `kinds` only, which is not empty.
  ChaosPlan(std::uint64_t seed, std::vector<FaultKind> kinds);
  RoundPlan next();

 private:
  std::uint64_t below(std::uint64_t bound);
  FaultKind draw_kind();
  Fault draw_fault();

  // The engine's numbers are the standard's; a std::*_distribution's are each library's own.
  std::mt19937_64 random_;
  std::vector<FaultKind> kinds_;
  std::vector<FaultKind> deck_;  // each kind comes once before one comes again
};

}  // namespace pointsman::bench
