// TLS of the listener: from HttpTls to OpenSSL's contexts, made anew when files change. Private.
//
//   TlsContexts contexts(*options.tls);
//   absl::Status made = contexts.Load();
//   SslPtr ssl = contexts.NewSession(fd);     // for each connection; null: no memory
//   SSL_accept(ssl.get()) ...                 // never blocks, never raises SIGPIPE
//   ReadIdentity(ssl.get(), &peer);
#ifndef ROOKERY_SRC_GATEWAY_HTTP_TLS_H_
#define ROOKERY_SRC_GATEWAY_HTTP_TLS_H_

#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "rookery/gateway/http_gateway.h"
#include "rookery/rpc/call_context.h"

namespace rookery::internal::gateway {

struct SslDelete {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, SslDelete>;

// What is wrong with it, a line each. Reads and parses the files.
[[nodiscard]] std::vector<std::string> CheckHttpTls(const HttpTls& tls);

// The certificates of a listener. Thread-safe.
class TlsContexts final {
 public:
  explicit TlsContexts(HttpTls tls) : tls_(std::move(tls)) {}
  TlsContexts(const TlsContexts&) = delete;
  TlsContexts& operator=(const TlsContexts&) = delete;

  // For the first time: fails with every fault.
  [[nodiscard]] absl::Status Load();
  // A session on the certificates as they are now, on a socket that does not block and outlives it.
  [[nodiscard]] SslPtr NewSession(int fd);

 private:
  // Identifies a version of a file; all zero for none.
  struct FileVersion {
    std::int64_t seconds = 0;
    std::int64_t nanos = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    bool operator==(const FileVersion&) const = default;
  };
  static FileVersion VersionOf(const std::string& path);
  [[nodiscard]] std::shared_ptr<SSL_CTX> Current();

  const HttpTls tls_;
  std::mutex mutex_;
  std::shared_ptr<SSL_CTX> context_;  // guarded by mutex_, as are those below
  std::vector<FileVersion> versions_;
  std::chrono::steady_clock::time_point next_look_;
};

// Who is at the other end, as far as its certificate proves it. After the handshake.
void ReadIdentity(SSL* ssl, Peer* peer);

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_HTTP_TLS_H_
