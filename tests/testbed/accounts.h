#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/testbed/server.h"

// The accounts of a cluster, and what each must be allowed to do, in one place: the README of the product
// quotes it.
namespace pointsman::testbed {

struct Accounts {
  Login monitor{"pointsman", "monitor-secret"};
  Login replication{"replica", "replica-secret"};
  Login application{"app", "app-secret"};
  std::string database = "app";
};

// Global privileges of the account that probes and commands.
const std::vector<std::string_view>& monitor_privileges(Product product);
// Of the account that replicas connect with.
const std::vector<std::string_view>& replication_privileges(Product product);

// CREATE DATABASE, CREATE USER and GRANT, in order.
std::vector<std::string> account_statements(Product product, const Accounts& accounts);

}  // namespace pointsman::testbed
