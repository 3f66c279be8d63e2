#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conf/config.h"
#include "health/setup/survey.h"

namespace pointsman::setup {

// One thing about a server that should be otherwise.
struct Finding {
  enum class Weight {
    fatal,   // replication, or Pointsman, would not work
    advice,  // it works, and something is given away
  };
  Weight weight = Weight::advice;
  std::string server;
  std::string setting;  // the variable; "" for what is not one
  std::string found;
  std::string wanted;
  std::string why;
  std::string line;  // for [mysqld] in my.cnf; "" when it is not a line that mends it
};

// Everything at once, in the order of the servers; each server by itself and all together. Pure.
std::vector<Finding> check_settings(const std::vector<Survey>& servers, const conf::Config& config);

// "[mysqld]" and the lines that mend the findings on one server; "" when there are none.
std::string my_cnf_lines(const std::vector<Finding>& findings, const std::string& server);

}  // namespace pointsman::setup
