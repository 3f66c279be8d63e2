#include "health/setup/copy.h"

#include <utility>

#include "health/mysql/boot_clock.h"
#include "health/mysql/concat.h"
#include "health/setup/backup_obstacles.h"
#include "health/setup/copy_backup.h"
#include "health/setup/copy_clone.h"
#include "health/setup/copy_dump.h"
#include "health/setup/survey.h"

namespace pointsman::setup {
namespace {

using Stage = CopyProgress::Stage;

CopyFailure untouched(core::Failure cause) {
  return {std::move(cause), CopyFailure::Left::untouched};
}

CopyFailure untouched(const Admin& admin, const std::string& text) {
  return untouched({core::FailureKind::unsupported, 0, mysql::concat(admin.name(), ": ", text)});
}

}  // namespace

const char* to_string(Stage stage) {
  switch (stage) {
    case Stage::preparing:
      return "preparing";
    case Stage::clearing:
      return "clearing";
    case Stage::copying:
      return "copying";
    case Stage::applying:
      return "applying";
    case Stage::restarting:
      return "restarting";
    case Stage::stopped:
      return "stopped";
    case Stage::finishing:
      return "finishing";
  }
  return "?";
}

std::expected<CopyResult, CopyFailure> copy_data(const CopyOrder& order, const mysql::Waker& cancel,
                                                 const OnProgress& on_progress) {
  const auto began = mysql::boot_now();
  const OnProgress tell = on_progress ? on_progress : [](const CopyProgress&) {};
  Admin donor(order.donor, cancel);
  Admin recipient(order.recipient, cancel);
  for (Admin* admin : {&donor, &recipient}) {
    admin->hide(order.donor_login.password);
    if (auto opened = admin->open(); !opened) return std::unexpected(untouched(opened.error()));
  }
  if (donor.flavour() != recipient.flavour()) {
    return std::unexpected(untouched(recipient, "is not of the product that " + donor.name() + " is"));
  }
  const auto from = survey(donor);
  if (!from) return std::unexpected(untouched(from.error()));
  const auto to = survey(recipient);
  if (!to) return std::unexpected(untouched(to.error()));
  if (from->report.server_id == to->report.server_id) {
    return std::unexpected(untouched(recipient, "is " + donor.name() + " itself, or has its server_id"));
  }
  if (to->contents.has_data() && !order.overwrite && !to->unfinished()) {
    return std::unexpected(untouched(recipient, "has data: " + to->contents.summary()));
  }
  const CopyEnds ends{order, donor, recipient, *from, *to};
  auto result = donor.flavour() == core::Flavour::mysql ? copy_by_clone(ends, cancel, tell)
                : order.agents                          ? copy_by_backup(ends, cancel, tell)
                                                        : copy_by_dump(ends, cancel, tell);
  if (result) result->took = mysql::boot_now() - began;
  return result;
}

std::vector<std::string> copy_statements(const CopyOrder& order, core::Flavour flavour) {
  if (flavour == core::Flavour::mysql) return clone_statements(order);
  return order.agents ? backup_statements(order) : dump_statements(order);
}

NotByAgents why_not_by_agents(const CopyOrder& order, Admin& donor, Admin& recipient,
                              const mysql::Waker& cancel) {
  if (!order.agents) return NotByAgents{"no agent is known"};
  const auto facts = look_for_backup(donor, recipient, *order.agents, cancel);
  return facts ? NotByAgents{} : facts.error();
}

}  // namespace pointsman::setup
