#include "rookery/rpc/status.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wire_format_lite.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "rookery/runtime/rpc_exception.h"
#include "rpc/random.h"
#include "rpc/unreachable.h"
#include "rpc/utf8.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace {

using google::protobuf::Any;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

constexpr std::size_t kMaxMessageBytes = 4096;

// google.rpc.Status: { int32 code = 1; string message = 2; repeated google.protobuf.Any details =
// 3; }
constexpr std::uint32_t kCodeTag = 1 << 3 | WireFormatLite::WIRETYPE_VARINT;
constexpr std::uint32_t kMessageTag = 2 << 3 | WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
constexpr std::uint32_t kDetailsTag = 3 << 3 | WireFormatLite::WIRETYPE_LENGTH_DELIMITED;

void AppendField(CodedOutputStream& out, std::uint32_t tag, std::string_view bytes) {
  out.WriteTag(tag);
  out.WriteVarint32(static_cast<std::uint32_t>(bytes.size()));
  out.WriteRaw(bytes.data(), static_cast<int>(bytes.size()));
}

// Calls fn(bytes) for each serialised Any in a serialised google.rpc.Status; false if that does not
// parse.
template <class Fn>
bool ForEachDetail(std::string_view status, Fn&& fn) {
  CodedInputStream in(reinterpret_cast<const std::uint8_t*>(status.data()),
                      static_cast<int>(status.size()));
  std::string bytes;
  for (;;) {
    const std::uint32_t tag = in.ReadTag();
    if (tag == 0) return in.ConsumedEntireMessage();
    if (tag == kDetailsTag) {
      std::uint32_t size = 0;
      if (!in.ReadVarint32(&size) || size > status.size() ||
          !in.ReadString(&bytes, static_cast<int>(size))) {
        return false;
      }
      if (!fn(bytes)) return false;
    } else if (!WireFormatLite::SkipField(&in, tag)) {
      return false;
    }
  }
}

void WriteIncident(std::string_view incident, std::string_view what) {
  std::fprintf(stderr, "rookery: not for the peer, incident %.*s: %.*s\n",
               static_cast<int>(incident.size()), incident.data(), static_cast<int>(what.size()),
               what.data());
}
constinit std::atomic<internal::IncidentHook> incident_hook{&WriteIncident};

// Logs what the peer does not get, and gives the words by which it can be found there.
std::string Incident(std::string_view what) {
  std::string incident;
  internal::AppendHex(&incident, internal::FastRandom64(), 16);
  incident_hook.load(std::memory_order_acquire)(incident, what);
  return absl::StrCat(" (incident ", incident, ")");
}

std::string PayloadOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kStatusDetailsPayload);
  return payload ? std::string(*payload) : std::string();
}

}  // namespace

// The payload holds a google.rpc.Status with its details alone: code and message are the status's
// own, and are written in when it leaves.

absl::Status WithDetails(absl::Status status, const google::protobuf::Message& detail) {
  if (status.ok()) return status;
  Any any;
  any.PackFrom(detail);
  std::string payload = PayloadOf(status);
  {
    StringOutputStream stream(&payload);
    CodedOutputStream out(&stream);
    AppendField(out, kDetailsTag, any.SerializeAsString());
  }
  status.SetPayload(kStatusDetailsPayload, absl::Cord(internal::Abs(payload)));
  return status;
}

std::vector<StatusDetail> DetailsOf(const absl::Status& status) {
  std::vector<StatusDetail> details;
  // A payload that does not parse was not made by us; what was read before the fault still counts.
  (void)ForEachDetail(PayloadOf(status), [&details](const std::string& bytes) {
    Any any;
    if (!any.ParseFromString(bytes)) return false;
    details.push_back({std::move(*any.mutable_type_url()), std::move(*any.mutable_value())});
    return true;
  });
  return details;
}

bool FindDetail(const absl::Status& status, google::protobuf::Message* into) {
  const std::string& wanted = into->GetDescriptor()->full_name();
  for (const StatusDetail& detail : DetailsOf(status)) {
    const std::size_t slash = detail.type_url.rfind('/');
    if (slash != std::string::npos && detail.type_url.substr(slash + 1) == wanted) {
      return into->ParseFromString(detail.value);
    }
  }
  return false;
}

std::string SerializeDetails(const absl::Status& status) {
  const std::string details = PayloadOf(status);
  if (details.empty()) return details;
  std::string bytes;
  {
    StringOutputStream stream(&bytes);
    CodedOutputStream out(&stream);
    out.WriteTag(kCodeTag);
    out.WriteVarint32(static_cast<std::uint32_t>(status.code()));
    const std::string_view message = internal::Std(status.message());
    // A proto3 string: a peer's parser would refuse all of it for one bad byte.
    AppendField(out, kMessageTag,
                internal::IsUtf8(message) ? message : internal::MendUtf8(message));
    out.WriteRaw(details.data(), static_cast<int>(details.size()));
  }
  return bytes;
}

absl::Status MakeStatus(int code, std::string_view message, std::string_view serialized_details) {
  if (code == 0) return absl::OkStatus();
  if (code < 0 || code > 16) code = static_cast<int>(absl::StatusCode::kUnknown);
  absl::Status status(static_cast<absl::StatusCode>(code), internal::Abs(message));
  if (serialized_details.empty()) return status;
  std::string details;
  bool parsed = false;
  {
    StringOutputStream stream(&details);
    CodedOutputStream out(&stream);
    parsed = ForEachDetail(serialized_details, [&out](const std::string& bytes) {
      Any any;
      if (!any.ParseFromString(bytes)) return false;
      AppendField(out, kDetailsTag, bytes);
      return true;
    });
  }
  if (parsed && !details.empty()) {
    status.SetPayload(kStatusDetailsPayload, absl::Cord(internal::Abs(details)));
  }
  return status;
}

internal::IncidentHook internal::SetIncidentHook(IncidentHook hook) noexcept {
  return incident_hook.exchange(hook == nullptr ? &WriteIncident : hook, std::memory_order_acq_rel);
}

absl::Status ForPeer(const absl::Status& status) {
  if (status.ok()) return status;
  if (const absl::optional<absl::Cord> foreign = status.GetPayload(kExceptionPayload)) {
    return absl::InternalError(absl::StrCat("Internal error", Incident(std::string(*foreign))));
  }
  if (status.GetPayload(internal::kUnreachablePayload)) {
    return absl::UnavailableError(absl::StrCat("a service that this one needs cannot be reached",
                                               Incident(internal::Std(status.message()))));
  }
  const std::string_view message = internal::Std(status.message());
  bool foreign_payload = false;
  bool details = false;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord&) {
    (url == kStatusDetailsPayload ? details : foreign_payload) = true;
  });
  const bool utf8 = internal::IsUtf8(message);
  if (utf8 && message.size() <= kMaxMessageBytes && !foreign_payload) return status;
  const std::string mended = utf8 ? std::string() : internal::MendUtf8(message);
  absl::Status shown(status.code(),
                     internal::Abs(internal::CutUtf8(utf8 ? message : mended, kMaxMessageBytes)));
  if (details) shown.SetPayload(kStatusDetailsPayload, *status.GetPayload(kStatusDetailsPayload));
  return shown;
}

}  // namespace rookery
