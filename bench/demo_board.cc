#include "bench/demo_board.h"

#include <utility>

#include "bench/table.h"
#include "proxy/admin_client.h"

namespace pointsman::bench {

namespace {

constexpr std::chrono::milliseconds interval{100};
constexpr std::chrono::milliseconds status_timeout{80};
constexpr std::size_t max_samples = 36'000;  // an hour; of a longer stay the oldest are dropped

// Its answer to one request, null when there is none in time.
nlohmann::json ask_status(const std::string& socket) {
  auto client = proxy::AdminClient::connect(socket, status_timeout);
  if (!client || !client->send({{"command", "status"}})) return {};
  auto answer = client->receive(status_timeout);
  if (!answer || !answer->value("ok", false)) return {};
  return (*answer)["result"];
}

// A member's text; "" when it is absent, null or no text.
std::string text_of(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

const nlohmann::json& part_of(const nlohmann::json& object, const char* name) {
  static const nlohmann::json none = nlohmann::json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : none;
}

}  // namespace

std::string describe_backend(const nlohmann::json& backend) {
  const std::string role = text_of(backend, "role");
  const auto& probe = part_of(backend, "probe");
  if (const std::string error = text_of(probe, "error"); !error.empty()) {
    // "connect to 127.0.0.1:3306 as pointsman: connection refused": where and as whom is known here.
    const std::size_t colon = error.rfind(": ");
    return colon == std::string::npos ? error : error.substr(colon + 2);
  }
  std::string text;
  const auto add = [&text](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  const auto& replication = part_of(backend, "replication");
  if (role == "quarantined") return "has transactions that the primary has not";
  if (role == "primary") {
    if (probe.contains("latency_us") && probe["latency_us"].is_number()) {
      add("probe " + format_number(probe["latency_us"].get<double>() / 1000, 1) + " ms");
    }
    if (backend.contains("sessions") && backend["sessions"].is_number_unsigned()) {
      add(std::to_string(backend["sessions"].get<unsigned>()) + " sessions");
    }
    return text;
  }
  if (const std::string source = text_of(replication, "source"); !source.empty()) add("follows " + source);
  if (replication.contains("lag_ms") && replication["lag_ms"].is_number()) {
    const double lag_ms = replication["lag_ms"].get<double>();
    add("lag " + (lag_ms < 1000 ? format_number(lag_ms) + " ms" : format_number(lag_ms / 1000, 1) + " s"));
  }
  return text;
}

std::vector<LinkSight> links_of(const nlohmann::json& backend) {
  std::vector<LinkSight> links;
  const auto& all = part_of(backend, "links");
  for (const char* name : {"udp", "serial"}) {
    const std::string state = text_of(part_of(all, name), "state");
    if (!state.empty() && state != "off") links.push_back({name, state});
  }
  return links;
}

std::string describe_links(const std::vector<LinkSight>& links) {
  std::string text;
  for (const LinkSight& link : links) text += (text.empty() ? "" : ", ") + link.name + " " + link.state;
  return text;
}

Board::Board(View& view, std::vector<const Writer*> writers, Options options)
    : view_(view), writers_(std::move(writers)), admin_socket_(std::move(options.admin_socket)) {
  scene_.product = std::move(options.product);
  scene_.address = std::move(options.address);
  scene_.servers = std::move(options.servers);
  for (std::string& title : options.chapters) {
    Chapter& chapter = scene_.chapters.emplace_back();
    chapter.title = std::move(title);
  }
  for (const Writer* writer : writers_) scene_.commits += writer->commits();
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

Board::~Board() {
  stop();
}

void Board::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  const std::scoped_lock lock(mutex_);
  scene_.now.clear();
  view_.show(scene_);
  view_.close();
}

void Board::watch(const std::stop_token& stop) {
  Moment next = Clock::now();
  while (!stop.stop_requested()) {
    next += interval;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_until(lock, stop, next, [] { return false; });
    }
    if (stop.stop_requested()) return;
    sample();
    const auto status = ask_status(admin_socket_);
    const std::scoped_lock lock(mutex_);
    take_status(status);
    scene_.elapsed_s = elapsed();
    view_.show(scene_);
  }
}

void Board::sample() {
  std::uint64_t commits = 0;
  for (const Writer* writer : writers_) commits += writer->commits();
  const std::scoped_lock lock(mutex_);
  scene_.samples.push_back(static_cast<unsigned>(commits - scene_.commits));
  scene_.commits = commits;
  if (scene_.samples.size() <= max_samples) return;
  scene_.samples.erase(scene_.samples.begin());
  std::erase_if(scene_.marks, [](const Mark& mark) { return mark.sample == 0; });
  for (Mark& mark : scene_.marks) --mark.sample;
}

void Board::take_status(const nlohmann::json& status) {
  scene_.state = status.is_object() ? text_of(status, "state") : "";
  if (!status.is_object()) return;
  scene_.primary = text_of(status, "primary");
  const auto backends = status.find("backends");
  if (backends == status.end() || !backends->is_array()) return;
  for (const auto& backend : *backends) {
    const std::string name = text_of(backend, "name");
    for (ServerSight& server : scene_.servers) {
      if (server.name != name) continue;
      server.role = text_of(backend, "role");
      server.verdict = text_of(backend, "verdict");
      server.detail = describe_backend(backend);
      server.links = links_of(backend);
    }
  }
}

void Board::begin(std::size_t chapter, const std::string& now) {
  const std::scoped_lock lock(mutex_);
  scene_.chapters[chapter].state = Chapter::State::running;
  scene_.now = now;
  view_.say(elapsed(), std::to_string(chapter + 1) + ". " + scene_.chapters[chapter].title);
}

void Board::note(std::size_t chapter, const std::string& text) {
  const std::scoped_lock lock(mutex_);
  scene_.chapters[chapter].notes.push_back(text);
  view_.say(elapsed(), "   " + text);
}

void Board::finish(std::size_t chapter, const std::string& result, bool well) {
  const std::scoped_lock lock(mutex_);
  scene_.chapters[chapter].state = well ? Chapter::State::done : Chapter::State::failed;
  scene_.chapters[chapter].result = result;
  scene_.now.clear();
  view_.say(elapsed(), "   " + result);
}

void Board::now(const std::string& text) {
  const std::scoped_lock lock(mutex_);
  scene_.now = text;
}

void Board::mark(const std::string& text) {
  const std::scoped_lock lock(mutex_);
  scene_.marks.push_back({scene_.samples.size(), text});
}

void Board::set_pid(std::size_t server, int pid) {
  const std::scoped_lock lock(mutex_);
  scene_.servers[server].pid = pid;
}

void Board::stay(const std::string& text) {
  const std::scoped_lock lock(mutex_);
  scene_.staying = true;
  view_.print(text);
}

}  // namespace pointsman::bench
