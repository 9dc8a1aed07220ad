// Proves a transport by the suite that is installed with the library.
#include "rookery/contract/contract.h"
#include "rookery/transports/inproc.h"

int main(int argc, char** argv) {
  rookery::contract::Transport transport;
  transport.name = "inproc";
  transport.listen = [](rookery::Application& app) {
    static int next = 0;
    app.Listen(rookery::InProcess{.name = "proof-" + std::to_string(++next)});
  };
  transport.connect = [](const std::string& endpoint, rookery::TransportHost& host) {
    return MakeChannel(rookery::InProcess{.name = endpoint.substr(endpoint.find(':') + 1)}, host);
  };
  return rookery::contract::Main(argc, argv, {transport});
}
