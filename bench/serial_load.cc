#include "bench/serial_load.h"

#include <thread>

#include "bench/table.h"

namespace pointsman::bench {

namespace {

using Side = testbed::SerialLine::Side;

constexpr std::chrono::milliseconds load_look_pause{50};
constexpr unsigned the_run = 1;

struct Count {
  std::uint64_t bytes = 0;
  std::uint64_t frames = 0;
};

// Side a is the proxy's. Frames are the daemon's count of what it sent, or heard, over the line.
Count count(Stage& stage, std::size_t db, Side from) {
  Count counted{.bytes = stage.hosts().line(db).traffic(from).sent};
  const auto link =
      stage.backend(db).value("links", nlohmann::json::object()).value("serial", nlohmann::json::object());
  counted.frames = link.value(from == Side::a ? "sent" : "received", std::uint64_t{0});
  return counted;
}

}  // namespace

std::expected<std::vector<LineLoad>, std::string> measure_serial_load(
    const SerialLoadOptions& options, const Setup& setup, const std::function<bool()>& stop,
    const std::function<void(const std::string&)>& progress) {
  progress("starting two " + std::string(testbed::to_string(options.product)) +
           " servers and pointsman: " + describe(setup));
  auto made = Stage::create({.product = options.product,
                             .directory = options.work_directory,
                             .keep = !options.work_directory.empty(),
                             .setup = setup});
  if (!made) return std::unexpected(made.error());
  Stage& stage = **made;
  std::vector<LineLoad> loads;
  std::vector<std::unique_ptr<Writer>> writers;
  for (const bool writing : {false, true}) {
    progress(writing ? "under writes" : "idle");
    for (unsigned i = 0; writing && i < options.clients; ++i)
      writers.push_back(stage.start_writer(the_run, i, Pace{}));
    std::vector<Count> before;
    std::vector<Moment> at;
    const auto each = [&](const auto& look) {
      for (std::size_t db = 0; db < stage.hosts().size(); ++db) {
        for (const Side from : {Side::a, Side::b}) look(db, from);
      }
    };
    each([&](std::size_t db, Side from) {
      before.push_back(count(stage, db, from));
      at.push_back(Clock::now());
    });
    const Moment end = Clock::now() + options.time;
    while (Clock::now() < end) {
      if (stop()) return std::unexpected("interrupted");
      std::this_thread::sleep_for(load_look_pause);
    }
    std::size_t i = 0;
    each([&](std::size_t db, Side from) {
      const Count now = count(stage, db, from);
      const double seconds = to_ms(Clock::now() - at[i]) / 1000;
      const std::string name = stage.server(db).name();
      const std::uint64_t bytes = now.bytes - before[i].bytes;
      loads.push_back({.line = from == Side::a ? "proxy -> " + name : name + " -> proxy",
                       .writing = writing,
                       .bytes_per_second = static_cast<double>(bytes) / seconds,
                       .frames_per_second = static_cast<double>(now.frames - before[i].frames) / seconds,
                       .share = testbed::line_load(bytes, seconds, setup.baud)});
      ++i;
    });
  }
  return loads;
}

std::string serial_load_text(const Setup& setup, const std::vector<LineLoad>& loads) {
  std::string text = "load of the serial lines\n  " + describe(setup) + "\n";
  Table table({"", "frames/s", "bytes/s", "of capacity"});
  for (const LineLoad& load : loads) {
    table.add({load.line + (load.writing ? ", under writes" : ", idle"),
               format_number(load.frames_per_second, 1), format_number(load.bytes_per_second),
               format_number(100 * load.share, 1) + " %"});
  }
  return text + table.text();
}

nlohmann::json to_json(const LineLoad& load) {
  return {{"line", load.line},
          {"writing", load.writing},
          {"bytes_per_second", load.bytes_per_second},
          {"frames_per_second", load.frames_per_second},
          {"share", load.share}};
}

}  // namespace pointsman::bench
