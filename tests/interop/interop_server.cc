// The server of gRPC's interoperability tests, on Rookery:
//
//   rookery_interop_server --port=10000 [--use_tls --tls_cert=FILE --tls_key=FILE]
//
// Prints "READY PORT" and serves until SIGTERM.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "flags.h"
#include "rookery/transports/grpc.h"
#include "test_service.h"

int main(int argc, char** argv) {
  const rookery::interop::Flags flags(argc, argv);
  rookery::Grpc grpc{.address = flags.Get("host", "127.0.0.1") + ":" + flags.Get("port", "0")};
  grpc.max_receive_bytes = 64 << 20;
  grpc.max_send_bytes = 64 << 20;
  if (flags.GetBool("use_tls")) {
    grpc.tls.emplace();
    grpc.tls->certificate_file = flags.Get("tls_cert", "");
    grpc.tls->key_file = flags.Get("tls_key", "");
  }
  auto app = rookery::Application::Create<rookery::interop::TestServiceModule>();
  app.Listen(grpc);
  app.Start();
  std::printf("READY %s\n",
              app.Endpoints().front().substr(app.Endpoints().front().rfind(':') + 1).c_str());
  std::fflush(stdout);
  return app.Run();
}
