#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What there is to see at one moment of the demo: plain data between those who watch and those who draw.
namespace pointsman::bench {

struct LinkSight {    // of heartbeats, between the proxy and the server's host
  std::string name;   // udp, serial
  std::string state;  // alive, late, dead
};

struct ServerSight {
  std::string name;
  std::string address;
  int pid = 0;          // 0: it does not run
  std::string role;     // as the daemon says: primary, replica, fenced, ...; "": not known
  std::string verdict;  // up, crashed, ...
  std::string detail;   // whom it follows, lag, the probe's time
  std::vector<LinkSight> links{};
};

struct Chapter {
  enum class State { ahead, running, done, failed };
  State state = State::ahead;
  std::string title;
  std::string result;              // behind the title once it is done
  std::vector<std::string> notes;  // below it
};

struct Mark {
  std::size_t sample = 0;  // index into Scene::samples
  std::string label;
};

struct Scene {
  std::string product;  // with version
  std::string address;  // where applications connect
  std::string state;    // the daemon's: steady, failing_over, ...; "": it does not answer
  std::string primary;  // "": none
  double elapsed_s = 0;
  std::vector<ServerSight> servers;
  std::vector<unsigned> samples;  // commits per 100 ms, oldest first
  std::vector<Mark> marks;
  std::uint64_t commits = 0;
  std::vector<Chapter> chapters;
  std::string now;       // a sentence on what happens at this moment
  bool staying = false;  // the story is over, and all goes on until the user ends it
};

}  // namespace pointsman::bench
