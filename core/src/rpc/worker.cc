#include "rookery/rpc/worker.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/rpc/error_details.pb.h"
#include "rookery/rpc/status.h"
#include "rpc/worker_key.h"

namespace rookery {
namespace {

using std::chrono::milliseconds;

}  // namespace

absl::Status CheckDeliveryPolicy(const DeliveryPolicy& policy,
                                 const google::protobuf::Message* event) {
  std::vector<std::string> faults;
  const auto need = [&faults](bool holds, const char* what) {
    if (!holds) faults.emplace_back(what);
  };
  need(policy.max_attempts >= 1, "max_attempts must be at least 1");
  need(policy.max_deliveries >= policy.max_attempts,
       "max_deliveries must not be below max_attempts");
  need(policy.initial_backoff.count() >= 0, "initial_backoff must not be below 0");
  need(policy.max_backoff >= policy.initial_backoff,
       "max_backoff must not be below initial_backoff");
  need(policy.backoff_multiplier >= 1.0 && std::isfinite(policy.backoff_multiplier),
       "backoff_multiplier must be at least 1");
  need(policy.jitter >= 0.0 && policy.jitter <= 1.0, "jitter must be from 0 to 1");
  need(std::all_of(policy.backoff.begin(), policy.backoff.end(),
                   [](milliseconds pause) { return pause.count() >= 0; }),
       "backoff must have no pause below 0");
  need(policy.attempt_timeout.count() >= 0, "attempt_timeout must not be below 0");
  need(policy.max_batch >= 1, "max_batch must be at least 1");
  need(policy.batch_wait.count() >= 0, "batch_wait must not be below 0");
  if (!policy.key_field.empty() && event != nullptr) {
    const auto path = internal::KeyPathOf(policy.key_field, *event->GetDescriptor());
    if (!path.ok()) faults.emplace_back(path.status().message());
  }
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
}

milliseconds BackoffAfter(const DeliveryPolicy& policy, int attempt, double random) {
  const int step = std::max(attempt, 1) - 1;
  double pause = 0;
  if (!policy.backoff.empty()) {
    const std::size_t last = policy.backoff.size() - 1;
    const auto index = std::min(static_cast<std::size_t>(step), last);
    pause = static_cast<double>(policy.backoff[index].count());
  } else {
    // A multiplier to the power of many attempts is infinite, and min() takes that well.
    pause = std::min(static_cast<double>(policy.initial_backoff.count()) *
                         std::pow(policy.backoff_multiplier, step),
                     static_cast<double>(policy.max_backoff.count()));
  }
  pause *= 1.0 + policy.jitter * (2.0 * random - 1.0);
  return milliseconds(std::llround(pause));
}

absl::Status RetryAfter(absl::Status status, milliseconds delay) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(delay.count() / 1'000);
  info.mutable_retry_delay()->set_nanos(static_cast<int>(delay.count() % 1'000) * 1'000'000);
  return WithDetails(std::move(status), info);
}

namespace internal {

absl::StatusOr<KeyPath> KeyPathOf(const std::string& field,
                                  const google::protobuf::Descriptor& event) {
  KeyPath path;
  const google::protobuf::Descriptor* in = &event;
  std::size_t begin = 0;
  while (begin <= field.size()) {
    const std::size_t end = std::min(field.find('.', begin), field.size());
    const std::string name = field.substr(begin, end - begin);
    const auto* const found = in == nullptr ? nullptr : in->FindFieldByName(name);
    if (found == nullptr || found->is_repeated()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the key \"", field, "\": ", in == nullptr ? "a value" : in->full_name(),
                       " has no single field \"", name, "\""));
    }
    path.push_back(found);
    in = found->message_type();
    begin = end + 1;
  }
  if (in != nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("the key \"", field, "\" is a message; name a field of it"));
  }
  return path;
}

std::string KeyAt(const KeyPath& path, const google::protobuf::Message& event) {
  using Field = google::protobuf::FieldDescriptor;
  const google::protobuf::Message* in = &event;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    if (!in->GetReflection()->HasField(*in, path[i])) return "";
    in = &in->GetReflection()->GetMessage(*in, path[i]);
  }
  const auto& reflection = *in->GetReflection();
  const Field* const field = path.back();
  // Zero is no key for what knows whether it was set; for the others it is one as good as any.
  if (field->has_presence() && !reflection.HasField(*in, field)) return "";
  switch (field->cpp_type()) {
    case Field::CPPTYPE_STRING:
      return reflection.GetString(*in, field);
    case Field::CPPTYPE_INT32:
      return absl::StrCat(reflection.GetInt32(*in, field));
    case Field::CPPTYPE_INT64:
      return absl::StrCat(reflection.GetInt64(*in, field));
    case Field::CPPTYPE_UINT32:
      return absl::StrCat(reflection.GetUInt32(*in, field));
    case Field::CPPTYPE_UINT64:
      return absl::StrCat(reflection.GetUInt64(*in, field));
    case Field::CPPTYPE_BOOL:
      return reflection.GetBool(*in, field) ? "true" : "false";
    case Field::CPPTYPE_ENUM:
      return absl::StrCat(reflection.GetEnumValue(*in, field));
    case Field::CPPTYPE_FLOAT:
      return absl::StrCat(reflection.GetFloat(*in, field));
    case Field::CPPTYPE_DOUBLE:
      return absl::StrCat(reflection.GetDouble(*in, field));
    case Field::CPPTYPE_MESSAGE:
      return "";
  }
  return "";
}

}  // namespace internal
}  // namespace rookery
