// NatsAccounts: an operator and an account of NATS's decentralised authentication, made on the
// spot, and credentials of users that last as long as a test wants.
//
//   const NatsAccounts accounts;
//   auto broker = NatsBroker::Start(accounts.config());
//   std::ofstream(file) << accounts.Credentials(std::chrono::seconds(2));
//
// https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt
#ifndef ROOKERY_TESTS_SUPPORT_NATS_ACCOUNTS_H_
#define ROOKERY_TESTS_SUPPORT_NATS_ACCOUNTS_H_

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace rookery::testing {

class NatsAccounts final {
 public:
  NatsAccounts() : operator_('\x70'), account_('\0') {
    operator_jwt_ = Sign(operator_, operator_.id(), "operator", "", 0);
    account_jwt_ = Sign(operator_, account_.id(), "account",
                        R"("limits":{"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,)"
                        R"("wildcards":true,"conn":-1,"leaf":-1},)",
                        0);
  }

  // Of the NATS server.
  [[nodiscard]] std::string config() const {
    return absl::StrCat("operator: ", operator_jwt_, "\nresolver: MEMORY\nresolver_preload: { ",
                        account_.id(), ": ", account_jwt_, " }\n");
  }
  // What a creds file holds, for a new user who may do anything, from now on for `lasts`.
  [[nodiscard]] std::string Credentials(std::chrono::seconds lasts) const {
    const Key user('\xa0');
    const std::string jwt =
        Sign(account_, user.id(), "user", R"("pub":{},"sub":{},"subs":-1,"data":-1,"payload":-1,)",
             static_cast<std::int64_t>(std::time(nullptr)) + lasts.count());
    return absl::StrCat("-----BEGIN NATS USER JWT-----\n", jwt,
                        "\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n",
                        user.seed(), "\n------END USER NKEY SEED------\n");
  }

 private:
  // An Ed25519 key, as NATS writes them.
  class Key final {
   public:
    explicit Key(char kind) : kind_(kind) {
      RAND_bytes(raw_.data(), static_cast<int>(raw_.size()));
      key_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw_.data(), raw_.size()));
    }
    [[nodiscard]] std::string id() const {
      std::array<unsigned char, 32> pub{};
      std::size_t size = pub.size();
      EVP_PKEY_get_raw_public_key(key_.get(), pub.data(), &size);
      return Base32(std::string(1, kind_) + std::string(pub.begin(), pub.end()));
    }
    [[nodiscard]] std::string seed() const {
      const auto kind = static_cast<unsigned char>(kind_);
      std::string bytes;
      bytes.push_back(static_cast<char>(0x90 | kind >> 5));
      bytes.push_back(static_cast<char>((kind & 31) << 3));
      return Base32(bytes + std::string(raw_.begin(), raw_.end()));
    }
    [[nodiscard]] std::string Sign(std::string_view text) const {
      std::string signature(64, '\0');
      std::size_t size = signature.size();
      const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                            &EVP_MD_CTX_free);
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get());
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     reinterpret_cast<const unsigned char*>(text.data()), text.size());
      return signature;
    }

   private:
    // With a checksum (CRC-16/XMODEM) at the end.
    static std::string Base32(std::string bytes) {
      std::uint16_t crc = 0;
      for (const char byte : bytes) {
        crc = static_cast<std::uint16_t>(crc ^ static_cast<unsigned char>(byte) << 8);
        for (int i = 0; i < 8; ++i) {
          crc = static_cast<std::uint16_t>((crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1);
        }
      }
      bytes.push_back(static_cast<char>(crc & 0xff));
      bytes.push_back(static_cast<char>(crc >> 8));
      std::string out;
      std::uint32_t bits = 0;
      int count = 0;
      for (const char byte : bytes) {
        bits = bits << 8 | static_cast<unsigned char>(byte);
        for (count += 8; count >= 5; count -= 5) out.push_back(Digit(bits >> (count - 5)));
      }
      if (count > 0) out.push_back(Digit(bits << (5 - count)));
      return out;
    }
    static char Digit(std::uint32_t bits) { return "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[bits & 31]; }

    char kind_;
    std::array<unsigned char, 32> raw_{};
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_{nullptr, &EVP_PKEY_free};
  };

  // A token about `subject` by `issuer`; `expires`: seconds since 1970, or 0 for never.
  static std::string Sign(const Key& issuer, const std::string& subject, const std::string& type,
                          const std::string& what, std::int64_t expires) {
    const std::string claims =
        absl::StrCat("{\"jti\":\"", subject,
                     "\",\"iat\":", static_cast<std::int64_t>(std::time(nullptr)) - 3'600,
                     ",\"iss\":\"", issuer.id(), "\",\"name\":\"", type, "\",\"sub\":\"", subject,
                     "\",", expires == 0 ? "" : absl::StrCat("\"exp\":", expires, ","),
                     "\"nats\":{", what, "\"type\":\"", type, "\",\"version\":2}}");
    const std::string text =
        absl::StrCat(Base64(R"({"typ":"JWT","alg":"ed25519-nkey"})"), ".", Base64(claims));
    return absl::StrCat(text, ".", Base64(issuer.Sign(text)));
  }
  static std::string Base64(const std::string& bytes) {
    std::string out;
    absl::WebSafeBase64Escape(bytes, &out);
    while (out.ends_with('=')) out.pop_back();
    return out;
  }

  const Key operator_;
  const Key account_;
  std::string operator_jwt_;
  std::string account_jwt_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_SUPPORT_NATS_ACCOUNTS_H_
