// Operator, account and users of NATS for tests: what `nsc` makes, made on the spot.
//
//   NatsCredentials credentials;
//   auto broker = NatsBroker::Start(credentials.config());
//   std::ofstream(file) << credentials.UserFile(/*valid_seconds=*/3);
#ifndef ROOKERY_TESTS_UNIT_NATS_NATS_CREDENTIALS_H_
#define ROOKERY_TESTS_UNIT_NATS_NATS_CREDENTIALS_H_

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

namespace rookery::testing {

// A pair of keys as NATS writes them: "U..." and "SU...".
class NatsKey final {
 public:
  // 'O', 'A' or 'U'.
  explicit NatsKey(char kind) : kind_(static_cast<std::uint8_t>((kind - 'A') << 3)) {
    EVP_PKEY* made = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    if (made == nullptr) std::abort();
    key_.reset(made);
  }

  std::string id() const { return Base32(std::string(1, static_cast<char>(kind_)) + Raw(true)); }
  std::string seed() const {
    constexpr std::uint8_t kSeed = ('S' - 'A') << 3;
    const std::string head = {static_cast<char>(kSeed | (kind_ >> 5)),
                              static_cast<char>((kind_ & 31) << 3)};
    return Base32(head + Raw(false));
  }
  // `claims`, said by us, as a JWT.
  std::string Sign(std::string_view claims) const {
    const std::string text =
        Base64Url(R"({"typ":"JWT","alg":"ed25519-nkey"})") + "." + Base64Url(claims);
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                    &EVP_MD_CTX_free);
    std::array<unsigned char, 64> signature{};
    std::size_t size = signature.size();
    EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get());
    if (EVP_DigestSign(context.get(), signature.data(), &size,
                       reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1) {
      std::abort();
    }
    return text + "." + Base64Url({reinterpret_cast<const char*>(signature.data()), size});
  }

 private:
  struct Delete {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };

  std::string Raw(bool is_public) const {
    std::array<unsigned char, 32> bytes{};
    std::size_t size = bytes.size();
    const int done = is_public ? EVP_PKEY_get_raw_public_key(key_.get(), bytes.data(), &size)
                               : EVP_PKEY_get_raw_private_key(key_.get(), bytes.data(), &size);
    if (done != 1) std::abort();
    return {reinterpret_cast<const char*>(bytes.data()), size};
  }
  // With CRC-16/XMODEM behind it.
  static std::string Base32(std::string bytes) {
    std::uint16_t crc = 0;
    for (const char byte : bytes) {
      crc = static_cast<std::uint16_t>(crc ^ (static_cast<std::uint8_t>(byte) << 8));
      for (int i = 0; i < 8; ++i) {
        crc = static_cast<std::uint16_t>((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
      }
    }
    bytes.push_back(static_cast<char>(crc & 0xFF));
    bytes.push_back(static_cast<char>(crc >> 8));
    return Encode(bytes, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
  }
  static std::string Base64Url(std::string_view bytes) {
    return Encode(bytes, 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
  }
  static std::string Encode(std::string_view bytes, int width, std::string_view digits) {
    std::string out;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char byte : bytes) {
      bits = bits << 8 | static_cast<std::uint8_t>(byte);
      for (count += 8; count >= width; count -= width) {
        out.push_back(digits[bits >> (count - width) & ((1U << width) - 1)]);
      }
    }
    if (count > 0) out.push_back(digits[bits << (width - count) & ((1U << width) - 1)]);
    return out;
  }

  const std::uint8_t kind_;
  std::unique_ptr<EVP_PKEY, Delete> key_;
};

class NatsCredentials final {
 public:
  // For the NATS server's configuration.
  std::string config() const {
    const std::string limits =
        R"("limits":{"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,)"
        R"("wildcards":true,"conn":-1,"leaf":-1},)";
    const std::string account =
        operator_.Sign(Claims(operator_.id(), account_.id(), limits, "account", 0));
    return "operator: \"" +
           operator_.Sign(Claims(operator_.id(), operator_.id(), "", "operator", 0)) +
           "\"\nresolver: MEMORY\nresolver_preload: { " + account_.id() + ": \"" + account +
           "\" }\n";
  }
  // A creds file of a new user, who may connect for so long; may be negative.
  std::string UserFile(long valid_seconds) const {
    const NatsKey user('U');
    const std::string jwt = account_.Sign(Claims(
        account_.id(), user.id(), R"("subs":-1,"data":-1,"payload":-1,)", "user", valid_seconds));
    return "-----BEGIN NATS USER JWT-----\n" + jwt +
           "\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n" + user.seed() +
           "\n------END USER NKEY SEED------\n";
  }

 private:
  static std::string Claims(const std::string& issuer, const std::string& subject,
                            const std::string& more, const std::string& type, long valid_seconds) {
    const long now = static_cast<long>(std::time(nullptr));
    std::string claims = R"({"jti":"TEST","iat":)" + std::to_string(now) + R"(,"iss":")" + issuer +
                         R"(","name":"test","sub":")" + subject + "\",";
    if (valid_seconds != 0) claims += "\"exp\":" + std::to_string(now + valid_seconds) + ",";
    return claims + R"("nats":{)" + more + R"("type":")" + type + R"(","version":2}})";
  }

  const NatsKey operator_{'O'};
  const NatsKey account_{'A'};
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_NATS_NATS_CREDENTIALS_H_
