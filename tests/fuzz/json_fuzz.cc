// Fuzzes the JSON codec: any text, and any message's bytes.
//
// The first byte chooses the message and the direction. Whatever is read can be written, and what
// was written once comes back the same for ever after.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/stubs/logging.h>

#include "rookery/rpc/json.h"
#include "zoo.pb.h"
#include "zoo2.pb.h"

namespace rookery {
namespace {

using google::protobuf::Message;

constexpr std::uint8_t kFromWire = 4;
constexpr std::uint8_t kLenient = 8;
constexpr std::uint8_t kDefaults = 16;

const Message& Prototype(std::uint8_t choice) {
  switch (choice & 3) {
    case 0:
      return testing::Zoo::default_instance();
    case 1:
      return testing::Zoo2::default_instance();
    case 2:
      return google::protobuf::Value::default_instance();
    default:
      return google::protobuf::Any::default_instance();
  }
}

[[noreturn]] void Fail(const char* what, const absl::Status& status, std::string_view text) {
  std::fprintf(stderr, "%s: %s\n%.*s\n", what, status.ToString().c_str(),
               static_cast<int>(text.size()), text.data());
  std::abort();
}

// Writes it, reads that, and so on, until it must no longer change.
void GoRound(const Message& message, bool must_be_written, const JsonWriteOptions& options) {
  std::string first;
  const absl::Status written = AppendMessageAsJson(message, options, &first);
  if (!written.ok()) {
    if (must_be_written) Fail("what was read cannot be written", written, message.DebugString());
    return;
  }
  const std::unique_ptr<Message> read(message.New());
  absl::Status status = JsonToMessage(first, read.get());
  if (!status.ok()) Fail("what was written cannot be read", status, first);
  std::string second;
  status = AppendMessageAsJson(*read, options, &second);
  if (!status.ok()) Fail("what came back cannot be written", status, first);
  status = JsonToMessage(second, read.get());
  if (!status.ok()) Fail("what was written twice cannot be read", status, second);
  std::string third;
  status = AppendMessageAsJson(*read, options, &third);
  if (!status.ok() || second != third) Fail("it still changes", status, second + "\n" + third);
}

}  // namespace
}  // namespace rookery

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Protobuf says on stderr what text is not UTF-8.
  static const google::protobuf::LogSilencer silence;
  if (size == 0) return 0;
  const std::uint8_t choice = data[0];
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::unique_ptr<google::protobuf::Message> message(rookery::Prototype(choice).New());
  const rookery::JsonWriteOptions options{
      .always_print_fields_with_no_presence = (choice & rookery::kDefaults) != 0,
      .sort_map_keys = true,
  };
  if ((choice & rookery::kFromWire) != 0) {
    if (message->ParseFromArray(input.data(), static_cast<int>(input.size()))) {
      rookery::GoRound(*message, false, options);
    }
    return 0;
  }
  const rookery::JsonReadOptions lenient{
      .ignore_unknown_fields = (choice & rookery::kLenient) != 0,
  };
  if (rookery::JsonToMessage(input, message.get(), lenient).ok()) {
    rookery::GoRound(*message, true, options);
  }
  return 0;
}
