#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "grpc/certificates.h"
#include "http_node.h"

namespace rookery::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

struct Shaken {
  bool ok = false;
  int version = 0;
  std::string server;  // the subject of its certificate
  std::string answer;
};

// A handshake, a request, and what came back.
struct TlsClient {
  const Identity* identity = nullptr;
  int max_version = 0;
  std::string protocols = {};
  std::string ciphers = {};

  Shaken Ask(int port, const std::string& path = "/who") const {
    struct Delete {
      void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
      void operator()(SSL* ssl) const { SSL_free(ssl); }
      void operator()(X509* certificate) const { X509_free(certificate); }
      void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
      void operator()(BIO* bio) const { BIO_free(bio); }
    };
    const std::unique_ptr<SSL_CTX, Delete> context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_security_level(context.get(), 0);
    if (max_version != 0) {
      SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
      SSL_CTX_set_max_proto_version(context.get(), max_version);
    }
    if (!ciphers.empty()) SSL_CTX_set_cipher_list(context.get(), ciphers.c_str());
    if (!protocols.empty()) {
      SSL_CTX_set_alpn_protos(context.get(),
                              reinterpret_cast<const unsigned char*>(protocols.data()),
                              static_cast<unsigned>(protocols.size()));
    }
    if (identity != nullptr) {
      const std::unique_ptr<BIO, Delete> certificate(
          BIO_new_mem_buf(identity->certificate.data(), -1));
      const std::unique_ptr<X509, Delete> x509(
          PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr));
      const std::unique_ptr<BIO, Delete> key_text(BIO_new_mem_buf(identity->key.data(), -1));
      const std::unique_ptr<EVP_PKEY, Delete> key(
          PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
      SSL_CTX_use_certificate(context.get(), x509.get());
      SSL_CTX_use_PrivateKey(context.get(), key.get());
    }
    HttpPeer peer(port);
    timeval patience = {60, 0};
    ::setsockopt(peer.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const std::unique_ptr<SSL, Delete> ssl(SSL_new(context.get()));
    SSL_set_fd(ssl.get(), peer.fd());
    Shaken shaken;
    if (SSL_connect(ssl.get()) != 1) return shaken;
    shaken.version = SSL_version(ssl.get());
    const std::unique_ptr<X509, Delete> theirs(SSL_get1_peer_certificate(ssl.get()));
    char name[128] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(theirs.get()), NID_commonName, name,
                              sizeof name);
    shaken.server = name;
    const std::string request =
        absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    if (SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())) <= 0) return shaken;
    char buffer[4096];
    for (;;) {
      const int got = SSL_read(ssl.get(), buffer, sizeof buffer);
      if (got <= 0) break;
      shaken.answer.append(buffer, static_cast<std::size_t>(got));
    }
    shaken.ok = !shaken.answer.empty();
    return shaken;
  }
};

class HttpTlsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ::signal(SIGPIPE, SIG_IGN); }  // the client's: SSL_set_fd writes
  HttpTls Tls() const {
    HttpTls tls;
    tls.certificate = server_.certificate;
    tls.key = server_.key;
    return tls;
  }
  Authority authority_{"test CA"};
  Identity server_ = authority_.Issue("server", {"DNS:localhost", "IP:127.0.0.1"});
};

TEST_F(HttpTlsTest, Encrypts) {
  HttpNode node;
  node.options.tls = Tls();
  ASSERT_TRUE(node.Start().ok());
  const Shaken shaken = TlsClient{}.Ask(node.port());
  EXPECT_TRUE(shaken.ok);
  EXPECT_EQ(shaken.version, TLS1_3_VERSION);
  EXPECT_THAT(shaken.answer, EndsWith(" tls unknown "));
  // A stream of several records.
  EXPECT_THAT(TlsClient{}.Ask(node.port(), "/stream").answer, EndsWith("\r\n0\r\n\r\n"));
}

TEST_F(HttpTlsTest, RefusesWhatIsOldOrWeak) {
  HttpNode node;
  node.options.tls = Tls();
  ASSERT_TRUE(node.Start().ok());
  EXPECT_TRUE(TlsClient{.max_version = TLS1_2_VERSION}.Ask(node.port()).ok);
  EXPECT_FALSE(TlsClient{.max_version = TLS1_1_VERSION}.Ask(node.port()).ok);
  TlsClient weak{.max_version = TLS1_2_VERSION};
  weak.ciphers = "AES128-SHA:ECDHE-ECDSA-AES128-SHA";
  EXPECT_FALSE(weak.Ask(node.port()).ok);
  EXPECT_EQ(node.application.served, 1);
}

TEST_F(HttpTlsTest, AgreesOnHttp11Alone) {
  HttpNode node;
  node.options.tls = Tls();
  ASSERT_TRUE(node.Start().ok());
  TlsClient both;
  both.protocols = "\x02h2\x08http/1.1";
  EXPECT_TRUE(both.Ask(node.port()).ok);
  TlsClient h2;
  h2.protocols = "\x02h2";
  EXPECT_FALSE(h2.Ask(node.port()).ok);
}

