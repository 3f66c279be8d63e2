#include "health/agent/copy_donor.h"

#include <array>
#include <string>

#include <poll.h>

#include "health/agent/copy_facts.h"
#include "health/agent/copy_spool.h"
#include "health/copy/child.h"
#include "health/setup/option_file.h"

namespace pointsman::agent {
namespace {

using copy::Channel;
using copy::Child;
using Bytes = std::expected<std::uint64_t, std::string>;

constexpr core::Duration send_time = std::chrono::minutes(10);

Bytes relay(Child& backup, Channel& channel, const mysql::Waker& cancel) {
  CopySpool spool(backup, {});
  std::uint64_t bytes = 0;
  std::string piece;
  while (true) {
    std::array<pollfd, 2> fds{pollfd{channel.fd(), POLLIN, 0}, pollfd{cancel.fd(), POLLIN, 0}};
    ::poll(fds.data(), fds.size(), 0);
    if (fds[1].revents != 0) return std::unexpected("the agent ends");
    if (fds[0].revents != 0 || channel.has_input()) return std::unexpected("the other side gives up");
    const auto state = spool.take(piece);
    if (!state) return std::unexpected(state.error());
    if (*state == CopySpool::State::end) return bytes;
    if (*state == CopySpool::State::nothing_yet) continue;
    if (auto sent = channel.send_data(piece, send_time); !sent) return std::unexpected(sent.error());
    bytes += piece.size();
  }
}

Bytes run_backup(const conf::AgentConfig& config, Channel& channel, const copy::Words& order,
                 const mysql::Waker& cancel) {
  const auto server = expected_server(config, order.value("data"));
  if (!server) return std::unexpected(server.error());
  const auto options =
      setup::OptionFile::create({config.heartbeat.node, {config.mysql.socket, 0}, config.mysql.account});
  if (!options) return std::unexpected(options.error());
  Child backup;
  const auto started = backup.start({.argv = {backup_program(config), setup::OptionFile::argument(),
                                              "--backup", "--stream=mbstream", "--open-files-limit=1048576",
                                              // At its end commits wait until the log is copied, which
                                              // is looked at so often (ms).
                                              "--log-copy-interval=20"},
                                     .data = Child::Data::child_writes,
                                     .options_fd = options->fd(),
                                     .polite = true});
  if (!started) return std::unexpected(started.error());
  auto bytes = relay(backup, channel, cancel);
  if (!bytes) return bytes;
  if (const std::string why = backup.wait(); !why.empty()) return std::unexpected(why);
  // Its word for it; the exit status alone is 0 for more than that.
  if (!backup.said().contains("completed OK!"))
    return std::unexpected("mariadb-backup ended without saying that it is complete");
  return bytes;
}

}  // namespace

Bytes send_copy(const conf::AgentConfig& config, Channel& channel, const copy::Words& order,
                const mysql::Waker& cancel) {
  auto bytes = run_backup(config, channel, order, cancel);
  const copy::Words end = bytes ? copy::Words{.verb = "end", .values = {{"bytes", std::to_string(*bytes)}}}
                                : copy::Words{.verb = "failed", .values = {{"why", bytes.error()}}};
  constexpr auto end_time = std::chrono::seconds(10);
  if (auto sent = channel.send(end, end_time); !sent && bytes) return std::unexpected(sent.error());
  return bytes;
}

}  // namespace pointsman::agent
