#include "health/verify/verify.h"

#include <map>
#include <memory>

#include "health/mysql/concat.h"
#include "health/verify/comparison.h"
#include "health/verify/peer.h"
#include "health/verify/table.h"

namespace pointsman::verify {

using core::Failure;
using core::FailureKind;
using mysql::concat;

namespace {

using Tables = std::map<std::string, Table>;

// A change of definitions is on its way for a moment.
constexpr unsigned list_tries = 3;
constexpr core::Duration list_pause = std::chrono::milliseconds(500);

Failure unsupported(std::string text) {
  return {FailureKind::unsupported, 0, std::move(text)};
}

// One run of it.
class Run {
 public:
  explicit Run(const Order& order) : order_(order), ring_(order.stop, [this] { stop_.ring(); }) {}

  std::expected<Report, Failure> operator()();

 private:
  std::expected<void, Failure> connect();
  std::expected<void, Failure> check_sight();
  // The tables of the primary; those that a replica lacks, has more, or has otherwise are noted.
  std::expected<Tables, Failure> list_tables();
  std::vector<Difference> compare_lists(const Tables& ours, const Tables& theirs, const Peer& replica) const;

  const Order& order_;
  mysql::Waker stop_;
  std::stop_callback<std::function<void()>> ring_;
  std::vector<std::unique_ptr<Peer>> peers_;
  Peer* primary_ = nullptr;
  Comparison::Replicas replicas_;
  Report report_;
};

std::expected<Report, Failure> Run::operator()() {
  if (auto connected = connect(); !connected) return std::unexpected(connected.error());
  if (auto seen = check_sight(); !seen) return std::unexpected(seen.error());
  const auto tables = list_tables();
  if (!tables) return std::unexpected(tables.error());
  report_.tables = tables->size();
  Comparison comparison(order_, *primary_, replicas_, report_);
  std::uint64_t done = 0;
  for (const auto& [name, table] : *tables) {
    const auto compared = comparison.compare(table, done++);
    if (compared) continue;
    // Dropped or changed meanwhile.
    if (compared.error().kind != FailureKind::server_error) return std::unexpected(compared.error());
    report_.unknown.push_back({report_.primary, name, compared.error().text});
  }
  return std::move(report_);
}

std::expected<void, Failure> Run::connect() {
  for (const auto& server : order_.servers) {
    auto peer = std::make_unique<Peer>(order_, server, stop_);
    const auto writable = peer->open();
    if (!writable) {
      if (order_.stop.stop_requested()) return std::unexpected(writable.error());
      report_.unknown.push_back({server.name, "", writable.error().text});
      continue;
    }
    if (*writable && primary_ != nullptr)
      return std::unexpected(unsupported(
          concat(primary_->name(), " and ", server.name, " both accept writes: which one is the primary?")));
    if (*writable) {
      primary_ = peer.get();
    } else {
      replicas_.push_back(peer.get());
    }
    peers_.push_back(std::move(peer));
  }
  if (primary_ == nullptr) {
    const std::string why = report_.unknown.empty() ? "" : ": " + report_.unknown.front().why;
    return std::unexpected(
        unsupported("no server accepts writes, so there is no primary to compare with" + why));
  }
  report_.primary = primary_->name();
  for (const auto* replica : replicas_) report_.replicas.push_back(replica->name());
  return {};
}

// What the account may not read it does not even see, and nothing would be said of it.
std::expected<void, Failure> Run::check_sight() {
  const auto allowed = primary_->query(
      "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'SELECT' AND GRANTEE ="
      " CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', "
      "-1), '''')");
  if (!allowed) return std::unexpected(allowed.error());
  if (mysql::to_number(allowed->at(0, 0).value_or("0")) > 0) return {};
  return std::unexpected(
      Failure{FailureKind::denied, 0,
              concat("the account ", order_.account.user, " may not read all tables of ", primary_->name(),
                     ": GRANT SELECT ON *.* TO it, or use another one")});
}

std::vector<Difference> Run::compare_lists(const Tables& ours, const Tables& theirs,
                                           const Peer& replica) const {
  std::vector<Difference> list;
  for (const auto& [name, table] : ours) {
    const auto other = theirs.find(name);
    if (other == theirs.end()) {
      list.push_back({replica.name(), name, "", "is missing"});
    } else if (other->second.definition() != table.definition()) {
      list.push_back({replica.name(), name, "", "has other columns: " + other->second.definition()});
    }
  }
  for (const auto& [name, table] : theirs) {
    if (!ours.contains(name)) list.push_back({replica.name(), name, "", "is there and not on the primary"});
  }
  return list;
}

std::expected<Tables, Failure> Run::list_tables() {
  Tables tables;
  std::vector<Difference> found;
  for (unsigned i = 0; i < list_tries; ++i) {
    if (i > 0) primary_->pause(list_pause);
    found.clear();
    auto ours = read_tables(*primary_);
    if (!ours) return ours;
    tables = std::move(*ours);
    const auto position = primary_->position();
    if (!position) return std::unexpected(position.error());
    for (auto& replica : replicas_) {
      if (replica == nullptr) continue;
      const auto arrived = replica->wait_applied(*position, order_.replica_timeout);
      const auto theirs =
          arrived && *arrived ? read_tables(*replica)
          : arrived ? std::unexpected(unsupported("had not applied " + position->position() + " in time"))
                    : std::unexpected(arrived.error());
      if (!theirs) {
        report_.unknown.push_back({replica->name(), "", theirs.error().text});
        replica = nullptr;
        continue;
      }
      for (auto& difference : compare_lists(tables, *theirs, *replica))
        found.push_back(std::move(difference));
    }
    if (found.empty()) break;
  }
  // What is known to be another table is not compared row by row.
  for (const auto& difference : found) tables.erase(difference.table);
  report_.differences = std::move(found);
  return tables;
}

}  // namespace

std::expected<Report, Failure> run(const Order& order) {
  return Run(order)();
}

}  // namespace pointsman::verify
