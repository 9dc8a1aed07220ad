#include "jetstream_api.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "options.h"
#include "rookery/platform/log.h"
#include "rookery/runtime/sleep.h"
#include "rpc/subject_pattern.h"
#include "runtime/abseil_strings.h"

namespace rookery::nats_adapter {
namespace {

using internal::Abs;
using std::chrono::milliseconds;

constexpr milliseconds kApiTimeout{5'000};
constexpr milliseconds kSilence{1'000};

const google::protobuf::Value* Find(const Json& json, const std::string& name) {
  const auto found = json.fields().find(name);
  return found == json.fields().end() ? nullptr : &found->second;
}

const char* RetentionName(StreamRetention retention) {
  switch (retention) {
    case StreamRetention::kLimits:
      return "limits";
    case StreamRetention::kWorkQueue:
      return "workqueue";
    case StreamRetention::kInterest:
      return "interest";
  }
  return "limits";
}

std::string Texts(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(Quoted(text));
  return absl::StrCat("[", absl::StrJoin(quoted, ","), "]");
}

// What a stream that exists has otherwise than it is to be.
std::vector<std::string> Differences(const Json& has, const StreamConfig& want) {
  std::vector<std::string> all;
  const auto differ = [&all](const char* what, const auto& is, const auto& should) {
    all.push_back(absl::StrCat(what, " is ", is, " and should be ", should));
  };
  const std::vector<std::string> subjects = JsonTexts(has, "subjects");
  for (const std::string& subject : want.subjects) {
    const bool covered = std::any_of(subjects.begin(), subjects.end(), [&](const auto& one) {
      return one == subject || internal::MatchesSubject(one, subject);
    });
    if (!covered) {
      all.push_back(absl::StrCat("it does not store ", subject, " but ",
                                 subjects.empty() ? "nothing" : absl::StrJoin(subjects, ", ")));
    }
  }
  if (want.retention && JsonText(has, "retention") != RetentionName(*want.retention)) {
    differ("retention", JsonText(has, "retention"), RetentionName(*want.retention));
  }
  if (want.in_memory && (JsonText(has, "storage") == "memory") != *want.in_memory) {
    differ("storage", JsonText(has, "storage"), *want.in_memory ? "memory" : "file");
  }
  const auto number = [&](const char* name, double should) {
    const double is = JsonNumber(has, name);
    if (is != should) {
      differ(name, static_cast<std::int64_t>(is), static_cast<std::int64_t>(should));
    }
  };
  if (want.replicas) number("num_replicas", *want.replicas);
  if (want.max_age) number("max_age", static_cast<double>(Nanos(*want.max_age)));
  if (want.max_bytes) number("max_bytes", static_cast<double>(*want.max_bytes));
  if (want.max_messages) number("max_msgs", static_cast<double>(*want.max_messages));
  if (want.duplicate_window) {
    number("duplicate_window", static_cast<double>(Nanos(*want.duplicate_window)));
  }
  return all;
}

// The stream's configuration: what it has, as far as it is one of these, with what is wanted.
std::string ConfigOf(const std::string& name, const Json& has, const StreamConfig& want) {
  std::vector<std::string> subjects = JsonTexts(has, "subjects");
  for (const std::string& subject : want.subjects) {
    const bool covered = std::any_of(subjects.begin(), subjects.end(), [&](const auto& one) {
      return one == subject || internal::MatchesSubject(one, subject);
    });
    if (!covered) subjects.push_back(subject);
  }
  const auto number = [&](const char* field, std::optional<std::int64_t> value, double otherwise) {
    const double is = Find(has, field) == nullptr ? otherwise : JsonNumber(has, field);
    return absl::StrCat(",\"", field, "\":", value.value_or(static_cast<std::int64_t>(is)));
  };
  const auto nanos = [](const std::optional<milliseconds>& time) {
    return time ? std::optional<std::int64_t>(Nanos(*time)) : std::nullopt;
  };
  const std::string had_retention = JsonText(has, "retention");
  const std::string had_storage = JsonText(has, "storage");
  const std::string retention = want.retention          ? RetentionName(*want.retention)
                                : had_retention.empty() ? "limits"
                                                        : had_retention;
  const std::string storage = want.in_memory        ? (*want.in_memory ? "memory" : "file")
                              : had_storage.empty() ? "file"
                                                    : had_storage;
  const std::string discard = JsonText(has, "discard");
  return absl::StrCat(
      "{\"name\":", Quoted(name), ",\"subjects\":", Texts(subjects),
      ",\"retention\":", Quoted(retention), ",\"storage\":", Quoted(storage),
      ",\"discard\":", Quoted(discard.empty() ? "old" : discard),
      number("num_replicas",
             want.replicas ? std::optional<std::int64_t>(*want.replicas) : std::nullopt, 1),
      number("max_age", nanos(want.max_age), 0), number("max_bytes", want.max_bytes, -1),
      number("max_msgs", want.max_messages, -1), number("max_consumers", {}, -1),
      number("max_msg_size", {}, -1), number("max_msgs_per_subject", {}, -1),
      number("duplicate_window", nanos(want.duplicate_window), 120e9), "}");
}

}  // namespace

std::string JsonText(const Json& json, const std::string& name) {
  const auto* const value = Find(json, name);
  return value == nullptr ? std::string() : value->string_value();
}

double JsonNumber(const Json& json, const std::string& name) {
  const auto* const value = Find(json, name);
  return value == nullptr ? 0 : value->number_value();
}

const Json& JsonObject(const Json& json, const std::string& name) {
  const auto* const value = Find(json, name);
  return value == nullptr ? Json::default_instance() : value->struct_value();
}

std::vector<std::string> JsonTexts(const Json& json, const std::string& name) {
  std::vector<std::string> texts;
  if (const auto* const value = Find(json, name); value != nullptr) {
    for (const auto& each : value->list_value().values()) texts.push_back(each.string_value());
  }
  return texts;
}

absl::StatusOr<Json> ParseAnswer(std::string_view body) {
  Json json;
  const auto parsed = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(body.data(), body.size()), &json);
  if (!parsed.ok()) {
    return absl::InternalError(
        absl::StrCat("JetStream's answer is no JSON: ", std::string(parsed.message())));
  }
  if (Find(json, "error") == nullptr) return json;
  const Json& error = JsonObject(json, "error");
  const auto code = static_cast<int>(JsonNumber(error, "code"));
  const auto detail = static_cast<int>(JsonNumber(error, "err_code"));
  const std::string text =
      absl::StrCat("JetStream: ", JsonText(error, "description"), " (", code, ", ", detail, ")");
  constexpr int kWrongLastSequence = 10'071;
  constexpr int kStreamNameInUse = 10'058;
  if (detail == kWrongLastSequence) return absl::AbortedError(text);
  if (detail == kStreamNameInUse) return absl::AlreadyExistsError(text);
  switch (code) {
    case 404:
      return absl::NotFoundError(text);
    case 401:
    case 403:
      return absl::PermissionDeniedError(text);
    case 408:
    case 503:
      return absl::UnavailableError(text);
    default:
      return absl::FailedPreconditionError(text);
  }
}

JsClient::JsClient(const Nats& options) : options_(options), inbox_(NewInbox(options)) {}

JsClient::~JsClient() {
  if (connection_ == nullptr) return;
  if (closed_) return;  // the loop may run nothing any more
  // On the loop, behind the flush of what was said last.
  Loop& loop = connection_->loop();
  loop.Post(
      [connection = std::move(connection_), subscription = std::move(subscription_)]() mutable {
        connection->Close();
        subscription.reset();
      });
}

absl::StatusOr<std::shared_ptr<JsClient>> JsClient::Open(const Nats& options, Loop& loop,
                                                         bool background, Connection::Events events,
                                                         std::shared_ptr<void> keep) {
  auto client = std::make_shared<JsClient>(options);
  events.on_disconnected = [weak = std::weak_ptr<JsClient>(client),
                            then = std::move(events.on_disconnected)] {
    if (const auto self = weak.lock()) {
      self->FailAll(absl::UnavailableError(absl::StrCat("the connection to NATS at ",
                                                        PublicUrl(self->options_.url),
                                                        " was lost before JetStream answered")));
    }
    then();
  };
  auto opened = Connection::Open(options, loop, background, std::move(events), std::move(keep));
  if (!opened.ok()) return opened.status();
  client->connection_ = *std::move(opened);
  absl::Status subscribed = client->Subscribe();
  if (!subscribed.ok()) return subscribed;
  return client;
}

absl::Status JsClient::Subscribe() {
  auto made = connection_->Subscribe(absl::StrCat(inbox_, "*"), "",
                                     [weak = weak_from_this()](MessagePtr message) {
                                       if (const auto self = weak.lock()) {
                                         self->OnInbox(std::move(message));
                                       }
                                     });
  if (!made.ok()) return made.status();
  subscription_ = *std::move(made);
  return absl::OkStatus();
}

void JsClient::Close() noexcept {
  if (connection_ == nullptr) return;
  connection_->Close();
  connection_->AwaitSilence(kSilence);
  FailAll(absl::UnavailableError("the connection to NATS was closed"));
  const std::scoped_lock lock(mutex_);
  closed_ = true;
}

void JsClient::OnInbox(MessagePtr message) {
  const std::optional<std::uint64_t> id = IdOf(natsMsg_GetSubject(message.get()));
  if (!id) return;
  const std::shared_ptr<Waiting> waiting = Take(*id);
  if (waiting == nullptr) return;  // too late
  bool nobody = false;
  waiting->reply = ToInbound(std::move(message), &nobody);
  if (nobody) {
    waiting->status = absl::UnavailableError(
        "nobody answers: no stream has that subject, or JetStream is not enabled, or not up yet");
  }
  waiting->done.Set();
}

std::shared_ptr<JsClient::Waiting> JsClient::Take(std::uint64_t id) {
  const std::scoped_lock lock(mutex_);
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return nullptr;
  std::shared_ptr<Waiting> waiting = std::move(found->second);
  waiting_.erase(found);
  return waiting;
}

void JsClient::FailAll(const absl::Status& status) {
  absl::flat_hash_map<std::uint64_t, std::shared_ptr<Waiting>> all;
  {
    const std::scoped_lock lock(mutex_);
    all.swap(waiting_);
  }
  for (const auto& [id, waiting] : all) {
    waiting->status = status;
    waiting->done.Set();
  }
}

Task<void> JsClient::WaitFor(std::shared_ptr<Waiting> waiting) { co_await waiting->done.Wait(); }

Task<InboundMessage> JsClient::Request(OutboundMessage* message, milliseconds timeout) {
  const std::shared_ptr<JsClient> keep = shared_from_this();
  absl::Status status = connection_->Ready();
  if (!status.ok()) co_return std::move(status);
  auto waiting = std::make_shared<Waiting>();
  std::uint64_t id = 0;
  {
    const std::scoped_lock lock(mutex_);
    id = ++last_id_;
    waiting_.emplace(id, waiting);
  }
  std::string address = inbox_;
  AppendBase62(&address, id);
  message->reply_to = address;
  status = connection_->Publish(*message);
  if (status.ok()) {
    Task<void> wait = WaitFor(waiting);
    Task<void> limited = WithTimeout(std::move(wait), timeout);
    status = co_await AsStatusOr(std::move(limited));
  }
  if (!status.ok()) {
    (void)Take(id);
    co_return std::move(status);
  }
  if (!waiting->status.ok()) co_return waiting->status;
  co_return std::move(waiting->reply);
}

Task<Json> JsClient::Api(std::string name, std::string body) {
  OutboundMessage message;
  const std::string subject = absl::StrCat("$JS.API.", name);
  message.to = subject;
  message.body = body;
  Task<InboundMessage> request = Request(&message, kApiTimeout);
  const InboundMessage reply = co_await std::move(request);
  absl::StatusOr<Json> answer = ParseAnswer(reply.body);
  if (!answer.ok()) {
    co_return absl::Status(answer.status().code(),
                           absl::StrCat(name, ": ", answer.status().message()));
  }
  co_return *std::move(answer);
}

Task<Json> JsClient::Publish(OutboundMessage* message, milliseconds timeout) {
  Task<InboundMessage> request = Request(message, timeout);
  const InboundMessage reply = co_await std::move(request);
  absl::StatusOr<Json> answer = ParseAnswer(reply.body);
  if (!answer.ok()) co_return answer.status();
  if (JsonText(*answer, "stream").empty()) {
    co_return absl::InternalError(
        "what answered is no stream: it did not say that it has the event");
  }
  co_return *std::move(answer);
}

Task<absl::Status> JsClient::SetUpStream(std::string name, StreamSetup setup, StreamConfig config) {
  Task<Json> ask = Api(absl::StrCat("STREAM.INFO.", name), "");
  absl::StatusOr<Json> info = co_await AsStatusOr(std::move(ask));
  if (!info.ok() && info.status().code() != absl::StatusCode::kNotFound) co_return info.status();
  if (!info.ok()) {
    if (setup == StreamSetup::kCheck) {
      co_return absl::NotFoundError(
          absl::StrCat("there is no stream ", name,
                       "; make it (nats stream add), or let JetStream::setup be kCreate"));
    }
    if (config.subjects.empty()) {
      co_return absl::NotFoundError(absl::StrCat("there is no stream ", name,
                                                 ", and nobody says what it is to store: give "
                                                 "JetStream::config.subjects"));
    }
    Task<Json> make =
        Api(absl::StrCat("STREAM.CREATE.", name), ConfigOf(name, Json::default_instance(), config));
    const absl::StatusOr<Json> made = co_await AsStatusOr(std::move(make));
    // Somebody else may have been faster.
    if (!made.ok() && made.status().code() != absl::StatusCode::kAlreadyExists) {
      co_return made.status();
    }
    Logger::Default().Named("nats").Info("made a stream", {{"stream", name}});
    co_return absl::OkStatus();
  }
  const Json& has = JsonObject(*info, "config");
  const std::vector<std::string> differences = Differences(has, config);
  if (differences.empty()) co_return absl::OkStatus();
  const std::string text = absl::StrJoin(differences, "; ");
  if (setup != StreamSetup::kUpdate) {
    co_return absl::FailedPreconditionError(
        absl::StrCat("the stream ", name, " is otherwise than JetStream::config says: ", text,
                     ". Change one of them, or let JetStream::setup be kUpdate"));
  }
  Task<Json> update = Api(absl::StrCat("STREAM.UPDATE.", name), ConfigOf(name, has, config));
  const absl::StatusOr<Json> updated = co_await AsStatusOr(std::move(update));
  if (!updated.ok()) {
    co_return absl::Status(updated.status().code(),
                           absl::StrCat("the stream ", name, " cannot be changed (", text,
                                        "): ", updated.status().message()));
  }
  Logger::Default().Named("nats").Info("changed a stream", {{"stream", name}, {"what", text}});
  co_return absl::OkStatus();
}

}  // namespace rookery::nats_adapter
