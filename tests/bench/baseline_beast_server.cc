// The baseline of the gateway's benchmark: hello on bare Boost.Beast, with the JSON that ours
// answers with.
//
//   baseline_beast_server
//
// As fast as Beast goes: a socket typed on its executor, no timer, one thread, parser and buffer
// used again, the body a string.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_static_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "server_control.h"

namespace rookery::bench {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Socket = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;

class Session final : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(Socket socket) : socket_(std::move(socket)) {
    response_.set(http::field::content_type, "application/json");
  }
  void Read() {
    parser_.emplace();
    http::async_read(socket_, buffer_, *parser_,
                     [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                       if (!error) self->Answer();
                     });
  }

 private:
  void Answer() {
    // The text that was sent, so that the client can tell whose answer it is.
    response_.body() = parser_->get().body();
    response_.prepare_payload();
    http::async_write(socket_, response_,
                      [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                        if (!error) self->Read();
                      });
  }

  Socket socket_;
  boost::beast::flat_static_buffer<8192> buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_{http::status::ok, 11};
};

void Accept(Acceptor& acceptor) {
  acceptor.async_accept([&acceptor](boost::system::error_code error, Socket socket) {
    if (error) return;
    socket.set_option(asio::ip::tcp::no_delay(true));
    std::make_shared<Session>(std::move(socket))->Read();
    Accept(acceptor);
  });
}

int Serve() {
  asio::io_context io(1);
  Acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  Accept(acceptor);
  std::thread thread([&io] { io.run(); });
  SayReady(acceptor.local_endpoint().port());
  ObeyRunner();
  io.stop();
  thread.join();
  return 0;
}

}  // namespace
}  // namespace rookery::bench

int main() { return rookery::bench::Serve(); }
