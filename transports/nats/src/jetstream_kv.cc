// KeyValue: a bucket is the stream KV_BUCKET, a key the subject $KV.BUCKET.KEY, as NATS's own
// libraries have it (ADR-8).
#include <nats/nats.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "connection.h"
#include "jetstream_api.h"
#include "options.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/jetstream.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace nats_adapter {
namespace {

using internal::Abs;
using std::chrono::milliseconds;

constexpr milliseconds kWatchExpires{20'000};
constexpr milliseconds kWatchPatience{30'000};
constexpr int kWatchBatch = 64;

bool IsKeyCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '/' ||
         c == '=' || c == '.';
}

absl::Status CheckKey(std::string_view key, bool wildcards) {
  const bool good = !key.empty() && key.front() != '.' && key.back() != '.' &&
                    std::all_of(key.begin(), key.end(), [wildcards](char c) {
                      return IsKeyCharacter(c) || (wildcards && (c == '*' || c == '>'));
                    });
  if (good && CheckSubject(key, wildcards).ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", Abs(key.substr(0, 128)),
                   "\" is no key: use letters, digits, - _ / = and single dots in between"));
}

// What came for a watch, from a thread of nats.c's.
struct Arrivals {
  ~Arrivals() {
    for (natsMsg* const message : messages) natsMsg_Destroy(message);
  }
  Event some;
  std::mutex mutex;
  std::deque<natsMsg*> messages;  // guarded by mutex
  // The connection is another one: the server has forgotten what was asked for on the last.
  std::atomic<bool> forgotten{false};
};

// All that watch over one connection. Thread-safe.
class Watches final {
 public:
  void Add(const std::shared_ptr<Arrivals>& arrivals) {
    const std::scoped_lock lock(mutex_);
    std::erase_if(all_, [](const auto& each) { return each.expired(); });
    all_.push_back(arrivals);
  }
  void Forget() {
    const std::scoped_lock lock(mutex_);
    for (const auto& each : all_) {
      if (const auto arrivals = each.lock()) {
        arrivals->forgotten.store(true);
        arrivals->some.Set();
      }
    }
  }

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<Arrivals>> all_;  // guarded by mutex_
};

absl::StatusOr<std::shared_ptr<Connection::Subscription>> Listen(
    Connection& connection, const std::string& inbox, const std::shared_ptr<Arrivals>& arrivals) {
  return connection.Subscribe(inbox, "", [arrivals](MessagePtr message) {
    {
      const std::scoped_lock lock(arrivals->mutex);
      arrivals->messages.push_back(message.release());
    }
    arrivals->some.Set();
  });
}

Task<void> WaitForSome(std::shared_ptr<Arrivals> arrivals) { co_await arrivals->some.Wait(); }

std::string HeaderOf(natsMsg* message, const char* name) {
  const char* value = nullptr;
  return natsMsgHeader_Get(message, name, &value) == NATS_OK && value != nullptr
             ? std::string(value)
             : std::string();
}

// The number of a message in its stream, by what acknowledges it; 0: it has none.
std::uint64_t SequenceOf(natsMsg* message) {
  const char* const reply = natsMsg_GetReply(message);
  if (reply == nullptr) return 0;
  const std::vector<std::string> parts = absl::StrSplit(reply, '.');
  std::uint64_t sequence = 0;
  if (parts.size() < 9 || parts[0] != "$JS" || parts[1] != "ACK") return 0;
  return absl::SimpleAtoi(parts[parts.size() == 9 ? 5 : 7], &sequence) ? sequence : 0;
}

bool IsDeletion(std::string_view operation) { return operation == "DEL" || operation == "PURGE"; }

}  // namespace
}  // namespace nats_adapter

class KeyValue::Impl final {
 public:
  using Json = nats_adapter::Json;
  using JsClient = nats_adapter::JsClient;
  using milliseconds = std::chrono::milliseconds;

  Impl(KeyValueOptions options, std::shared_ptr<LoopPool> loops, std::shared_ptr<JsClient> client,
       std::shared_ptr<nats_adapter::Watches> watches)
      : options_(std::move(options)),
        stream_(absl::StrCat("KV_", options_.bucket)),
        prefix_(absl::StrCat("$KV.", options_.bucket, ".")),
        loops_(std::move(loops)),
        client_(std::move(client)),
        watches_(std::move(watches)) {}

