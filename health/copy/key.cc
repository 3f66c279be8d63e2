#include "health/copy/key.h"

#include <charconv>

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace pointsman::copy {
namespace {

constexpr std::string_view purpose = "pointsman copy channel, version 1";
constexpr std::string_view prefix = "pointsman-copy-";

}  // namespace

std::optional<Key> channel_key(const conf::AuthKeys& keys, unsigned number) {
  const conf::AuthKeys::Key* found = keys.find(number);
  if (found == nullptr || found->method == conf::AuthKeys::Method::crc) return std::nullopt;
  Key key{};
  unsigned made = 0;
  const auto* text = reinterpret_cast<const unsigned char*>(purpose.data());
  const unsigned char* done = HMAC(EVP_sha256(), found->secret.data(), static_cast<int>(found->secret.size()),
                                   text, purpose.size(), key.data(), &made);
  if (done == nullptr || made != key.size()) return std::nullopt;
  return key;
}

std::string key_identity(unsigned number) {
  return std::string(prefix) + std::to_string(number);
}

std::optional<unsigned> key_number(std::string_view identity) {
  if (!identity.starts_with(prefix)) return std::nullopt;
  identity.remove_prefix(prefix.size());
  unsigned number = 0;
  const auto [end, error] = std::from_chars(identity.data(), identity.data() + identity.size(), number);
  if (error != std::errc{} || end != identity.data() + identity.size()) return std::nullopt;
  if (number == 0 || number > conf::max_key_number) return std::nullopt;
  return number;
}

}  // namespace pointsman::copy
