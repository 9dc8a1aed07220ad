// From Grpc options to gRPC's channel arguments.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_OPTIONS_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_OPTIONS_H_

#include <grpc/grpc.h>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/transports/grpc.h"

namespace rookery::grpc_adapter {

// Channel arguments, which borrow their keys and own their strings.
class ChannelArguments final {
 public:
  ChannelArguments() = default;
  ChannelArguments(const ChannelArguments&) = delete;
  ChannelArguments& operator=(const ChannelArguments&) = delete;

  // `key` is a literal.
  void Set(const char* key, int value);
  void Set(const char* key, std::string value);
  void SetPointer(const char* key, void* value, const grpc_arg_pointer_vtable* vtable);
  // Valid until the next Set.
  [[nodiscard]] const grpc_channel_args* get() noexcept;

 private:
  grpc_arg& Append(const char* key);

  std::vector<grpc_arg> arguments_;
  std::deque<std::string> strings_;
  grpc_channel_args view_ = {};
};

// All but the address and the credentials.
void AddListenerArguments(const Grpc& options, ChannelArguments& arguments);
void AddClientArguments(const Grpc& options, ChannelArguments& arguments);
// The service config under which idempotent methods are retried; empty: none are.
[[nodiscard]] std::string RetryServiceConfig(const GrpcRetry& retry);

[[nodiscard]] grpc_compression_algorithm ToAlgorithm(std::string_view name) noexcept;
[[nodiscard]] std::string_view NameOf(GrpcCompression compression) noexcept;

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_OPTIONS_H_