  static Task<void> SetUp(std::shared_ptr<Impl> self) {
    using nats_adapter::Nanos;
    using nats_adapter::Quoted;
    const KeyValueOptions& options = self->options_;
    const std::int64_t age = options.max_age ? Nanos(*options.max_age) : 0;
    constexpr std::int64_t kDuplicates = 120'000'000'000;
    std::string body = absl::StrCat(
        "{\"name\":", Quoted(self->stream_), ",\"subjects\":[", Quoted(self->prefix_ + ">"),
        "],\"retention\":\"limits\",\"discard\":\"new\",\"storage\":",
        options.in_memory ? "\"memory\"" : "\"file\"",
        ",\"max_msgs_per_subject\":", options.history, ",\"num_replicas\":", options.replicas,
        ",\"max_age\":", age,
        ",\"duplicate_window\":", age == 0 ? kDuplicates : std::min(age, kDuplicates),
        ",\"max_msgs\":-1,\"max_bytes\":-1,\"max_consumers\":-1,\"max_msg_size\":-1,"
        "\"allow_rollup_hdrs\":true,\"deny_delete\":true}");
    Task<Json> make =
        self->client_->Api(absl::StrCat("STREAM.CREATE.", self->stream_), std::move(body));
    const absl::StatusOr<Json> made = co_await AsStatusOr(std::move(make));
    // One that is there already is used as it is.
    if (made.ok() || made.status().code() == absl::StatusCode::kAlreadyExists) co_return;
    co_await Fail(made.status());
  }

  // The last that was said of a key, deletions included. NOT_FOUND: nothing.
  static Task<KeyValueEntry> Last(std::shared_ptr<Impl> self, std::string key) {
    absl::Status checked = nats_adapter::CheckKey(key, /*wildcards=*/false);
    if (!checked.ok()) co_return std::move(checked);
    std::string body =
        absl::StrCat("{\"last_by_subj\":", nats_adapter::Quoted(self->prefix_ + key), "}");
    Task<Json> ask =
        self->client_->Api(absl::StrCat("STREAM.MSG.GET.", self->stream_), std::move(body));
    const absl::StatusOr<Json> answer = co_await AsStatusOr(std::move(ask));
    if (!answer.ok()) {
      if (answer.status().code() != absl::StatusCode::kNotFound) co_return answer.status();
      co_return absl::NotFoundError(absl::StrCat(self->options_.bucket, " has no ", key));
    }
    const Json& message = nats_adapter::JsonObject(*answer, "message");
    KeyValueEntry entry;
    entry.revision = static_cast<std::uint64_t>(nats_adapter::JsonNumber(message, "seq"));
    std::string headers;
    if (!absl::Base64Unescape(nats_adapter::JsonText(message, "data"), &entry.value) ||
        !absl::Base64Unescape(nats_adapter::JsonText(message, "hdrs"), &headers)) {
      co_return absl::DataLossError(
          absl::StrCat("what ", self->stream_, " has of ", key, " cannot be read"));
    }
    entry.deleted = absl::StrContains(headers, "KV-Operation: DEL") ||
                    absl::StrContains(headers, "KV-Operation: PURGE");
    entry.key = std::move(key);
    co_return std::move(entry);
  }

  static Task<KeyValueEntry> Get(std::shared_ptr<Impl> self, std::string key) {
    Task<KeyValueEntry> last = Last(self, std::move(key));
    KeyValueEntry entry = co_await std::move(last);
    if (entry.deleted) {
      co_return absl::NotFoundError(absl::StrCat(self->options_.bucket, " has no ", entry.key));
    }
    co_return std::move(entry);
  }

  // `expected`: the revision that the key must have. ABORTED: it has another.
  static Task<std::uint64_t> Write(std::shared_ptr<Impl> self, std::string key, std::string value,
                                   std::optional<std::uint64_t> expected, bool deletes) {
    absl::Status checked = nats_adapter::CheckKey(key, /*wildcards=*/false);
    if (!checked.ok()) co_return std::move(checked);
    OutboundMessage out;
    const std::string subject = self->prefix_ + key;
    out.to = subject;
    out.body = value;
    if (expected) out.AddKept("Nats-Expected-Last-Subject-Sequence", absl::StrCat(*expected));
    if (deletes) out.Add("KV-Operation", "DEL");
    Task<Json> publish = self->client_->Publish(&out, self->options_.timeout);
    const Json stored = co_await std::move(publish);
    co_return static_cast<std::uint64_t>(nats_adapter::JsonNumber(stored, "seq"));
  }

  static Task<std::uint64_t> Create(std::shared_ptr<Impl> self, std::string key,
                                    std::string value) {
    std::uint64_t expected = 0;
    for (int attempt = 0; attempt < 2; ++attempt) {
      Task<std::uint64_t> write = Write(self, key, value, expected, /*deletes=*/false);
      absl::StatusOr<std::uint64_t> revision = co_await AsStatusOr(std::move(write));
      if (revision.ok() || revision.status().code() != absl::StatusCode::kAborted) {
        co_return std::move(revision);
      }
      // One that was deleted may be made again, on top of its deletion.
      Task<KeyValueEntry> last = Last(self, key);
      const absl::StatusOr<KeyValueEntry> entry = co_await AsStatusOr(std::move(last));
      if (!entry.ok() || !entry->deleted) break;
      expected = entry->revision;
    }
    co_return absl::AlreadyExistsError(absl::StrCat(self->options_.bucket, " has ", key));
  }

