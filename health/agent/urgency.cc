#include "health/agent/urgency.h"

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>

#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "health/io/system_text.h"

namespace pointsman::agent {
namespace {

using io::system_text;
constexpr int nice_value = -15;

bool has_capability(unsigned number) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) return ((std::stoull(line.substr(7), nullptr, 16) >> number) & 1U) != 0;
  }
  return false;
}

// Under a limit a lock of all future memory would make some later allocation fail instead.
std::string lock_memory() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur != RLIM_INFINITY && !has_capability(CAP_IPC_LOCK))
    return "RLIMIT_MEMLOCK is " + std::to_string(limit.rlim_cur) + " bytes; LimitMEMLOCK=infinity lifts it";
  // Pages that are never touched, as most of a thread's stack, are not worth memory.
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) return system_text(errno);
  return "";
}

}  // namespace

Urgency become_urgent() {
  Urgency result;
  if (const std::string why = lock_memory(); why.empty()) {
    result.done.emplace_back("memory locked");
  } else {
    result.refused.push_back("memory is not locked: " + why);
  }
  const sched_param lowest{.sched_priority = ::sched_get_priority_min(SCHED_RR)};
  if (::sched_setscheduler(0, SCHED_RR, &lowest) == 0) {
    result.done.emplace_back("real-time priority");
    return result;
  }
  result.refused.push_back("no real-time priority: " + system_text(errno) +
                           "; LimitRTPRIO=1 or CAP_SYS_NICE allows it");
  if (::setpriority(PRIO_PROCESS, 0, nice_value) == 0) {
    result.done.push_back("nice " + std::to_string(nice_value));
  } else {
    result.refused.push_back("no higher priority: " + system_text(errno) +
                             "; LimitNICE=-15 or CAP_SYS_NICE allows it");
  }
  return result;
}

}  // namespace pointsman::agent
