#include "tests/testbed/hosts.h"

#include <csignal>
#include <utility>

namespace pointsman::testbed {

namespace {

constexpr const char* proxy_host = "proxy";
constexpr std::uint16_t heartbeat_port = 694;

const char* to_string(conf::SemiSync mode) {
  switch (mode) {
    case conf::SemiSync::required:
      return "required";
    case conf::SemiSync::preferred:
      return "preferred";
    case conf::SemiSync::off:
      break;
  }
  return "off";
}

bool alive(const nlohmann::json& backend, const char* link) {
  const auto& links = backend.value("links", nlohmann::json::object());
  return links.contains(link) && links[link].value("state", "") == "alive";
}

}  // namespace

Hosts::~Hosts() = default;

std::string Hosts::authkeys() {
  return authkeys_text("one-secret-that-all-of-the-hosts-share");
}

std::expected<std::unique_ptr<Hosts>, std::string> Hosts::prepare(Options options) {
  auto directory = options.directory.empty() ? TempDirectory::create("hosts")
                                             : TempDirectory::create_at(options.directory);
  if (!directory) return std::unexpected(directory.error());
  if (options.keep) directory->keep();
  std::unique_ptr<Hosts> hosts(new Hosts(std::move(options), std::move(*directory)));
  if (auto built = hosts->build(); !built) return std::unexpected(built.error());
  return hosts;
}

std::expected<std::unique_ptr<Hosts>, std::string> Hosts::create(Options options, Millis timeout) {
  auto hosts = prepare(std::move(options));
  if (!hosts) return hosts;
  if (auto started = (*hosts)->start(); !started) return std::unexpected(started.error());
  if (auto ready = (*hosts)->wait_ready(timeout); !ready) return std::unexpected(ready.error());
  return hosts;
}

std::string Hosts::address_of(const std::string& host) const {
  return network_ ? network_->address(host) : "127.0.0.1";
}

std::filesystem::path Hosts::namespace_of(const std::string& host) const {
  return network_ ? network_->path(host) : std::filesystem::path();
}

Hosts::Done Hosts::build() {
  if (options_.network) {
    if (const std::string why = Network::why_not(); !why.empty()) return std::unexpected(why);
    std::vector<std::string> names{proxy_host};
    for (unsigned i = 1; i <= options_.databases; ++i) names.push_back("db" + std::to_string(i));
    auto network = Network::create(names);
    if (!network) return std::unexpected(network.error());
    network_ = std::move(*network);
    heartbeat_ = {address_of(proxy_host), heartbeat_port};
  } else {
    auto port = PortLease::pick();
    if (!port) return std::unexpected(port.error());
    heartbeat_ = {address_of(proxy_host), port->number()};
    leases_.push_back(std::move(*port));
  }
  if (auto built = build_cluster(); !built) return built;
  if (has_links()) {
    if (auto built = build_agents(); !built) return built;
  }
  return build_daemon();
}

Hosts::Done Hosts::build_cluster() {
  Cluster::Options options{
      .product = options_.product,
      .servers = options_.databases,
      .directory = directory() / "servers",
      .settings = options_.settings,
      .semi_sync = options_.semi_sync_servers || options_.semi_sync == conf::SemiSync::required,
      .keep = options_.keep,
      .accounts = options_.accounts};
  for (unsigned i = 1; i <= options_.databases; ++i) {
    const std::string host = "db" + std::to_string(i);
    options.names.push_back(host);
    options.places.push_back({.host = address_of(host), .network_namespace = namespace_of(host)});
  }
  auto cluster = Cluster::create(std::move(options));
  if (!cluster) return std::unexpected(cluster.error());
  cluster_ = std::move(*cluster);
  return {};
}

Hosts::Done Hosts::build_agents() {
  for (std::size_t i = 0; i < size(); ++i) {
    Agent::Options agent{.directory = directory() / ("agent-" + name(i)),
                         .node = name(i),
                         .listen = {address_of(name(i)), network_ ? heartbeat_port : std::uint16_t{0}},
                         .baud = options_.baud,
                         .keepalive = options_.times.keepalive,
                         .ping_timeout = options_.ping_timeout,
                         .authkeys = authkeys(),
                         .socket = server(i).socket_path(),
                         .monitor = options_.accounts.monitor,
                         .network_namespace = namespace_of(name(i)),
                         .keep = options_.keep};
    if (options_.udp) agent.proxies = {heartbeat_};
    if (options_.serial) {
      auto line = SerialLine::create({.baud = options_.baud});
      if (!line) return std::unexpected(line.error());
      agent.serial = (*line)->device(SerialLine::Side::b);
      lines_.push_back(std::move(*line));
    }
    auto made = Agent::prepare(std::move(agent));
    if (!made) return std::unexpected(made.error());
    agents_.push_back(std::move(*made));
  }
  return {};
}

Hosts::Done Hosts::build_daemon() {
  Daemon::Options options = Daemon::options_for(*cluster_);
  options.directory = directory() / "daemon";
  options.threads = options_.threads;
  options.host = address_of(proxy_host);
  options.network_namespace = namespace_of(proxy_host);
  options.keep = options_.keep;
  Keys keys{{"replication", {{"semi_sync", toml_string(to_string(options_.semi_sync))}}},
            {"heartbeat", {{"deadtime", toml_time(options_.times.deadtime)}}}};
  if (has_links()) {
    options.authkeys = authkeys();
    keys["heartbeat"].insert({{"node", toml_string("proxy1")},
                              {"listen", toml_string(conf::to_string(heartbeat_))},
                              {"keepalive", toml_time(options_.times.keepalive)},
                              {"warntime", toml_time(options_.times.warntime)},
                              {"lease", toml_time(options_.times.lease)}});
    for (std::size_t i = 0; i < size(); ++i) {
      auto& backend = options.backends[i].keys;
      if (options_.udp) backend["udp"] = toml_string(conf::to_string(agent(i).listen()));
      if (!options_.serial) continue;
      backend["serial"] = toml_string(line(i).device(SerialLine::Side::a).string());
      backend["baud"] = std::to_string(options_.baud);
    }
  }
  options.keys = merged(merged(options.keys, keys), options_.daemon_keys);
  auto daemon = Daemon::prepare(std::move(options));
  if (!daemon) return std::unexpected(daemon.error());
  daemon_ = std::move(*daemon);
  return {};
}

Hosts::Done Hosts::start() {
  for (const auto& agent : agents_) {
    if (auto started = agent->start(); !started) return started;
  }
  return daemon_->start();
}

Hosts::Done Hosts::wait_ready(Millis timeout) {
  const auto ready = daemon_->wait_status(
      [this](const nlohmann::json& status) {
        if (status.value("state", "") != "steady" || !status["primary"].is_string()) return false;
        if (!has_links()) return true;
        for (const nlohmann::json& backend : status["backends"]) {
          if (options_.udp && !alive(backend, "udp")) return false;
          if (options_.serial && !alive(backend, "serial")) return false;
        }
        return true;
      },
      timeout);
  if (!ready) return std::unexpected(ready.error() + story());
  return {};
}

std::string Hosts::story(std::size_t lines) const {
  std::string text = "\n--- daemon\n" + daemon_->log_tail(lines);
  for (const auto& agent : agents_) text += "\n--- agent " + agent->node() + "\n" + agent->log_tail(lines);
  return text;
}

// Where that is refused, connecting fails too and says more.
std::optional<Network::Inside> Hosts::enter(const std::string& host) const {
  if (!network_) return std::nullopt;
  auto inside = network_->inside(host);
  if (!inside) return std::nullopt;
  return std::move(*inside);
}

std::expected<Sql, SqlError> Hosts::connect(const Login& login, const std::string& database) const {
  const auto here = enter(proxy_host);
  return daemon_->connect(login, database);
}

std::expected<Sql, SqlError> Hosts::connect_round(std::size_t db, const Login& login,
                                                  const std::string& database) const {
  const auto here = enter(cluster_->server(db).name());
  return cluster_->server(db).connect(login, database);
}

Hosts::Done Hosts::need_network(const char* what) const {
  if (network_) return {};
  return std::unexpected(std::string(what) +
                         " needs hosts of their own (network), and these are all on 127.0.0.1");
}

Hosts::Done Hosts::cut_eth0(std::size_t db, Network::Cut how) {
  if (auto can = need_network("cutting eth0"); !can) return can;
  return network_->cut(name(db), how);
}

Hosts::Done Hosts::mend_eth0(std::size_t db) {
  if (!network_) return {};
  return network_->mend(name(db));
}

void Hosts::cut_serial(std::size_t db) {
  if (db < lines_.size()) lines_[db]->cut();
}

void Hosts::mend_serial(std::size_t db) {
  if (db < lines_.size()) lines_[db]->mend();
}

Hosts::Done Hosts::cut_off(std::size_t db) {
  if (auto cut = cut_eth0(db); !cut) return cut;
  cut_serial(db);
  return {};
}

Hosts::Done Hosts::mend(std::size_t db) {
  mend_serial(db);
  return mend_eth0(db);
}

Hosts::Done Hosts::cut_replication(std::size_t db, std::size_t other) {
  if (auto can = need_network("cutting replication"); !can) return can;
  return network_->cut_between(name(db), name(other));
}

Hosts::Done Hosts::isolate_proxy() {
  if (auto can = need_network("isolating the proxy"); !can) return can;
  if (auto cut = network_->cut(proxy_host); !cut) return cut;
  for (std::size_t i = 0; i < size(); ++i) cut_serial(i);
  return {};
}

Hosts::Done Hosts::mend_proxy() {
  for (std::size_t i = 0; i < size(); ++i) mend_serial(i);
  return network_ ? network_->mend(proxy_host) : Done{};
}

Hosts::Done Hosts::kill_host(std::size_t db) {
  Agent* const agent = has_agent() ? agents_[db].get() : nullptr;
  if (!network_) {
    cut_serial(db);
    if (agent != nullptr) agent->freeze();
    server(db).freeze();
    return {};
  }
  if (auto cut = cut_off(db); !cut) return cut;
  // Both get their signal before either is waited for.
  if (agent != nullptr) agent->process().send(SIGKILL);
  server(db).send(SIGKILL);
  if (agent != nullptr) agent->kill();
  server(db).kill();
  return {};
}

Hosts::Done Hosts::start_host(std::size_t db) {
  server(db).kill();
  if (has_agent()) {
    agents_[db]->kill();
    agents_[db]->forget();
  }
  if (auto mended = mend(db); !mended) return mended;
  if (auto launched = server(db).launch(); !launched) return launched;
  if (has_agent()) {
    if (auto started = agents_[db]->start(); !started) return started;
  }
  return server(db).wait_ready();
}

}  // namespace pointsman::testbed
