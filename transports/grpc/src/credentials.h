// TLS: from GrpcTls to gRPC's credentials, reloaded when files change.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_CREDENTIALS_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_CREDENTIALS_H_

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/rpc/call_context.h"
#include "rookery/transports/grpc.h"

namespace rookery::grpc_adapter {

// What is wrong with it, a line each. Reads and parses the files.
[[nodiscard]] std::vector<std::string> CheckTls(const GrpcTls& tls, bool server);

// The certificates of a listener. Kept alive as long as the server: handshakes ask it.
class ServerCertificates;
struct ServerCertificatesDelete {
  void operator()(ServerCertificates* certificates) const;
};
using ServerCertificatesPtr = std::unique_ptr<ServerCertificates, ServerCertificatesDelete>;
[[nodiscard]] ServerCertificatesPtr MakeServerCertificates(const GrpcTls& tls);

// Both are released by the caller. The options have been checked.
[[nodiscard]] grpc_server_credentials* MakeServerCredentials(const GrpcTls& tls,
                                                             ServerCertificates& certificates);
[[nodiscard]] grpc_channel_credentials* MakeChannelCredentials(const GrpcTls& tls);

// Who is at the other end, as far as its certificate proves it.
void ReadIdentity(grpc_call* call, Peer* peer);

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_CREDENTIALS_H_
