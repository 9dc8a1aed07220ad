// Generator: writes foo.rookery.h and foo.rookery.cc for foo.proto.
#ifndef ROOKERY_PROTO_PLUGIN_GENERATOR_H_
#define ROOKERY_PROTO_PLUGIN_GENERATOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include <google/protobuf/compiler/code_generator.h>

namespace rookery::plugin {

// What the generated code expects of rookery/rpc/generated.h: kCodegenVersion there.
inline constexpr int kCodegenVersion = 1;

// For each service an abstract XService, an XClient and their table of methods. Both files are
// always written, so that a build system knows them beforehand. The same input gives the same
// bytes.
class Generator final : public google::protobuf::compiler::CodeGenerator {
 public:
  bool Generate(const google::protobuf::FileDescriptor* file, const std::string& parameter,
                google::protobuf::compiler::GeneratorContext* context,
                std::string* error) const override;
  // All files at once, so that all faults are told at once.
  bool GenerateAll(const std::vector<const google::protobuf::FileDescriptor*>& files,
                   const std::string& parameter,
                   google::protobuf::compiler::GeneratorContext* context,
                   std::string* error) const override;
  std::uint64_t GetSupportedFeatures() const override { return FEATURE_PROTO3_OPTIONAL; }
};

}  // namespace rookery::plugin

#endif  // ROOKERY_PROTO_PLUGIN_GENERATOR_H_
