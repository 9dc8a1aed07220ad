#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "certificates.h"
#include "node.h"
#include "rookery/platform/log.h"
#include "tcp.h"

namespace rookery::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class TlsTest : public ::testing::Test {
 protected:
  static GrpcTls Server(const Identity& identity) {
    GrpcTls tls;
    tls.certificate = identity.certificate;
    tls.key = identity.key;
    return tls;
  }
  static absl::Status Say(EchoNode& node, const GrpcTls& tls) {
    Grpc options;
    options.tls = tls;
    // Unequal arguments: or gRPC might share a connection, and its wait before it tries again.
    static int count = 0;
    options.user_agent = absl::StrCat("test-", ++count);
    EchoClient client(node.Connect(options));
    CallOptions call;
    call.timeout = std::chrono::seconds(20);
    return SyncWaitStatus(client.Say(Text("secret"), std::move(call))).status();
  }
  GrpcTls Trusting() const {
    GrpcTls tls;
    tls.ca = authority_.pem();
    return tls;
  }

  Authority authority_{"test CA"};
  Identity server_ = authority_.Issue("server", {"DNS:localhost", "IP:127.0.0.1"});
};

TEST_F(TlsTest, Encrypts) {
  EchoNode node;
  Grpc options;
  options.tls = Server(server_);
  ASSERT_TRUE(node.Start(options).ok());
  const absl::Status status = Say(node, Trusting());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(node.controller->peer().authenticated);
  // Plain text gets nowhere, and takes nothing down.
  Grpc plain;
  EchoClient client(node.Connect(plain));
  EXPECT_EQ(SyncWaitStatus(client.Say(Text("x"))).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(SendsAndIsClosed(node.port(), "GET / HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(Eventually([&] { return node.stats.Snapshot().total_rejected() >= 2; }));
  // The look of a handshake, and no more.
  const std::uint64_t before = node.stats.Snapshot().total_rejected();
  EXPECT_TRUE(SendsAndIsClosed(node.port(), std::string("\x16\x03\x01\0\x04oops", 9)));
  EXPECT_TRUE(Eventually([&] { return node.stats.Snapshot().total_rejected() > before; }));
  EXPECT_TRUE(Say(node, Trusting()).ok());
}

TEST_F(TlsTest, ClientsCheckTheServer) {
  EchoNode node;
  Grpc options;
  options.tls = Server(server_);
  ASSERT_TRUE(node.Start(options).ok());
  GrpcTls stranger;
  stranger.ca = Authority("another CA").pem();
  EXPECT_EQ(Say(node, stranger).code(), absl::StatusCode::kUnavailable);
  GrpcTls misnamed = Trusting();
  misnamed.server_name = "example.org";
  EXPECT_EQ(Say(node, misnamed).code(), absl::StatusCode::kUnavailable);
  GrpcTls named = Trusting();
  named.server_name = "localhost";
  EXPECT_TRUE(Say(node, named).ok());
}

TEST_F(TlsTest, AnExpiredServerIsRefused) {
  EchoNode node;
  Grpc options;
  options.tls = Server(authority_.Issue("server", {"IP:127.0.0.1"}, -60));
  ASSERT_TRUE(node.Start(options).ok());
  EXPECT_EQ(Say(node, Trusting()).code(), absl::StatusCode::kUnavailable);
}

TEST_F(TlsTest, MutualTlsTellsWhoCalls) {
  EchoNode node;
  Grpc options;
  options.tls = Server(server_);
  options.tls->ca = authority_.pem();
  options.tls->client_auth = GrpcTls::ClientAuth::kRequire;
  ASSERT_TRUE(node.Start(options).ok());

  EXPECT_EQ(Say(node, Trusting()).code(), absl::StatusCode::kUnavailable);  // no certificate
  EXPECT_TRUE(Eventually([&] { return node.stats.Snapshot().total_rejected() > 0; }));
  const auto call_as = [&](const Identity& identity) {
    GrpcTls tls = Trusting();
    tls.certificate = identity.certificate;
    tls.key = identity.key;
    return Say(node, tls);
  };
  EXPECT_EQ(call_as(Authority("another CA").Issue("mallory", {})).code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(call_as(authority_.Issue("late", {}, -60)).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(node.controller->calls, 0);

  ASSERT_TRUE(
      call_as(authority_.Issue("orders", {"DNS:orders.shop", "URI:spiffe://shop/orders"})).ok());
  EXPECT_TRUE(node.controller->peer().authenticated);
  EXPECT_EQ(node.controller->peer().identity, "spiffe://shop/orders");
  EXPECT_EQ(node.controller->peer().subject, "orders");
  EXPECT_THAT(node.controller->peer().names, Contains("orders.shop"));
  EXPECT_THAT(node.controller->peer().certificate_pem, HasSubstr("BEGIN CERTIFICATE"));
  ASSERT_TRUE(call_as(authority_.Issue("orders", {"DNS:orders.shop"})).ok());
  EXPECT_EQ(node.controller->peer().identity, "orders.shop");
  ASSERT_TRUE(call_as(authority_.Issue("orders", {})).ok());
  EXPECT_EQ(node.controller->peer().identity, "orders");
}

TEST_F(TlsTest, RequestedCertificatesAreOptional) {
  EchoNode node;
  Grpc options;
  options.tls = Server(server_);
  options.tls->ca = authority_.pem();
  options.tls->client_auth = GrpcTls::ClientAuth::kRequest;
  ASSERT_TRUE(node.Start(options).ok());
  EXPECT_TRUE(Say(node, Trusting()).ok());
  EXPECT_FALSE(node.controller->peer().authenticated);
  GrpcTls tls = Trusting();
  const Identity orders = authority_.Issue("orders", {});
  tls.certificate = orders.certificate;
  tls.key = orders.key;
  EXPECT_TRUE(Say(node, tls).ok());
  EXPECT_TRUE(node.controller->peer().authenticated);
}

void WriteFile(const std::string& path, const std::string& text) {
  // By renaming, as certificate managers do.
  const std::string fresh = path + ".new";
  std::ofstream(fresh) << text;
  std::rename(fresh.c_str(), path.c_str());
}

TEST_F(TlsTest, ReloadsChangedFiles) {
  const std::string certificate_file = ::testing::TempDir() + "rookery-tls.pem";
  const std::string key_file = ::testing::TempDir() + "rookery-tls.key";
  WriteFile(certificate_file, server_.certificate);
  WriteFile(key_file, server_.key);
  EchoNode node;
  Grpc options;
  options.tls = GrpcTls();
  options.tls->certificate_file = certificate_file;
  options.tls->key_file = key_file;
  options.tls->reload_interval = std::chrono::seconds(1);
  ASSERT_TRUE(node.Start(options).ok());
  Grpc held_options;
  held_options.tls = Trusting();
  EchoClient held(node.Connect(held_options));
  ASSERT_TRUE(SyncWaitStatus(held.Say(Text("x"))).ok());

  Authority renewed("renewed CA");
  GrpcTls trusting_renewed;
  trusting_renewed.ca = renewed.pem();
  EXPECT_EQ(Say(node, trusting_renewed).code(), absl::StatusCode::kUnavailable);
  // A half-written pair is passed over ...
  const Identity fresh = renewed.Issue("server", {"IP:127.0.0.1"});
  WriteFile(certificate_file, fresh.certificate);
  std::this_thread::sleep_for(std::chrono::milliseconds(1'100));
  EXPECT_TRUE(Say(node, Trusting()).ok());
  // ... and a whole one is taken up, while old connections live on.
  WriteFile(key_file, fresh.key);
  EXPECT_TRUE(Eventually([&] { return Say(node, trusting_renewed).ok(); }));
  EXPECT_FALSE(Say(node, Trusting()).ok());
  EXPECT_TRUE(SyncWaitStatus(held.Say(Text("x"))).ok());
  std::remove(certificate_file.c_str());
  std::remove(key_file.c_str());
}

TEST_F(TlsTest, ClientsReadFiles) {
  const std::string ca_file = ::testing::TempDir() + "rookery-ca.pem";
  WriteFile(ca_file, authority_.pem());
  EchoNode node;
  Grpc options;
  options.tls = Server(server_);
  ASSERT_TRUE(node.Start(options).ok());
  GrpcTls tls;
  tls.ca_file = ca_file;
  const absl::Status status = Say(node, tls);
  EXPECT_TRUE(status.ok()) << status;
  std::remove(ca_file.c_str());
}

TEST_F(TlsTest, SaysWhatIsWrongWithCertificates) {
  const auto fault = [](const GrpcTls& tls) {
    Grpc options;
    options.address = "127.0.0.1:0";
    options.tls = tls;
    return std::string(CheckGrpcListener(options).message());
  };
  EXPECT_EQ(fault(Server(server_)), "");
  GrpcTls tls = Server(server_);
  tls.key = authority_.Issue("other", {}).key;
  EXPECT_THAT(fault(tls), HasSubstr("tls.key is not the key of tls.certificate"));
  tls = Server(server_);
  tls.certificate = "not a certificate";
  EXPECT_THAT(fault(tls), HasSubstr("tls.certificate is not a PEM certificate"));
  tls = Server(server_);
  tls.certificate.clear();
  tls.certificate_file = "/nowhere/server.pem";
  EXPECT_THAT(fault(tls), HasSubstr("cannot read /nowhere/server.pem"));
  tls = Server(server_);
  tls.client_auth = GrpcTls::ClientAuth::kRequire;
  EXPECT_THAT(fault(tls), HasSubstr("client_auth needs ca"));
}

}  // namespace
}  // namespace rookery::testing
