// A channel to a gateway's JSON, for the contract suite: unary calls as POST, streams as
// WebSockets.
//
//   std::shared_ptr<rookery::Channel> channel = MakeHttpChannel("127.0.0.1:8080", 4 << 20);
//
// What a program would write that has nothing but HTTP: metadata as Grpc-Metadata-NAME, which the
// gateway believes because it trusts the address.
#ifndef ROOKERY_TESTS_CONTRACT_HTTP_CHANNEL_H_
#define ROOKERY_TESTS_CONTRACT_HTTP_CHANNEL_H_

#include <cstddef>
#include <memory>
#include <string>

#include "rookery/rpc/channel.h"

namespace rookery::contract {

// `target`: "127.0.0.1:PORT". Answers above `max_bytes`, as messages, are refused.
[[nodiscard]] std::shared_ptr<Channel> MakeHttpChannel(std::string target, std::size_t max_bytes);

}  // namespace rookery::contract

#endif  // ROOKERY_TESTS_CONTRACT_HTTP_CHANNEL_H_
