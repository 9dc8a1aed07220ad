// Fuzzes query strings: any text, into a message with fields of every kind. What was read can be
// written as JSON.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/stubs/logging.h>

#include "http_rules.pb.h"
#include "rookery/rpc/json.h"
#include "transcode.h"
#include "zoo.pb.h"

namespace rookery::internal::gateway {
namespace {

void Check(std::string_view query, google::protobuf::Message* message) {
  // GET without variables: all of it comes from the query.
  Binding binding;
  TranscodeOptions options;
  options.max_query_parameters = 64;
  const absl::Status read = FillRequest(binding, {{}, query, "", ""}, options, message);
  if (!read.ok()) {
    if (read.code() != absl::StatusCode::kInvalidArgument) std::abort();
    return;
  }
  std::string json;
  const absl::Status written = AppendMessageAsJson(*message, {}, &json);
  if (!written.ok()) {
    std::fprintf(stderr, "what was read cannot be written: %s\n%.*s\n", written.ToString().c_str(),
                 static_cast<int>(query.size()), query.data());
    std::abort();
  }
}

}  // namespace
}  // namespace rookery::internal::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const google::protobuf::LogSilencer silence;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  rookery::testing::BookRequest request;
  rookery::internal::gateway::Check(input, &request);
  rookery::testing::Zoo zoo;
  rookery::internal::gateway::Check(input, &zoo);
  return 0;
}
