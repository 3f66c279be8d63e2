#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxy/admin_protocol.h"
#include "proxy/cli/render_answers.h"
#include "proxy/cli/render_events.h"
#include "proxy/cli/render_status.h"

// Any bytes as a request line, and any JSON as an answer to each command: never a crash, and nothing on the
// operator's terminal but text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pointsman::proxy;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto request = parse_admin_request(bytes);
  if (request) {
    if (!request->at("command").is_string() ||
        admin_line(*request).find('\n') + 1 != admin_line(*request).size())
      std::abort();
  } else if (request.error().empty()) {
    std::abort();
  }
  const nlohmann::json answer = nlohmann::json::parse(bytes, nullptr, false);
  if (answer.is_discarded() || size > 4096) return 0;
  for (const std::size_t width : {40U, 100U, 200U}) {
    const cli::Style style{.width = width, .color = false, .unicode = width != 40};
    const std::string text = cli::render_status(answer, style) + cli::render_events(answer, style) +
                             cli::render_event(answer, style) + cli::render_change(answer, style) +
                             cli::render_sessions(answer, style) +
                             cli::render_plan("switchover", answer, style) +
                             cli::render_explain(answer, style) + cli::render_message(answer, style);
    for (const char c : text) {
      if ((c >= 0 && c < ' ' && c != '\n') || c == 0x7f) std::abort();
    }
  }
  if (cli::status_fingerprint(answer).empty()) std::abort();
  return 0;
}