  static Stream<KeyValueEntry> Watch(std::shared_ptr<Impl> self, std::string keys) {
    absl::Status status = nats_adapter::CheckKey(keys, /*wildcards=*/true);
    if (!status.ok()) throw RpcException(std::move(status));
    auto arrivals = std::make_shared<nats_adapter::Arrivals>();
    self->watches_->Add(arrivals);
    const std::string inbox = absl::StrCat(nats_adapter::NewInbox(self->options_.nats), "w");
    const auto listening = nats_adapter::Listen(self->client_->connection(), inbox, arrivals);
    if (!listening.ok()) throw RpcException(listening.status());
    std::uint64_t last = 0;
    std::string consumer;  // empty: there is none
    int asked = 0;
    Deadline patience = std::chrono::steady_clock::now() + nats_adapter::kWatchPatience;
    for (;;) {
      if (consumer.empty()) {
        Task<std::string> begin = BeginWatch(self, keys, last);
        absl::StatusOr<std::string> begun = co_await AsStatusOr(std::move(begin));
        if (!begun.ok()) {
          const bool hopeless = begun.status().code() != absl::StatusCode::kUnavailable &&
                                begun.status().code() != absl::StatusCode::kDeadlineExceeded;
          const bool late = std::chrono::steady_clock::now() > patience;
          if (hopeless || late) throw RpcException(begun.status());
          co_await Sleep(self->options_.nats.reconnect_wait * 4);
          continue;
        }
        consumer = *std::move(begun);
        asked = 0;
      }
      patience = std::chrono::steady_clock::now() + nats_adapter::kWatchPatience;
      if (asked == 0) {
        const absl::Status pulled = Pull(*self, consumer, inbox);
        if (!pulled.ok()) {
          consumer.clear();
          continue;
        }
        asked = nats_adapter::kWatchBatch;
      }
      Task<void> some = nats_adapter::WaitForSome(arrivals);
      const milliseconds longest = nats_adapter::kWatchExpires + milliseconds(5'000);
      Task<void> limited = WithTimeout(std::move(some), longest);
      const absl::Status waited = co_await AsStatusOr(std::move(limited));
      Context* const context = Context::Current();
      if (!waited.ok() && context != nullptr && context->cancelled()) throw RpcException(waited);
      if (!waited.ok()) {
        consumer.clear();  // not even the end of the pull came
        continue;
      }
      arrivals->some.Reset();
      if (arrivals->forgotten.exchange(false)) asked = 0;
      for (;;) {
        natsMsg* raw = nullptr;
        {
          const std::scoped_lock lock(arrivals->mutex);
          if (!arrivals->messages.empty()) {
            raw = arrivals->messages.front();
            arrivals->messages.pop_front();
          }
        }
        if (raw == nullptr) break;
        const nats_adapter::MessagePtr message(raw);
        const std::uint64_t sequence = nats_adapter::SequenceOf(raw);
        if (sequence == 0) {
          // The pull's end, or the consumer's.
          const std::string code = nats_adapter::HeaderOf(raw, "Status");
          asked = 0;
          if (code != "404" && code != "408" && code != "100") consumer.clear();
          continue;
        }
        asked = std::max(0, asked - 1);
        Acknowledge(*self, raw);
        if (sequence <= last) continue;  // again
        last = sequence;
        KeyValueEntry entry;
        entry.key = std::string(natsMsg_GetSubject(raw)).substr(self->prefix_.size());
        entry.value.assign(natsMsg_GetData(raw),
                           static_cast<std::size_t>(natsMsg_GetDataLength(raw)));
        entry.revision = sequence;
        entry.deleted = nats_adapter::IsDeletion(nats_adapter::HeaderOf(raw, "KV-Operation"));
        co_yield std::move(entry);
      }
    }
  }

 private:
  // A consumer that begins after `last`, or with the last value of each key; its name.
  static Task<std::string> BeginWatch(std::shared_ptr<Impl> self, std::string keys,
                                      std::uint64_t last) {
    using nats_adapter::Nanos;
    using nats_adapter::Quoted;
    const std::string from =
        last == 0
            ? std::string("\"deliver_policy\":\"last_per_subject\"")
            : absl::StrCat("\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":", last + 1);
    std::string body = absl::StrCat(
        "{\"stream_name\":", Quoted(self->stream_), ",\"config\":{", from,
        ",\"ack_policy\":\"explicit\",\"ack_wait\":", Nanos(milliseconds(30'000)),
        ",\"max_deliver\":-1,\"max_ack_pending\":1000,\"replay_policy\":\"instant\","
        "\"inactive_threshold\":",
        Nanos(milliseconds(60'000)), ",\"filter_subject\":", Quoted(self->prefix_ + keys), "}}");
    Task<Json> make =
        self->client_->Api(absl::StrCat("CONSUMER.CREATE.", self->stream_), std::move(body));
    const Json made = co_await std::move(make);
    co_return nats_adapter::JsonText(made, "name");
  }
  static absl::Status Pull(Impl& self, const std::string& consumer, const std::string& inbox) {
    absl::Status ready = self.client_->connection().Ready();
    if (!ready.ok()) return ready;
    const std::string to = absl::StrCat("$JS.API.CONSUMER.MSG.NEXT.", self.stream_, ".", consumer);
    const std::string body =
        absl::StrCat("{\"batch\":", nats_adapter::kWatchBatch,
                     ",\"expires\":", nats_adapter::Nanos(nats_adapter::kWatchExpires), "}");
    OutboundMessage out;
    out.to = to;
    out.reply_to = inbox;
    out.body = body;
    return self.client_->connection().Publish(out);
  }
  static void Acknowledge(Impl& self, natsMsg* message) {
    OutboundMessage out;
    out.to = natsMsg_GetReply(message);
    out.body = "+ACK";
    self.client_->connection().Publish(out).IgnoreError();  // unheard: it comes again, and is known
  }

  const KeyValueOptions options_;
  const std::string stream_;
  const std::string prefix_;
  const std::shared_ptr<LoopPool> loops_;
  const std::shared_ptr<JsClient> client_;
  const std::shared_ptr<nats_adapter::Watches> watches_;
};

KeyValue::KeyValue(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
KeyValue::~KeyValue() = default;

absl::StatusOr<std::shared_ptr<KeyValue>> KeyValue::TryOpen(const KeyValueOptions& options) {
  if (absl::Status checked = CheckNatsOptions(options.nats); !checked.ok()) return checked;
  const bool named =
      !options.bucket.empty() &&
      std::all_of(options.bucket.begin(), options.bucket.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
      });
  constexpr int kMostHistory = 64;
  if (!named || options.history < 1 || options.history > kMostHistory ||
      options.timeout.count() <= 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "KeyValue \"", options.bucket,
        "\": a bucket's name is of letters, digits, - and _; history is from 1 to 64, and timeout "
        "above 0"));
  }
  const std::shared_ptr<LoopPool> loops = nats_adapter::ClientLoops();
  auto watches = std::make_shared<nats_adapter::Watches>();
  nats_adapter::Connection::Events events;
  events.on_reconnected = [watches] { watches->Forget(); };
  auto client = nats_adapter::JsClient::Open(options.nats, (*loops)[0], /*background=*/false,
                                             std::move(events), loops);
  if (!client.ok()) return client.status();
  auto impl = std::make_shared<Impl>(options, loops, *std::move(client), std::move(watches));
  if (absl::Status status = SyncWaitStatus(Impl::SetUp(impl)); !status.ok()) return status;
  return std::make_shared<KeyValue>(std::move(impl));
}

std::shared_ptr<KeyValue> KeyValue::Open(const KeyValueOptions& options) {
  auto opened = TryOpen(options);
  if (!opened.ok()) throw RpcException(opened.status());
  return *std::move(opened);
}

Task<KeyValueEntry> KeyValue::Get(std::string key) { return Impl::Get(impl_, std::move(key)); }
Task<std::uint64_t> KeyValue::Put(std::string key, std::string value) {
  return Impl::Write(impl_, std::move(key), std::move(value), std::nullopt, /*deletes=*/false);
}
Task<std::uint64_t> KeyValue::Create(std::string key, std::string value) {
  return Impl::Create(impl_, std::move(key), std::move(value));
}
Task<std::uint64_t> KeyValue::Update(std::string key, std::string value, std::uint64_t revision) {
  return Impl::Write(impl_, std::move(key), std::move(value), revision, /*deletes=*/false);
}
Task<void> KeyValue::Delete(std::string key) {
  Task<std::uint64_t> write =
      Impl::Write(impl_, std::move(key), "", std::nullopt, /*deletes=*/true);
  co_await std::move(write);
}
Stream<KeyValueEntry> KeyValue::Watch(std::string keys) {
  return Impl::Watch(impl_, std::move(keys));
}

}  // namespace rookery
