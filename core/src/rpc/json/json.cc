#include "rookery/rpc/json.h"

#include <cstdint>
#include <utility>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>

#include "absl/strings/str_cat.h"
#include "rpc/json/bytes.h"
#include "rpc/json/fault.h"
#include "rpc/json/plan.h"
#include "rpc/json/reader.h"
#include "rpc/json/structure.h"
#include "rpc/json/text.h"
#include "rpc/json/writer.h"

namespace rookery {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using internal::json::Bytes;
using internal::json::FieldPlan;
using internal::json::JsonStructure;
using internal::json::MessagePlan;
using internal::json::Plans;
using internal::json::Reader;
using internal::json::Writer;

// What a thread keeps of its work space from one message to the next.
constexpr std::size_t kKept = std::size_t{1} << 18;

struct Scratch {
  Bytes wire;
  Bytes text;
  JsonStructure structure;
  std::string unescaped;
  bool busy = false;
};

// The thread's work space, or one of its own if that is in use, by whoever serialises a message
// from within one's serialisation.
class Work final {
 public:
  Work() : scratch_(OfThread()) {
    if (scratch_->busy) {
      own_ = std::make_unique<Scratch>();
      scratch_ = own_.get();
    }
    scratch_->busy = true;
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  ~Work() {
    scratch_->busy = false;
    scratch_->wire.Clear(kKept);
    scratch_->text.Clear(kKept);
    scratch_->structure.Clear(kKept);
    if (scratch_->unescaped.capacity() > kKept) std::string().swap(scratch_->unescaped);
  }
  Scratch* operator->() const noexcept { return scratch_; }

 private:
  static Scratch* OfThread() {
    thread_local Scratch scratch;
    return &scratch;
  }
  std::unique_ptr<Scratch> own_;
  Scratch* scratch_;
};

// Of the messages that are linked in: they live as long as the process, and so do these.
const Plans& GeneratedPlans() {
  static const Plans* const plans =
      std::make_unique<Plans>(DescriptorPool::generated_pool()).release();
  return *plans;
}

// Of whichever pool a message is from.
class PlansFor final {
 public:
  explicit PlansFor(const Message& message) {
    const DescriptorPool* const pool = message.GetDescriptor()->file()->pool();
    if (pool == DescriptorPool::generated_pool()) {
      plans_ = &GeneratedPlans();
    } else {
      own_ = std::make_unique<Plans>(pool);
      plans_ = own_.get();
    }
  }
  const Plans& operator*() const noexcept { return *plans_; }

