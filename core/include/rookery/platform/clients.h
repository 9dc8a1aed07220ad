// ClientsModule: clients of other services as providers. Nest's ClientsModule.
//
//   module.Import(rookery::ClientsModule::Register(
//       rookery::Client<pay::v1::PaymentsClient>(Grpc{.address = "dns:///payments:50051"}),
//       rookery::Client<shop::v1::InventoryClient>(InProcess{})));
//
// A controller then asks for `PaymentsClient&` in its constructor and does not know what carries
// it.
// A client connects at its first call. Its channel is closed when the application shuts down, after
// the last call has ended.
#ifndef ROOKERY_PLATFORM_CLIENTS_H_
#define ROOKERY_PLATFORM_CLIENTS_H_

#include <memory>
#include <mutex>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include "rookery/module/dynamic_module.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/client.h"
#include "rookery/rpc/transport.h"

namespace rookery {

namespace internal {

// The channels of one ClientsModule; closes them at the end. A channel may serve several clients.
class OpenChannels final {
 public:
  void Add(std::shared_ptr<Channel> channel);
  void OnApplicationShutdown() noexcept;

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Channel>> channels_;
};

}  // namespace internal

// A client of type X over a transport's options; made by Client<X>(options), for ClientsModule.
template <class X, class Options>
class ClientOf final {
 public:
  explicit ClientOf(Options options) : options_(std::move(options)) {}

  // Adds the provider of X to `module`.
  void AddTo(DynamicModule& module, std::source_location where) && {
    module
        .ProvideFactory<X>(
            [options = std::move(options_)](TransportHost& host, internal::OpenChannels& channels) {
              std::shared_ptr<Channel> channel = MakeChannel(options, host);
              channels.Add(channel);
              return X(std::move(channel));
            },
            where)
        .template Export<X>(where);
  }

 private:
  Options options_;
};

// A client of type X (a generated XClient) over the transport that `options` belong to. Nothing is
// connected yet.
template <class X, class Options>
[[nodiscard]] ClientOf<X, Options> Client(Options options) {
  static_assert(std::is_base_of_v<ClientBase, X>,
                "rookery: Client<X>(options): X must be a generated client such as OrdersClient");
  static_assert(
      requires(TransportHost& host) { MakeChannel(options, host); },
      "rookery: Client<X>(options): these are no options of a client transport; include its "
      "header, "
      "e.g. rookery/transports/grpc.h");
  return ClientOf<X, Options>(std::move(options));
}

// See the top of this file.
struct ClientsModule {
  // A module that provides and exports the clients named. Two calls give two modules, with channels
  // of their own: keep the result to share it.
  template <class... X, class... Options>
  [[nodiscard]] static DynamicModule Register(ClientOf<X, Options>... clients) {
    const auto where = std::source_location::current();
    DynamicModule module = DynamicModule::Of<ClientsModule>(where);
    module.Provide<internal::OpenChannels>(where);
    (std::move(clients).AddTo(module, where), ...);
    return module;
  }
};

}  // namespace rookery

#endif  // ROOKERY_PLATFORM_CLIENTS_H_
