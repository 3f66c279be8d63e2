#pragma once

#include <array>
#include <optional>
#include <vector>

#include "health/core/frame.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

// What is known of one server, and when it was learnt. Nothing here decides anything.
namespace pointsman::core {

// What the agent on the server's host has said, and over which of its links.
struct AgentEvidence {
  std::array<std::optional<Instant>, link_kinds> heard;  // last frame that counted as life, by kind of link
  std::optional<AgentWord> word;                         // of the newest frame
  std::optional<Instant> word_at;
  // The last transactions that it said its server has: not every frame has room for them.
  std::vector<FrameGtid> committed;  // of its own
  std::vector<FrameGtid> received;   // from its source
  // First frame that said that mysqld is dying or has exited, after frames that said that it runs. An agent
  // that never saw it run may be looking at the wrong socket: its word proves nothing.
  std::optional<Instant> saw_end_at;
  bool saw_kill = false;  // and that it was no shutdown: AgentWord::killed

  // Since when it has been heard without a pause of `deadtime`. When a cable is mended, frames come before
  // the first probe can be answered.
  std::optional<Instant> heard_since;

  // The last of `heard` as it was, a stall of ours or not.
  std::optional<Instant> truly_heard_at;

  // A word is surely younger than this; of the last one that said that mysqld runs.
  std::optional<Instant> ran_after;

  // How a frame came, as in AgentHeard.
  struct Arrival {
    LinkKind link = LinkKind::udp;
    bool newest = true;
    std::optional<Instant> ack_sent_at;
    Instant at;
  };
  // `started`: when the mysqld that answers our probes was started, if known. The end that an agent tells is
  // another one's when the agent did not see this one run: it stood still for a while, or its frame was long
  // on the way.
  void on_frame(const Arrival& arrival, const AgentWord& said, Duration deadtime,
                std::optional<Instant> started);
  std::optional<Instant> last_heard() const;
  bool heard_within(LinkKind link, Duration time, Instant now) const {
    return heard[index(link)] && now - *heard[index(link)] < time;
  }
  bool host_alive(Duration deadtime, Instant now) const {
    return last_heard() && now - *last_heard() < deadtime;
  }
};

struct Evidence {
  explicit Evidence(Instant since) : watched_since(since) {}

  Instant watched_since;

  // SQL probe.
  std::optional<Instant> last_ok;          // end of the last successful probe
  std::optional<Instant> last_ok_started;  // its beginning: what the report says was true at or after this
  Duration latency{};
  ServerReport report;                  // of the last successful probe or command; meaningful when last_ok
  std::optional<Instant> report_from;   // the report was taken at or after this
  std::optional<Instant> report_until;  // and at or before this
  std::optional<Instant>
      command_ended_at;              // the last one whose report we have: an overlapping probe's may be older
  std::optional<Failure> failure;    // since last_ok
  std::optional<Instant> failed_at;  // of `failure`
  std::optional<Instant> alive_at;   // last error that the server itself sent
  bool shut_down = false;            // it said since last_ok that it is being shut down

  std::optional<Instant> writable_seen_at;  // last report that it accepts writes
  // Its commits wait for an acknowledgement that was lost, and it could not be made to write what would bring
  // another. Until a report says that it goes on.
  bool jammed = false;

  // TCP. All since last_ok.
  std::optional<Instant> lost_at;        // an established connection got EOF or a reset
  std::optional<Instant> refused_since;  // beginning of an unbroken row of refused connects
  unsigned refused = 0;                  // its length

  // Client sessions.
  std::optional<Instant> last_traffic;  // last bytes from this server on any session

  AgentEvidence agent;

  // The replica's receiver, while this server replicates.
  std::optional<Instant> replicates_since;    // first seen to
  std::optional<Instant> received_change_at;  // events_received was last seen to grow

  void on_probe_ok(const ServerReport& fresh, Instant started, Instant finished, Duration probe_latency);
  void on_probe_failed(const Failure& what, Instant finished);
  // Refused connects of a confirmation, or an accepted one (refused_in_row == 0).
  void on_reconnect_checked(unsigned refused_in_row, bool accepted, Instant now);
  // What a command that has done its work reported at its end.
  void on_command_ok(const ServerReport& fresh, Instant started, Instant now);
  void on_traffic(Instant at);

  // The last sign of life of any kind; watched_since when there was none.
  Instant last_contact() const;
  // The same as it was, a stall of ours or not; nullopt: there was none.
  const std::optional<Instant>& true_contact() const { return true_contact_; }
  // It was started after it was last seen to accept writes. When the two are less than two seconds apart this
  // errs towards yes.
  bool restarted_since_writable() const;
  bool answered() const { return last_ok.has_value(); }
  // When the mysqld was started that answered last, at the latest.
  const std::optional<Instant>& run_started() const { return run_started_; }

  // We were not running for `stall` (a suspended or overloaded host): our silence is not the server's. What
  // was learnt before the stall and comes only now never makes the evidence older.
  void forgive(Duration stall);

 private:
  void take_report(const ServerReport& fresh, Instant started, Instant now);
  void note_start(const ServerReport& fresh, Instant started, Instant now);

  std::optional<Instant> run_started_;
  std::optional<Instant> true_contact_;
};

}  // namespace pointsman::core