TEST_F(HttpTlsTest, KnowsClientsByTheirCertificates) {
  HttpNode node;
  node.options.tls = Tls();
  node.options.tls->ca = authority_.pem();
  node.options.tls->client_auth = HttpTls::ClientAuth::kRequire;
  ASSERT_TRUE(node.Start().ok());
  const Identity client = authority_.Issue("ada", {"DNS:ada.example", "URI:spiffe://example/ada"});
  const Shaken shaken = TlsClient{.identity = &client}.Ask(node.port());
  EXPECT_THAT(shaken.answer, EndsWith(" tls known spiffe://example/ada"));
  const Identity plain = authority_.Issue("bob", {});
  EXPECT_THAT(TlsClient{.identity = &plain}.Ask(node.port()).answer, EndsWith(" tls known bob"));
  EXPECT_EQ(node.application.served, 2);
  // None, expired, and of another authority.
  EXPECT_FALSE(TlsClient{}.Ask(node.port()).ok);
  const Identity expired = authority_.Issue("ada", {}, -60);
  EXPECT_FALSE(TlsClient{.identity = &expired}.Ask(node.port()).ok);
  Authority other("another CA");
  const Identity foreign = other.Issue("ada", {});
  EXPECT_FALSE(TlsClient{.identity = &foreign}.Ask(node.port()).ok);
  EXPECT_EQ(node.application.served, 2);
  EXPECT_TRUE(Soon([&] { return node.rejected(absl::StatusCode::kUnauthenticated) >= 3u; }));
}

TEST_F(HttpTlsTest, AsksForCertificatesThatNeedNotBe) {
  HttpNode node;
  node.options.tls = Tls();
  node.options.tls->ca = authority_.pem();
  node.options.tls->client_auth = HttpTls::ClientAuth::kRequest;
  ASSERT_TRUE(node.Start().ok());
  EXPECT_THAT(TlsClient{}.Ask(node.port()).answer, EndsWith(" tls unknown "));
  const Identity client = authority_.Issue("ada", {"DNS:ada.example"});
  EXPECT_THAT(TlsClient{.identity = &client}.Ask(node.port()).answer,
              EndsWith(" tls known ada.example"));
}

TEST_F(HttpTlsTest, ReloadsCertificates) {
  char folder[] = "/tmp/rookery-http-tls-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string certificate = absl::StrCat(folder, "/cert.pem");
  const std::string key = absl::StrCat(folder, "/key.pem");
  const auto write = [&](const Identity& identity) {
    std::ofstream(certificate, std::ios::trunc) << identity.certificate;
    std::ofstream(key, std::ios::trunc) << identity.key;
  };
  write(server_);
  HttpNode node;
  HttpTls tls;
  tls.certificate_file = certificate;
  tls.key_file = key;
  tls.reload_interval = std::chrono::seconds(1);
  node.options.tls = tls;
  ASSERT_TRUE(node.Start().ok());
  EXPECT_EQ(TlsClient{}.Ask(node.port()).server, "server");
  // A file that is not whole changes nothing.
  std::ofstream(certificate, std::ios::trunc) << server_.certificate.substr(0, 50);
  std::this_thread::sleep_for(std::chrono::milliseconds(1'100));
  EXPECT_EQ(TlsClient{}.Ask(node.port()).server, "server");
  write(authority_.Issue("renewed", {"DNS:localhost"}));
  int failed = 0;
  EXPECT_TRUE(Soon([&] {
    const Shaken shaken = TlsClient{}.Ask(node.port());
    failed += shaken.ok ? 0 : 1;
    return shaken.server == "renewed";
  }));
  EXPECT_EQ(failed, 0);
  std::remove(certificate.c_str());
  std::remove(key.c_str());
  ::rmdir(folder);
}

TEST_F(HttpTlsTest, TellsWhoSpeaksPlainText) {
  HttpNode node;
  node.options.tls = Tls();
  node.options.limits.header_time = std::chrono::milliseconds(300);
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  const HttpAnswer answer = peer.ReadAnswer();
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("https"));
  // Nothing, and half a handshake.
  HttpPeer silent(node.port());
  HttpPeer half(node.port());
  half.Send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  EXPECT_TRUE(silent.IsClosed());
  EXPECT_TRUE(half.IsClosed());
  EXPECT_EQ(node.application.served, 0);
}

TEST_F(HttpTlsTest, SaysAllThatIsWrong) {
  HttpNode node;
  HttpTls tls;
  tls.certificate = server_.certificate;
  tls.key = authority_.Issue("other", {}).key;
  tls.client_auth = HttpTls::ClientAuth::kRequire;
  node.options.tls = tls;
  const absl::Status status = node.Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("tls.key is not the key of tls.certificate"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("client_auth needs ca or ca_file"));
}

}  // namespace
}  // namespace rookery::testing
