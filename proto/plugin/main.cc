// protoc-gen-rookery: makes C++ services and clients of proto services.
//
//   protoc --plugin=protoc-gen-rookery=PATH --cpp_out=OUT --rookery_out=OUT orders.proto
#include <google/protobuf/compiler/plugin.h>

#include "generator.h"

int main(int argc, char** argv) {
  const rookery::plugin::Generator generator;
  return google::protobuf::compiler::PluginMain(argc, argv, &generator);
}
