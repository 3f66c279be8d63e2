#include <utility>

#include "proxy/cli/execute.h"
#include "proxy/daemon.h"

int main(int argc, char** argv) {
  return pointsman::proxy::cli::run(argc, argv, [&](pointsman::conf::Config config, bool takeover) {
    return pointsman::proxy::run_daemon(std::move(config), {{argv, argv + argc}, takeover});
  });
}
