#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <netinet/in.h>

#include "proxy/proxy_header.h"

namespace {

using namespace pointsman;
using namespace pointsman::proxy;
using Answer = std::expected<proxy_header::Parsed, proxy_header::Fault>;

void require(bool law) {
  if (!law) std::abort();
}

bool same(const std::optional<io::Address>& a, const std::optional<io::Address>& b) {
  if (!a || !b) return !a && !b;
  return a->length == b->length && std::memcmp(a->get(), b->get(), a->length) == 0;
}

// Reads as a connection does: never more than is missing, and at most `piece` at a time.
Answer read_in_pieces(std::span<const char> stream, std::size_t piece, std::size_t& taken) {
  Answer answer = proxy_header::parse({});
  while (answer && answer->missing > 0 && taken < stream.size()) {
    require(answer->missing <= proxy_header::prefix_size + proxy_header::max_rest);
    taken += std::min({answer->missing, piece, stream.size() - taken});
    answer = proxy_header::parse(stream.first(taken));
  }
  return answer;
}

}  // namespace

// Any bytes of a client, cut by what the first byte says: the same answer however they come, within the
// bound, and not a byte of what follows is taken; what was understood and is told on is understood the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const char> stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = std::max<std::size_t>(data[0], 1);
  std::size_t taken = 0;
  std::size_t taken_by_one = 0;
  const Answer answer = read_in_pieces(stream, piece, taken);
  const Answer by_one = read_in_pieces(stream, 1, taken_by_one);
  require(answer.has_value() == by_one.has_value());
  if (!answer) {
    require(answer.error() == by_one.error());
    require(proxy_header::to_string(answer.error()) != nullptr);
    return 0;
  }
  require(taken == taken_by_one && answer->missing == by_one->missing);
  require(same(answer->client, by_one->client));
  if (answer->missing > 0) return require(taken == stream.size() && !answer->client), 0;
  require(taken >= proxy_header::prefix_size && taken <= proxy_header::prefix_size + proxy_header::max_rest);
  require(std::ranges::equal(stream.first(proxy_header::signature.size()), proxy_header::signature));
  require(proxy_header::tells_header(stream.first<proxy_header::telling_bytes>()));
  if (!answer->client) return 0;
  const proxy_header::Header header = proxy_header::build(*answer->client, *answer->client);
  const Answer again = proxy_header::parse(header.bytes());
  require(again && again->missing == 0 && same(again->client, answer->client));
  return 0;
}
