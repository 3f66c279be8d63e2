#include "health/setup/setup.h"

#include <algorithm>
#include <utility>

#include "conf/authkeys.h"
#include "health/mysql/command_runner.h"
#include "health/mysql/concat.h"
#include "health/setup/copy_clone.h"
#include "health/setup/copy_events.h"
#include "health/setup/copy_marker.h"
#include "health/setup/proof.h"
#include "health/setup/statements.h"

namespace pointsman::setup {
namespace {

using mysql::concat;

constexpr core::Duration replication_heartbeat = std::chrono::milliseconds(500);

}  // namespace

Setup::Setup(const conf::Config& config, SetupOrder order, Listener& listener, Keeper& keeper,
             const mysql::Waker& cancel)
    : config_(config), order_(std::move(order)), listener_(listener), keeper_(keeper), cancel_(cancel) {}

Setup::~Setup() = default;

Endpoint Setup::admin_endpoint(const conf::Backend& backend) const {
  const auto elsewhere = order_.admin_addresses.find(backend.name);
  return {backend.name, elsewhere == order_.admin_addresses.end() ? backend.address : elsewhere->second,
          order_.admin};
}

std::expected<SetupDone, std::vector<std::string>> Setup::run() {
  Step step = connect();
  if (step) step = look();
  if (step) step = check();
  if (step) step = plan_accounts();
  if (!step) return std::unexpected(step.error());
  done_.primary = backend(decision_.primary).name;
  done_.dry_run = order_.dry_run;
  if (order_.dry_run) {
    print_plan();
    return done_;
  }
  const bool accounts_are_right =
      std::ranges::all_of(accounts_, [](const auto& plan) { return plan.statements.empty(); });
  if (decision_.nothing_to_do() && accounts_are_right) {
    for (const auto& entry : decision_.replicas)
      done_.replicas.push_back({backend(entry.server).name, entry.action, 0, {}});
    if (step = remove_marks(); !step) return std::unexpected(step.error());
    return done_;
  }
  done_.changed = true;
  step = hold_servers();
  if (step) step = open_primary();
  if (step) step = make_accounts();
  for (const auto& assignment : decision_.replicas) {
    if (step) step = make_replica(assignment);
  }
  if (step) step = finish();
  keeper_.release_all();
  if (!step) return std::unexpected(step.error());
  return done_;
}

Setup::Step Setup::connect() {
  Reasons reasons;
  for (const auto& backend : config_.backends) {
    admins_.push_back(std::make_unique<Admin>(admin_endpoint(backend), cancel_));
    Admin& admin = *admins_.back();
    admin.hide(config_.monitor.account.password);
    admin.hide(config_.replication.account.password);
    if (auto opened = admin.open(); !opened) {
      const bool denied = opened.error().kind == core::FailureKind::denied;
      reasons.push_back(opened.error().text +
                        (denied ? concat("\nAn administrator is needed there: --admin-user,"
                                         " --admin-password-file, or --admin-socket ",
                                         backend.name, "=PATH")
                                : ""));
    }
  }
  if (!reasons.empty()) return std::unexpected(reasons);
  return {};
}

Setup::Step Setup::look() {
  Reasons reasons;
  for (std::size_t i = 0; i < admins_.size(); ++i) {
    auto found = survey(admin(i));
    if (!found) {
      reasons.push_back(found.error().text);
      continue;
    }
    found->address = backend(i).address;
    servers_.push_back(std::move(*found));
  }
  if (!reasons.empty()) return std::unexpected(reasons);
  return {};
}

Setup::Step Setup::check() {
  const auto findings = check_settings(servers_, config_);
  listener_.on_findings(servers_, findings);
  const auto fatal = std::ranges::count(findings, Finding::Weight::fatal, &Finding::weight);
  if (fatal > 0) {
    return std::unexpected(Reasons{concat(fatal, fatal == 1 ? " setting has" : " settings have",
                                          " to be changed first, see above; nothing was changed")});
  }
  auto decision = decide(servers_, order_.wishes);
  if (!decision) return std::unexpected(decision.error());
  decision_ = std::move(*decision);
  listener_.on_decision(servers_, decision_);
  return {};
}

// The monitor account last, and of its privileges the one that admits it last: a daemon that waits for this
// account acts as soon as it can, and from then on a primary in semi-sync `required` waits for a replica.
Setup::Step Setup::plan_accounts() {
  const auto flavour = primary().flavour();
  const auto add = [&](const conf::Account& account, const Privileges& wanted) -> Step {
    auto plans = plan_account(primary(), account, wanted, order_.account_host);
    if (!plans) return failed(plans.error());
    std::ranges::move(*plans, std::back_inserter(accounts_));
    return {};
  };
  Step step = add(config_.replication.account, replication_privileges(flavour));
  if (step) step = add(config_.monitor.account, monitor_privileges(flavour, primary().version()));
  return step;
}

CopyOrder Setup::copy_order(const Assignment& assignment) const {
  const conf::Backend& donor = backend(decision_.primary);
  return {.donor = admin_endpoint(donor),
          .recipient = admin_endpoint(backend(assignment.server)),
          .donor_address = donor.address,
          .donor_login = config_.replication.account,
          .overwrite = assignment.overwrite,
          .restart_timeout = order_.restart_timeout};
}

// An agent listens for copies where it listens for heartbeats, by TCP.
std::expected<CopyAgents, std::string> Setup::agents_of(const Assignment& assignment) const {
  CopyAgents agents;
  for (auto [server, into] :
       {std::pair{decision_.primary, &agents.donor}, std::pair{assignment.server, &agents.recipient}}) {
    *into = backend(server).udp;
    if (into->empty())
      return std::unexpected(
          concat(backend(server).name, " has no agent with a network address (backend.udp)"));
  }
  auto keys = conf::load_authkeys(config_.heartbeat.authkeys);
  if (!keys) return std::unexpected(conf::to_string(keys.error().front()));
  agents.keys = std::move(*keys);
  return agents;
}

// MariaDB: by the agents where they can, and else it is said why not. Error: they may be taking back what an
// earlier run began, and would do so under whatever comes now.
std::expected<CopyOrder, Setup::Reasons> Setup::chosen_order(const Assignment& assignment) {
  CopyOrder order = copy_order(assignment);
  if (primary().flavour() != core::Flavour::mariadb) return order;
  const std::string& name = backend(assignment.server).name;
  auto agents = agents_of(assignment);
  NotByAgents not_so;
  if (agents) {
    order.agents = std::move(*agents);
    not_so = why_not_by_agents(order, primary(), admin(assignment.server), cancel_);
  } else {
    not_so.why = agents.error();
  }
  if (not_so.busy) return std::unexpected(Reasons{not_so.why + "; run this again when that has ended"});
  if (not_so.why.empty()) {
    listener_.on_step(name, "by mariadb-backup, which the agents of both hosts run");
  } else {
    order.agents.reset();
    listener_.on_step(name, "by mariadb-dump, not by mariadb-backup: " + not_so.why);
  }
  return order;
}

void Setup::print_replica(const Assignment& assignment) {
  const std::string& name = backend(assignment.server).name;
  const auto flavour = primary().flavour();
  const auto say = [&](const std::vector<std::string>& list) {
    for (const auto& sql : list) listener_.on_statement(name, sql);
  };
  if (assignment.action == Action::adopt) return;
  if (assignment.action == Action::copy) {
    const auto order = chosen_order(assignment);
    if (!order) return listener_.on_step(name, "not now: " + order.error().front());
    say(copy_statements(*order, flavour));
  }
  say(follow_statements(admin(assignment.server),
                        {backend(decision_.primary).address, config_.replication.semi_sync},
                        config_.replication.account));
  say(flavour == core::Flavour::mariadb ? drop_mark_statements() : clone_plugin_statements());
}

void Setup::print_plan() {
  const std::string& name = backend(decision_.primary).name;
  const auto flavour = primary().flavour();
  const bool something = !decision_.nothing_to_do();
  const auto say = [&](const std::vector<std::string>& list) {
    for (const auto& sql : list) listener_.on_statement(name, sql);
  };
  const bool accounts =
      std::ranges::any_of(accounts_, [](const auto& plan) { return !plan.statements.empty(); });
  if ((something || accounts) && servers_[decision_.primary].report.read_only) {
    say(writable_statements(flavour, conf::SemiSync::off));
  }
  for (const auto& plan : accounts_) {
    for (const auto& statement : plan.statements) listener_.on_statement(name, statement.shown);
  }
  for (const auto& assignment : decision_.replicas) {
    done_.replicas.push_back({backend(assignment.server).name, assignment.action, 0, {}});
    print_replica(assignment);
  }
  if (!something) return;
  if (flavour == core::Flavour::mysql) say(clone_plugin_statements());
  say(writable_statements(flavour, config_.replication.semi_sync));
  say(proof_statements());
}

Setup::Step Setup::hold_servers() {
  for (const auto& assignment : decision_.replicas) {
    if (assignment.action == Action::adopt) continue;
    if (auto held = keeper_.hold(backend(assignment.server).name); !held) {
      return std::unexpected(Reasons{held.error()});
    }
  }
  return {};
}

// Without semi-sync for now: there is no replica that a commit could wait for.
Setup::Step Setup::open_primary() {
  if (!servers_[decision_.primary].report.read_only) return {};
  listener_.on_step(primary().name(), "becomes the primary: accepts writes");
  const mysql::CommandRunner::Settings settings{config_.replication.account, order_.admin.user,
                                                replication_heartbeat};
  const auto done =
      mysql::CommandRunner(primary().session(), settings)(core::MakeWritable{conf::SemiSync::off});
  if (!done) return failed(primary().hidden(done.error()));
  return {};
}

Setup::Step Setup::make_accounts() {
  for (const auto& plan : accounts_) {
    if (plan.statements.empty()) continue;
    listener_.on_step(primary().name(),
                      concat(plan.exists ? "account completed: " : "account made: ", plan.account.quoted()));
    for (const auto& statement : plan.statements) {
      if (auto done = primary().run(statement); !done) return failed(done.error());
    }
  }
  Step step = verify_login(config_.replication.account, "replication");
  if (step) step = verify_login(config_.monitor.account, "monitor");
  return step;
}

// An account that was there before may have another password, and one that is new may be out of reach.
Setup::Step Setup::verify_login(const conf::Account& account, const char* what) {
  const conf::Backend& server = backend(decision_.primary);
  Admin login({server.name, server.address, account}, cancel_);
  const auto opened = login.open();
  if (opened) return {};
  return std::unexpected(Reasons{concat(
      opened.error().text, "\nThe ", what, " account ", account.user,
      " cannot log in from this host with the"
      " password in ",
      account.password_file,
      ". Has it another one (ALTER USER ... IDENTIFIED BY), may it not log in from here, or does an anonymous"
      " account ''@'...' of this host come first?")});
}

Setup::Step Setup::make_replica(const Assignment& assignment) {
  SetupDone::Replica done{backend(assignment.server).name, assignment.action, 0, {}};
  Step step;
  if (assignment.action == Action::copy) step = copy(assignment, done);
  if (step && assignment.action != Action::adopt) step = follow(assignment);
  if (step) done_.replicas.push_back(std::move(done));
  return step;
}

Setup::Step Setup::copy(const Assignment& assignment, SetupDone::Replica& done) {
  const std::string& name = backend(assignment.server).name;
  listener_.on_step(name, "gets a copy of the data of " + primary().name());
  const auto order = chosen_order(assignment);
  if (!order) return std::unexpected(order.error());
  admin(assignment.server).close();  // it may restart
  const auto copied =
      copy_data(*order, cancel_, [&](const CopyProgress& progress) { listener_.on_copy(name, progress); });
  if (!copied) {
    const auto& failure = copied.error();
    const char* left = "";
    if (failure.left == CopyFailure::Left::empty)
      left = "\nWhat was copied has been removed; run this again.";
    if (failure.left == CopyFailure::Left::unknown) left = "\nRun this again: it goes on from what it finds.";
    return std::unexpected(Reasons{failure.cause.text + left});
  }
  done.bytes = copied->bytes;
  done.took = copied->took;
  if (auto opened = admin(assignment.server).open(); !opened) return failed(opened.error());
  return {};
}

Setup::Step Setup::follow(const Assignment& assignment) {
  Admin& replica = admin(assignment.server);
  listener_.on_step(replica.name(), "replicates from " + primary().name());
  const mysql::CommandRunner::Settings settings{config_.replication.account, order_.admin.user,
                                                replication_heartbeat};
  mysql::CommandRunner runner(replica.session(), settings);
  const auto protect = runner(core::MakeReadOnly{.timeout = std::chrono::seconds(5)});
  if (!protect) return failed(replica.hidden(protect.error()));
  // Of a copy that an earlier run did not get further with.
  if (assignment.action == Action::follow) {
    if (auto done = disable_events(replica); !done) return failed(done.error());
  }
  // As the daemon does: who is never promoted acknowledges nothing.
  const bool acknowledges = !backend(assignment.server).never_promote;
  const auto done = runner(core::Follow{backend(decision_.primary).address,
                                        acknowledges ? config_.replication.semi_sync : conf::SemiSync::off});
  if (!done) return failed(replica.hidden(done.error()));
  if (done->replica && done->replica->io_errno != 0) {
    return std::unexpected(Reasons{concat(replica.name(), ": does not receive from ", primary().name(), ": ",
                                          done->replica->io_errno, " ", done->replica->io_error)});
  }
  return {};
}

// The semi-sync mode comes when there is a replica that acknowledges; with it the row is written.
Setup::Step Setup::finish() {
  std::vector<Admin*> replicas;
  for (const auto& assignment : decision_.replicas) {
    if (assignment.action != Action::adopt) replicas.push_back(&admin(assignment.server));
  }
  const bool opened = servers_[decision_.primary].report.read_only;
  if (replicas.empty() && !opened) return remove_marks();
  const Proof proof{.waiting = [&](const std::string& name, std::uint64_t missing) {
    listener_.on_catching_up(name, missing);
  }};
  for (Admin* replica : replicas) {
    if (auto done = wait_caught_up(primary(), *replica, proof); !done) return failed(done.error());
  }
  if (auto done = provide_clone_plugins(replicas); !done) return done;
  const mysql::CommandRunner::Settings settings{config_.replication.account, order_.admin.user,
                                                replication_heartbeat};
  const auto ready =
      mysql::CommandRunner(primary().session(), settings)(core::MakeWritable{config_.replication.semi_sync});
  if (!ready) return failed(primary().hidden(ready.error()));
  if (auto done = remove_marks(); !done || replicas.empty()) return done;
  listener_.on_step(primary().name(), "a row is written, and read on each replica");
  if (auto done = prove_replication(primary(), replicas, proof); !done) return failed(done.error());
  return {};
}

// The daemon's account may clone, and may not install what that takes.
Setup::Step Setup::provide_clone_plugins(const std::vector<Admin*>& replicas) {
  if (primary().flavour() != core::Flavour::mysql || !can_clone(primary().version())) return {};
  auto servers = replicas;
  servers.push_back(&primary());
  for (Admin* server : servers) {
    if (auto done = provide_clone_plugin(*server); !done) return failed(done.error());
  }
  return {};
}

Setup::Step Setup::remove_marks() {
  for (std::size_t i = 0; i < admins_.size(); ++i) {
    if (admin(i).flavour() != core::Flavour::mariadb) continue;
    const auto mark = read_copy_mark(admin(i));
    if (!mark) return failed(mark.error());
    if (!*mark) continue;
    if (auto done = drop_copy_mark(admin(i)); !done) return failed(done.error());
  }
  return {};
}

}  // namespace pointsman::setup
