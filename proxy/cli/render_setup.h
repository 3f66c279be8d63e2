#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "health/setup/setup.h"
#include "proxy/cli/text.h"

namespace pointsman::proxy::cli {

// Tells a person how `pointsman setup` goes, line by line on standard output; on a terminal the progress of a
// copy is one line that changes. With `json` it collects instead, for one object at the end.
class SetupTeller final : public setup::Listener {
 public:
  SetupTeller(Style style, bool terminal, bool json) : style_(style), terminal_(terminal), json_(json) {}

  void on_findings(const std::vector<setup::Survey>& servers,
                   const std::vector<setup::Finding>& findings) override;
  void on_decision(const std::vector<setup::Survey>& servers, const setup::Decision& decision) override;
  void on_step(const std::string& server, const std::string& text) override;
  void on_statement(const std::string& server, const std::string& sql) override;
  void on_copy(const std::string& server, const setup::CopyProgress& progress) override;
  void on_catching_up(const std::string& server, std::uint64_t missing) override;

  // The end of it.
  void tell_done(const setup::SetupDone& done);
  void tell_failed(const std::vector<std::string>& reasons);
  void tell_notes(const std::vector<std::string>& notes);

 private:
  void print(const std::string& text);
  void transient(const std::string& text);  // replaced by what comes next
  void print_json();

  const Style style_;
  const bool terminal_;
  const bool json_;
  nlohmann::json collected_ = nlohmann::json::object();
  bool line_open_ = false;
  std::string last_line_;  // without a terminal: what must not be said twice
  std::chrono::steady_clock::time_point next_line_{};
};

// "db2: copying app.orders, 12 MiB of about 300 MiB"
std::string copy_line(const std::string& server, const setup::CopyProgress& progress);

}  // namespace pointsman::proxy::cli
