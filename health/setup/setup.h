#pragma once

#include <expected>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/mysql/waker.h"
#include "health/setup/accounts.h"
#include "health/setup/copy.h"
#include "health/setup/decision.h"
#include "health/setup/settings.h"
#include "health/setup/survey.h"

// From bare servers to replication: the whole of `pointsman setup`, without its words on the terminal.
namespace pointsman::setup {

struct SetupOrder {
  conf::Account admin;  // may do everything on every server
  // Where a server is reached as `admin` when that is not its configured address: a Unix socket.
  std::map<std::string, conf::HostPort> admin_addresses;
  Wishes wishes;
  std::string account_host = "%";                             // of accounts that are made
  bool dry_run = false;                                       // say what would be done, change nothing
  core::Duration restart_timeout = std::chrono::minutes(15);  // see CopyOrder
};

// Hears how it goes. Called by one thread at a time, not always the caller's; must not block for long.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on_findings(const std::vector<Survey>& servers, const std::vector<Finding>& findings) = 0;
  virtual void on_decision(const std::vector<Survey>& servers, const Decision& decision) = 0;
  // A step that begins, as a sentence about `server`.
  virtual void on_step(const std::string& server, const std::string& text) = 0;
  // Of a dry run.
  virtual void on_statement(const std::string& server, const std::string& sql) = 0;
  virtual void on_copy(const std::string& server, const CopyProgress& progress) = 0;
  virtual void on_catching_up(const std::string& server, std::uint64_t missing) = 0;
};

// A daemon that runs beside us, if one does: keeps its hands off the servers that we change.
class Keeper {
 public:
  virtual ~Keeper() = default;
  // Error: why it cannot be, in words.
  virtual std::expected<void, std::string> hold(const std::string& server) = 0;
  virtual void release_all() = 0;
};

struct SetupDone {
  std::string primary;
  struct Replica {
    std::string name;
    Action action = Action::adopt;
    std::uint64_t bytes = 0;  // of a copy
    core::Duration took{};
  };
  std::vector<Replica> replicas;
  bool changed = false;  // anything at all
  bool dry_run = false;
};

// One use, one thread; blocks. Idempotent: what an earlier run did is found and not done again.
class Setup {
 public:
  // All outlive this. While `cancel` is rung everything ends as soon as it is tidied up.
  Setup(const conf::Config& config, SetupOrder order, Listener& listener, Keeper& keeper,
        const mysql::Waker& cancel);
  ~Setup();

  // Error: the reasons, each a sentence or two.
  std::expected<SetupDone, std::vector<std::string>> run();

 private:
  using Reasons = std::vector<std::string>;
  using Step = std::expected<void, Reasons>;

  Step connect();
  Step look();
  Step check();
  Step plan_accounts();
  void print_plan();
  void print_replica(const Assignment& assignment);
  Step hold_servers();
  Step open_primary();
  Step make_accounts();
  Step verify_login(const conf::Account& account, const char* what);
  Step make_replica(const Assignment& assignment);
  Step copy(const Assignment& assignment, SetupDone::Replica& done);
  Step follow(const Assignment& assignment);
  Step finish();
  Step remove_marks();
  Step provide_clone_plugins(const std::vector<Admin*>& replicas);

  CopyOrder copy_order(const Assignment& assignment) const;
  std::expected<CopyOrder, Reasons> chosen_order(const Assignment& assignment);
  std::expected<CopyAgents, std::string> agents_of(const Assignment& assignment) const;
  Endpoint admin_endpoint(const conf::Backend& backend) const;
  const conf::Backend& backend(std::size_t server) const { return config_.backends.at(server); }
  Admin& admin(std::size_t server) { return *admins_.at(server); }
  Admin& primary() { return admin(decision_.primary); }
  static Step failed(const core::Failure& failure) { return std::unexpected(Reasons{failure.text}); }

  const conf::Config& config_;
  const SetupOrder order_;
  Listener& listener_;
  Keeper& keeper_;
  const mysql::Waker& cancel_;
  std::vector<std::unique_ptr<Admin>> admins_;  // in the order of the configuration, as the next
  std::vector<Survey> servers_;
  Decision decision_;
  std::vector<AccountPlan> accounts_;
  SetupDone done_;
};

}  // namespace pointsman::setup
