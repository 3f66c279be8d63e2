#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "conf/describe.h"
#include "conf/differences.h"
#include "conf/loader.h"

// Any bytes as a configuration file: a valid Config or printable problems, never a crash.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pointsman::conf;
  const auto config = load_text({reinterpret_cast<const char*>(data), size}, "fuzz.toml", {.files = false});
  if (config) {
    if (summary(*config).empty() || !differences(*config, *config).empty()) std::abort();
    if (!reloaded(*config, *config)) std::abort();
    return 0;
  }
  if (config.error().empty() || config.error().size() > max_problems + 1) std::abort();
  for (const Problem& problem : config.error()) {
    for (const char c : to_string(problem)) {
      if (c < ' ' || c > '~') std::abort();
    }
  }
  return 0;
}
