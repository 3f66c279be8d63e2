#pragma once

#include <optional>

namespace pointsman::agent {

// Whether a signal ended the process of this pidfd, which need not be our child: the kernel keeps its exit
// status with the pidfd when its parent has taken it (since Linux 6.15). nullopt: not taken yet, as long as
// /proc still shows it, or the kernel does not tell. Any thread.
std::optional<bool> ended_by_signal(int pidfd);

}  // namespace pointsman::agent