 private:
  std::unique_ptr<Plans> own_;
  const Plans* plans_ = nullptr;
};

absl::Status ToStatus(JsonFault& found, bool too_large, JsonFault* fault) {
  std::string message =
      found.path.empty() ? found.reason : absl::StrCat(found.path, ": ", found.reason);
  if (fault != nullptr) *fault = std::move(found);
  return too_large ? absl::ResourceExhaustedError(message) : absl::InvalidArgumentError(message);
}

// Line by line, two spaces a level. `json` is what the writer wrote: no space outside of strings.
void Indent(std::string_view json, std::string* out) {
  std::size_t depth = 0;
  const auto line = [&] {
    out->push_back('\n');
    out->append(2 * depth, ' ');
  };
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    switch (c) {
      case '"': {
        const std::size_t begin = i++;
        while (json[i] != '"') i += json[i] == '\\' ? 2 : 1;
        out->append(json, begin, i - begin + 1);
        break;
      }
      case '{':
      case '[':
        out->push_back(c);
        if (json[i + 1] == '}' || json[i + 1] == ']') {
          out->push_back(json[++i]);
        } else {
          ++depth;
          line();
        }
        break;
      case '}':
      case ']':
        --depth;
        line();
        out->push_back(c);
        break;
      case ',':
        out->push_back(c);
        line();
        break;
      case ':':
        out->append(": ");
        break;
      default:
        out->push_back(c);
    }
  }
}

absl::Status Write(const Plans& plans, const Message& message, const FieldDescriptor* field,
                   const JsonWriteOptions& options, std::string* out, JsonFault* fault) {
  const Work work;
  Writer writer(plans, options, &work->wire, &work->text);
  const bool written =
      field == nullptr ? writer.Message(message) : writer.Field(message, plans.Of(*field));
  if (!written) return ToStatus(writer.fault(), writer.too_large(), fault);
  if (options.pretty) {
    Indent(work->text.view(), out);
  } else {
    out->append(work->text.view());
  }
  return absl::OkStatus();
}

absl::Status Read(const Plans& plans, std::string_view json, Message* message,
                  const JsonReadOptions& options, JsonFault* fault) {
  const Work work;
  Reader reader(plans, options, &work->structure, &work->wire, &work->unescaped);
  if (!reader.Message(json, plans.Of(*message->GetDescriptor()))) {
    return ToStatus(reader.fault(), reader.too_large(), fault);
  }
  JsonFault found;
  if (!message->ParsePartialFromArray(work->wire.data(), static_cast<int>(work->wire.size()))) {
    message->Clear();
    found.reason = absl::StrCat("does not make a ", message->GetTypeName());
    return ToStatus(found, false, fault);
  }
  if (!message->IsInitialized()) {
    found.reason = absl::StrCat("lacks required fields: ", message->InitializationErrorString());
    return ToStatus(found, false, fault);
  }
  return absl::OkStatus();
}

absl::Status WrongField(const Message& message, const FieldDescriptor& field) {
  return absl::InvalidArgumentError(
      absl::StrCat(field.full_name(), " is no field of ", message.GetTypeName()));
}

absl::Status ReadField(std::string_view json, const FieldDescriptor& field, bool replace,
                       const JsonReadOptions& options, Message* message, JsonFault* fault) {
  if (field.containing_type() != message->GetDescriptor()) return WrongField(*message, field);
  const PlansFor plans(*message);
  const Work work;
  Reader reader(*plans, options, &work->structure, &work->wire, &work->unescaped);
  if (!reader.FieldValue(json, (*plans).Of(field))) {
    return ToStatus(reader.fault(), reader.too_large(), fault);
  }
  if (replace) message->GetReflection()->ClearField(message, &field);
  google::protobuf::io::CodedInputStream input(
      reinterpret_cast<const std::uint8_t*>(work->wire.data()),
      static_cast<int>(work->wire.size()));
  if (work->wire.size() != 0 && !message->MergePartialFromCodedStream(&input)) {
    JsonFault found{field.json_name(), absl::StrCat("does not make a ", message->GetTypeName())};
    return ToStatus(found, false, fault);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> MessageToJson(const Message& message, const JsonWriteOptions& options) {
  std::string out;
  absl::Status status = AppendMessageAsJson(message, options, &out);
  if (!status.ok()) return status;
  return out;
}

absl::Status AppendMessageAsJson(const Message& message, const JsonWriteOptions& options,
                                 std::string* out, JsonFault* fault) {
  return Write(*PlansFor(message), message, nullptr, options, out, fault);
}

absl::Status JsonToMessage(std::string_view json, Message* message, const JsonReadOptions& options,
                           JsonFault* fault) {
  return Read(*PlansFor(*message), json, message, options, fault);
}

absl::Status AppendFieldAsJson(const Message& message, const FieldDescriptor& field,
                               const JsonWriteOptions& options, std::string* out,
                               JsonFault* fault) {
  if (field.containing_type() != message.GetDescriptor()) return WrongField(message, field);
  return Write(*PlansFor(message), message, &field, options, out, fault);
}

absl::Status JsonToField(std::string_view json, const FieldDescriptor& field, Message* message,
                         const JsonReadOptions& options, JsonFault* fault) {
  return ReadField(json, field, true, options, message, fault);
}

absl::Status TextToField(std::string_view text, const FieldDescriptor& field, Message* message,
                         JsonFault* fault) {
  const auto fail = [&](std::string reason) {
    JsonFault found{field.json_name(), std::move(reason)};
    return ToStatus(found, false, fault);
  };
  // Which values are bare in JSON, and which stand in quotes.
  const FieldDescriptor* scalar = &field;
  if (const auto* type = field.message_type(); type != nullptr) {
    switch (internal::json::KnownAs(*type)) {
      case internal::json::WellKnown::kWrapper:
        scalar = type->field(0);
        break;
      case internal::json::WellKnown::kTimestamp:
      case internal::json::WellKnown::kDuration:
      case internal::json::WellKnown::kFieldMask:
        break;
      default:
        return fail(absl::StrCat("is a ", type->full_name(), ", which has no spelling as text"));
    }
  }
  const bool number = !text.empty() &&
                      text.find_first_not_of("+-.0123456789eE") == std::string_view::npos &&
                      (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
  const bool bare = scalar->type() == FieldDescriptor::TYPE_BOOL
                        ? text == "true" || text == "false"
                        : scalar->type() == FieldDescriptor::TYPE_ENUM && number;
  Bytes json;
  if (field.is_repeated()) json.Put('[');
  if (bare) {
    json.Put(text);
  } else if (!internal::json::AppendQuoted(text, &json)) {
    return fail("is not UTF-8");
  }
  if (field.is_repeated()) json.Put(']');
  return ReadField(json.view(), field, !field.is_repeated(), {}, message, fault);
}

// ---- codecs of a pool ---------------------------------------------------------------------------

namespace {

// Plans of another pool's messages would outlive them.
absl::Status CheckPool(const DescriptorPool& pool, const Message& message) {
  const auto& type = *message.GetDescriptor();
  if (type.file()->pool() == &pool || pool.FindMessageTypeByName(type.full_name()) == &type) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the type ", type.full_name(), " is of another pool than the JsonCodec"));
}

}  // namespace

JsonCodec::JsonCodec(const DescriptorPool* pool) : plans_(std::make_unique<Plans>(pool)) {}
JsonCodec::~JsonCodec() = default;

absl::Status JsonCodec::Append(const Message& message, const JsonWriteOptions& options,
                               std::string* out, JsonFault* fault) const {
  if (absl::Status status = CheckPool(plans_->pool(), message); !status.ok()) return status;
  return Write(*plans_, message, nullptr, options, out, fault);
}

absl::Status JsonCodec::Read(std::string_view json, Message* message,
                             const JsonReadOptions& options, JsonFault* fault) const {
  if (absl::Status status = CheckPool(plans_->pool(), *message); !status.ok()) return status;
  return rookery::Read(*plans_, json, message, options, fault);
}

}  // namespace rookery
