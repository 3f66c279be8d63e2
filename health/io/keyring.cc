#include "health/io/keyring.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <sys/random.h>

namespace pointsman::io {
namespace {

constexpr std::size_t hmac_size = 16;
constexpr std::size_t crc_size = 4;

struct Free {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MAC_CTX, Free>;

std::string openssl_says() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

const char* digest_of(conf::AuthKeys::Method method) {
  switch (method) {
    case conf::AuthKeys::Method::sha256:
      return "SHA256";
    case conf::AuthKeys::Method::sha1:
      return "SHA1";
    case conf::AuthKeys::Method::md5:
      return "MD5";
    case conf::AuthKeys::Method::crc:
      break;
  }
  return nullptr;
}

std::expected<Context, std::string> keyed_hmac(const char* digest, const std::string& secret) {
  const std::unique_ptr<EVP_MAC, Free> hmac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  if (hmac == nullptr) return std::unexpected("no HMAC: " + openssl_says());
  Context context(EVP_MAC_CTX_new(hmac.get()));
  std::string name = digest;  // the parameter's type has no const
  const std::array<OSSL_PARAM, 2> parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), 0), OSSL_PARAM_construct_end()};
  const auto* key = reinterpret_cast<const unsigned char*>(secret.data());
  if (context == nullptr || EVP_MAC_init(context.get(), key, secret.size(), parameters.data()) != 1)
    return std::unexpected("cannot use HMAC with " + name + ": " + openssl_says());
  return context;
}

// IEEE 802.3: reflected polynomial 0xedb88320, all ones before and after.
constexpr std::array<std::uint32_t, 256> crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1U) != 0 ? value >> 1U ^ 0xedb88320U : value >> 1U;
    table.at(i) = value;
  }
  return table;
}();

std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const std::uint8_t byte : bytes) crc = crc_table.at((crc ^ byte) & 255U) ^ crc >> 8U;
  return ~crc;
}

}  // namespace

class AuthKeyring::Key {
 public:
  // Without a context: crc.
  Key(std::uint8_t number, Context context) : number_(number), context_(std::move(context)) {}

  std::uint8_t number() const { return number_; }
  std::size_t size() const { return context_ == nullptr ? crc_size : hmac_size; }

  // The first size() bytes count. False when the library fails.
  bool compute(std::span<const std::uint8_t> bytes, std::array<std::uint8_t, EVP_MAX_MD_SIZE>& mac) const {
    if (context_ == nullptr) {
      const std::uint32_t crc = crc32(bytes);
      for (std::size_t i = 0; i < crc_size; ++i) mac.at(i) = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
      return true;
    }
    std::size_t made = 0;
    // Without a key it begins anew with the one that it has.
    const bool done = EVP_MAC_init(context_.get(), nullptr, 0, nullptr) == 1 &&
                      EVP_MAC_update(context_.get(), bytes.data(), bytes.size()) == 1 &&
                      EVP_MAC_final(context_.get(), mac.data(), &made, mac.size()) == 1 && made >= hmac_size;
    if (!done) ERR_clear_error();
    return done;
  }

 private:
  std::uint8_t number_;
  Context context_;
};

AuthKeyring::AuthKeyring() = default;
AuthKeyring::~AuthKeyring() = default;

std::expected<std::unique_ptr<AuthKeyring>, std::string> AuthKeyring::make(const conf::AuthKeys& keys) {
  std::unique_ptr<AuthKeyring> ring(new AuthKeyring());
  ring->sending_ = static_cast<std::uint8_t>(keys.sending);
  for (const conf::AuthKeys::Key& key : keys.keys) {
    const char* digest = digest_of(key.method);
    Context context;
    if (digest != nullptr) {
      auto made = keyed_hmac(digest, key.secret);
      if (!made)
        return std::unexpected(keys.file + ": key " + std::to_string(key.number) + ": " + made.error());
      context = std::move(*made);
    }
    ring->keys_.emplace_back(static_cast<std::uint8_t>(key.number), std::move(context));
  }
  if (ring->find(ring->sending_) == nullptr)
    return std::unexpected(keys.file + ": there is no key " + std::to_string(keys.sending) + " to sign with");
  return ring;
}

const AuthKeyring::Key* AuthKeyring::find(std::uint8_t number) const {
  const auto found = std::ranges::find(keys_, number, &Key::number);
  return found == keys_.end() ? nullptr : &*found;
}

std::optional<std::size_t> AuthKeyring::mac_size(std::uint8_t key) const {
  const Key* found = find(key);
  return found == nullptr ? std::nullopt : std::optional(found->size());
}

// A code that could not be made is all zeros: the peer refuses the frame, and we are silent rather than down.
void AuthKeyring::sign(std::uint8_t key, std::span<const std::uint8_t> bytes,
                       std::span<std::uint8_t> mac) const {
  std::ranges::fill(mac, std::uint8_t{0});
  const Key* found = find(key);
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> made{};
  if (found == nullptr || !found->compute(bytes, made)) return;
  std::copy_n(made.begin(), std::min(mac.size(), found->size()), mac.begin());
}

bool AuthKeyring::verify(std::uint8_t key, std::span<const std::uint8_t> bytes,
                         std::span<const std::uint8_t> mac) const {
  const Key* found = find(key);
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> made{};
  if (found == nullptr || mac.size() != found->size() || !found->compute(bytes, made)) return false;
  return CRYPTO_memcmp(made.data(), mac.data(), mac.size()) == 0;
}

std::uint64_t random_nonce() {
  std::array<unsigned char, sizeof(std::uint64_t)> bytes{};
  std::uint64_t nonce = 0;
  while (nonce == 0) {
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
      ERR_clear_error();
      // The kernel gives so few bytes at once and whole, or has no such call, which Linux has since 3.17.
      const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got != static_cast<ssize_t>(bytes.size())) std::terminate();
    }
    std::memcpy(&nonce, bytes.data(), sizeof nonce);
  }
  return nonce;
}

}  // namespace pointsman::io
