#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "conf/schema.h"
#include "proxy/pages/sample.h"

namespace pointsman::proxy::pages {

struct ConfigAbout {
  std::string_view title;  // "pointsman.toml"
  std::string_view summary;
  std::string_view text;
  std::string_view see_also;
};

// The manual page of a configuration file, section 5: what the sample says of each key, and what the schema
// knows of it. The error names a key that only one of them has.
std::expected<std::string, std::string> config_page(const ConfigAbout& about,
                                                    std::span<const conf::KeyInfo> keys,
                                                    std::span<const SampleSection> sample);

ConfigAbout about_pointsman_toml();
ConfigAbout about_agent_toml();

}  // namespace pointsman::proxy::pages
