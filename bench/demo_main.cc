// pointsman-demo: shows the main job of Pointsman on two throwaway servers; see bench/demo.
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>

#include "bench/demo.h"

namespace {

constexpr const char* description =
    R"(Shows what Pointsman does: two throwaway database servers that replicate by GTID, an agent beside each
with heartbeats over UDP and over a (pseudo) serial line, `pointsman run` in front of them, and writers that commit
row after row through it. The primary is killed with SIGKILL, the time without commits is measured, the old primary
is started again and becomes a replica by itself, and a switchover brings everything back. Then a serial line is
cut, which moves nothing, and the primary hangs, until its agent kills it. At the end every acknowledged row is
looked for on both servers.

Everything lives in a folder under the temporary directory, on free ports of 127.0.0.1, and is removed at the
end. Exit status: 0, 1 when something did not work or a row is missing, 130 when interrupted.)";

}  // namespace

int main(int argc, char** argv) {
  using namespace pointsman;
  bench::DemoOptions options;
  std::string product = "mariadb";
  CLI::App app(description, "pointsman-demo");
  app.set_version_flag("--version", POINTSMAN_VERSION);
  app.add_option("--product", product, "the servers")
      ->check(CLI::IsMember({"mariadb", "mysql"}))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "about how long the show takes")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  app.add_option("--clients", options.clients, "writers")->check(CLI::Range(1, 64))->capture_default_str();
  app.add_flag("--stay", options.stay, "leave everything running until Ctrl-C, and print how to use it");
  app.add_flag("--plain", options.plain, "lines instead of a panel, as in a pipe");
  app.footer("On a terminal NO_COLOR switches colours off.");
  CLI11_PARSE(app, argc, argv);
  options.product = *testbed::parse_product(product);

  bench::StopSignal stop(bench::restore_terminal);
  const auto view = bench::make_view({.plain = options.plain});
  bench::Demo demo(options, stop, *view);
  const auto done = demo.run();
  if (done) return *done;
  view->close();
  std::fprintf(stderr, "pointsman-demo: %s\n", done.error().c_str());
  return 1;
}
