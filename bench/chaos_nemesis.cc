#include "bench/chaos_nemesis.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace pointsman::bench {

namespace {

using testbed::Network;
using testbed::Server;

Network::Cut cut_of(CutWay way) {
  switch (way) {
    case CutWay::unplugged:
      return Network::Cut::unplugged;
    case CutWay::silent:
      return Network::Cut::silent;
    case CutWay::from_host:
      return Network::Cut::from_host;
    case CutWay::to_host:
      return Network::Cut::to_host;
  }
  return Network::Cut::unplugged;
}

const char* to_string(CutWay way) {
  switch (way) {
    case CutWay::unplugged:
      return "unplugged";
    case CutWay::silent:
      return "silent";
    case CutWay::from_host:
      return "what it sends";
    case CutWay::to_host:
      return "what is sent to it";
  }
  return "?";
}

}  // namespace

Nemesis::Nemesis(Stage& stage, SmallDisk& disk) : stage_(stage), disk_(disk) {
  for (std::size_t i = 0; i < stage_.hosts().size(); ++i)
    keepers_.push_back(std::make_unique<Keeper>(stage_.server(i)));
}

std::vector<ChaosMoment> Nemesis::take_story() {
  return std::exchange(story_, {});
}

Nemesis::Outcome Nemesis::strike(const RoundPlan& plan, std::size_t primary) {
  struct Deed {
    Moment at;
    const Fault* fault = nullptr;
    bool begins = true;
  };
  const Moment start = Clock::now();
  std::vector<Deed> deeds;
  for (const Fault& fault : plan.faults) {
    deeds.push_back({start + fault.at, &fault, true});
    deeds.push_back({start + fault.at + fault.hold, &fault, false});
  }
  std::ranges::stable_sort(deeds, {}, &Deed::at);
  for (const auto& keeper : keepers_) keeper->supervise(plan.supervised);
  for (const Deed& deed : deeds) {
    std::this_thread::sleep_until(deed.at);
    const std::size_t db = deed.fault->victim == Victim::replica ? Stage::other(primary) : primary;
    const Outcome done = deed.begins ? begin(*deed.fault, db) : end(*deed.fault, db);
    if (!done) return std::unexpected(describe(*deed.fault) + ": " + done.error());
  }
  return revive();
}

Nemesis::Outcome Nemesis::begin(const Fault& fault, std::size_t db) {
  testbed::Hosts& hosts = stage_.hosts();
  Keeper& keeper = *keepers_[db];
  tell(describe(fault) + ": " + (fault.victim == Victim::nobody ? std::string() : hosts.name(db) + " ") +
       (fault.kind == FaultKind::cut_eth0 ? to_string(fault.way) : "begins"));
  Outcome done;
  switch (fault.kind) {
    case FaultKind::kill:
      keeper.with([](Server& server) { server.kill(); });
      break;
    case FaultKind::freeze:
      keeper.with([](Server& server) { server.freeze(); });
      break;
    case FaultKind::restart:
      // One that does not end in time is killed, which is a fault as good as any.
      keeper.with([this](Server& server) {
        if (auto stopped = server.stop(); !stopped) tell(stopped.error());
        if (auto started = server.start(); !started) tell(started.error());
      });
      break;
    case FaultKind::kill_host:
      keeper.supervise(false);
      keeper.with([&](Server&) { done = hosts.kill_host(db); });
      break;
    case FaultKind::cut_eth0:
      done = hosts.cut_eth0(db, cut_of(fault.way));
      break;
    case FaultKind::cut_serial:
      hosts.cut_serial(db);
      break;
    case FaultKind::cut_off:
      done = hosts.cut_off(db);
      break;
    case FaultKind::cut_replication:
      done = hosts.cut_replication(db, Stage::other(db));
      break;
    case FaultKind::isolate_proxy:
      done = hosts.isolate_proxy();
      break;
    case FaultKind::kill_agent:
      hosts.agent(db).kill();
      break;
    case FaultKind::kill_daemon:
      hosts.daemon().kill();
      break;
    case FaultKind::fill_disk:
      done = disk_.fill();
      break;
    case FaultKind::switchover:
      order_switchover();
      break;
  }
  return done;
}

Nemesis::Outcome Nemesis::end(const Fault& fault, std::size_t db) {
  testbed::Hosts& hosts = stage_.hosts();
  Keeper& keeper = *keepers_[db];
  tell(describe(fault) + " ends");
  Outcome done;
  switch (fault.kind) {
    case FaultKind::freeze:
      keeper.with([](Server& server) { server.thaw(); });
      break;
    case FaultKind::kill:
    case FaultKind::restart:
      break;  // its keeper
    case FaultKind::kill_host:
      keeper.with([&](Server&) {
        // A fence may end it while it boots; its keeper starts it again.
        if (const auto started = hosts.start_host(db); !started) tell(started.error());
      });
      break;
    case FaultKind::cut_eth0:
      done = hosts.mend_eth0(db);
      break;
    case FaultKind::cut_serial:
      hosts.mend_serial(db);
      break;
    case FaultKind::cut_off:
      done = hosts.mend(db);
      break;
    case FaultKind::cut_replication:
      done = hosts.mend_replication(db);
      break;
    case FaultKind::isolate_proxy:
      done = hosts.mend_proxy();
      break;
    case FaultKind::kill_agent:
      if (!hosts.agent(db).running()) done = hosts.agent(db).start();
      break;
    case FaultKind::kill_daemon:
      done = hosts.daemon().start();
      break;
    case FaultKind::fill_disk:
      disk_.empty();
      break;
    case FaultKind::switchover:
      tell("switchover: " + command_.get());
      break;
  }
  return done;
}

void Nemesis::order_switchover() {
  command_ = std::async(std::launch::async, [&daemon = stage_.daemon()]() -> std::string {
    const auto answer = daemon.command({"switchover"});
    if (!answer) return answer.error();
    return answer->code == 0 ? "done" : "refused or failed: " + answer->err;
  });
}

Nemesis::Outcome Nemesis::revive() {
  for (const auto& keeper : keepers_) keeper->supervise(true);
  testbed::Hosts& hosts = stage_.hosts();
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (!hosts.agent(i).running())
      return std::unexpected("the agent of " + hosts.name(i) + " has ended by itself");
  }
  if (hosts.daemon().running()) return {};
  return std::unexpected("the daemon has ended by itself; its log says:\n" + hosts.daemon().log_tail());
}

}  // namespace pointsman::bench
