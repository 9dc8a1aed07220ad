#include "rookery/pipeline/reflector.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

namespace rookery::internal {
namespace {

// Null for a hand-registered pattern.
const google::protobuf::MethodDescriptor* ProtoOf(const MethodInfo& method) {
  const auto proto = method.descriptor().proto;
  return proto == nullptr ? nullptr : proto();
}

}  // namespace

const google::protobuf::MethodOptions& OptionsOf(const MethodInfo& method,
                                                 const google::protobuf::MethodOptions*) {
  const auto* const proto = ProtoOf(method);
  return proto == nullptr ? google::protobuf::MethodOptions::default_instance() : proto->options();
}

const google::protobuf::ServiceOptions& OptionsOf(const MethodInfo& method,
                                                  const google::protobuf::ServiceOptions*) {
  const auto* const proto = ProtoOf(method);
  return proto == nullptr ? google::protobuf::ServiceOptions::default_instance()
                          : proto->service()->options();
}

}  // namespace rookery::internal
