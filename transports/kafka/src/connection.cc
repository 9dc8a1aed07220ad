#include "connection.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <future>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "rookery/runtime/rpc_exception.h"
#include "runtime/abseil_strings.h"

namespace rookery::kafka_adapter {
namespace {

using internal::Abs;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long librdkafka may take to answer about topics, each time it is asked.
constexpr milliseconds kAsk{2'000};
constexpr milliseconds kAskFirst{500};
constexpr milliseconds kAskAgain{100};
// How long a topic of our own may take to be deleted.
constexpr milliseconds kDeleteTopic{1'000};

int Millis(Deadline until, milliseconds most) {
  if (until == kNoDeadline) return static_cast<int>(most.count());
  const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now());
  return static_cast<int>(std::clamp(left, milliseconds(1), most).count());
}

void Empty(rd_kafka_queue_t* queue) {
  while (const auto gone = EventPtr(rd_kafka_queue_poll(queue, 0))) continue;
}

}  // namespace

void Handle::WillRead(const rd_kafka_topic_partition_list_t* partitions) {
  for (int i = 0; i < partitions->cnt; ++i) {
    const rd_kafka_topic_partition_t& each = partitions->elems[i];
    QueuePtr& queue = queues_[{each.topic, each.partition}];
    // Of a partition that librdkafka has forgotten since, perhaps; then it has another by now.
    if (queue != nullptr) Empty(queue.get());
    queue.reset(rd_kafka_queue_get_partition(client_, each.topic, each.partition));
  }
}

Handle::~Handle() {
  constexpr milliseconds kMost{10'000};
  for (const auto& [partition, queue] : queues_) {
    if (queue == nullptr) continue;
    // Where its consumer was not closed it still ends in the client's own.
    rd_kafka_queue_forward(queue.get(), nullptr);
    Empty(queue.get());
  }
  queues_.clear();
  std::promise<void> ended;
  std::future<void> end = ended.get_future();
  std::thread ending([client = client_, done = std::move(ended)]() mutable {
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    done.set_value();
  });
  if (end.wait_for(kMost) == std::future_status::ready) {
    ending.join();
    return;
  }
  ending.detach();
  Log().Error("librdkafka does not end; its threads are left behind");
}

absl::StatusOr<std::shared_ptr<Handle>> OpenHandle(ConfPtr conf, rd_kafka_type_t type) {
  std::array<char, 512> why{};
  rd_kafka_t* const client = rd_kafka_new(type, conf.get(), why.data(), why.size());
  if (client == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("librdkafka: ", why.data()));
  }
  static_cast<void>(conf.release());  // it is the client's now
  return std::make_shared<Handle>(client);
}

// ---- queues -------------------------------------------------------------------------------------

QueueWatch::QueueWatch(Loop& loop, std::function<void()> on_ready)
    : loop_(loop), on_ready_(std::move(on_ready)) {}

QueueWatch::~QueueWatch() {
  if (fd_ >= 0) ::close(fd_);
}

void QueueWatch::Start(rd_kafka_queue_t* queue) {
  queue_ = queue;
  fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  const std::uint64_t one = 1;
  rd_kafka_queue_io_event_enable(queue_, fd_, &one, sizeof one);
  loop_.WaitFd(fd_, FdEvent::kReadable, &wait_);
  // What came before we watched.
  on_ready_();
}

void QueueWatch::Stop() noexcept {
  if (queue_ == nullptr) return;
  rd_kafka_queue_io_event_enable(std::exchange(queue_, nullptr), -1, nullptr, 0);
  loop_.CancelWait(&wait_);
  ::close(std::exchange(fd_, -1));
}

void QueueWatch::OnFd(bool ready) noexcept {
  if (!ready || queue_ == nullptr) return;
  std::uint64_t times = 0;
  // Empty is fine: somebody else has read it.
  [[maybe_unused]] const ssize_t got = ::read(fd_, &times, sizeof times);
  loop_.WaitFd(fd_, FdEvent::kReadable, &wait_);
  on_ready_();
}

// ---- records ------------------------------------------------------------------------------------

namespace {

// What an InboundMessage has views of. The record goes before its client does.
struct Held {
  std::shared_ptr<Handle> from;
  Record record;
};

struct Attribute {
  std::string_view record;
  std::string_view here;
};
constexpr std::array<Attribute, 10> kAttributes = {{{"ce_id", "ce-id"},
                                                    {"ce_source", "ce-source"},
                                                    {"ce_type", "ce-type"},
                                                    {"ce_specversion", "ce-specversion"},
                                                    {"ce_time", "ce-time"},
                                                    {"ce_subject", "ce-subject"},
                                                    {"ce_expirytime", "ce-expirytime"},
                                                    {"ce_partitionkey", "ce-partitionkey"},
                                                    {"ce_dataschema", "ce-dataschema"},
                                                    {"ce_datacontenttype", "ce-datacontenttype"}}};

std::string_view NameHere(std::string_view name, std::forward_list<std::string>* kept) {
  for (const Attribute& each : kAttributes) {
    if (each.record == name) return each.here;
  }
  kept->push_front(absl::StrCat(Abs(kEventPrefix), Abs(name.substr(kRecordEventPrefix.size()))));
  return kept->front();
}
std::string_view NameInRecord(std::string_view name, std::forward_list<std::string>* kept) {
  for (const Attribute& each : kAttributes) {
    if (each.here == name) return each.record;
  }
  kept->push_front(absl::StrCat(Abs(kRecordEventPrefix), Abs(name.substr(kEventPrefix.size()))));
  return kept->front();
}

// A partition as NestJS writes it, in decimal, or as Spring does, in four bytes.
std::optional<std::int32_t> ParsePartition(std::string_view text) {
  std::int32_t partition = 0;
  if (absl::SimpleAtoi(Abs(text), &partition) && partition >= 0) return partition;
  if (text.size() != 4) return std::nullopt;
  std::uint32_t number = 0;
  for (const char c : text) number = number << 8 | static_cast<unsigned char>(c);
  if (number > 0x7fffffffU) return std::nullopt;
  return static_cast<std::int32_t>(number);
}

}  // namespace

namespace {
// A timeout counts from when the record was written, as far as clocks agree; engines count from
// now.
std::string_view TimeLeft(std::string_view text, RecordInfo* info,
                          std::forward_list<std::string>* kept) {
  const std::optional<std::chrono::nanoseconds> timeout = ParseTimeout(text);
  if (!timeout || info->timestamp < 0) return text;
  const auto now =
      std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  const milliseconds age = now - milliseconds(info->timestamp) - kClockSkew;
  if (age.count() <= 0) return text;
  if (*timeout <= age) {
    info->expired = true;
    return text;
  }
  kept->push_front(FormatTimeout(*timeout - age));
  return kept->front();
}
}  // namespace

InboundMessage ToInbound(const std::shared_ptr<Handle>& from, RawMessage raw, RecordInfo* info) {
  auto held = std::make_unique<Held>();
  held->from = from;
  held->record.raw = std::move(raw);
  Record* const record = &held->record;
  InboundMessage message(InboundMessage::Owner(held.release(), [](void* it) noexcept {
    const std::unique_ptr<Held> gone(static_cast<Held*>(it));
  }));
  ReadRecord(record, &message, info);
  return message;
}

void ReadRecord(Record* record, InboundMessage* message, RecordInfo* info) {
  const rd_kafka_message_t& kafka = *record->raw;
  if (kafka.payload != nullptr) {
    message->body = std::string_view(static_cast<const char*>(kafka.payload), kafka.len);
  }
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  info->timestamp = rd_kafka_message_timestamp(&kafka, &type);
  if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) info->timestamp = -1;
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&kafka, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  std::optional<std::string_view> reply_topic;
  std::optional<std::string_view> reply_id;
  std::optional<std::string_view> reply_partition;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i) {
    WireField field{name, value == nullptr
                              ? std::string_view()
                              : std::string_view(static_cast<const char*>(value), size)};
    const char first = field.name.empty() ? '\0' : field.name.front();
    if (first == 'c') {
      if (field.name.starts_with(kRecordEventPrefix)) {
        field.name = NameHere(field.name, &record->names);
      }
    } else if (first == 'k') {
      if (field.name == kCorrelationHeader) {
        info->correlation = field.value;
        continue;
      }
      if (field.name == kReplyTopicHeader) {
        reply_topic = field.value;
        continue;
      }
      if (field.name == kReplyPartitionHeader) {
        reply_partition = field.value;
        continue;
      }
    } else if (first == 'r') {
      std::optional<std::string_view>* const known =
          field.name == kMethodHeader          ? &info->method
          : field.name == kReplyIdHeader       ? &reply_id
          : field.name == kRetryTopicHeader    ? &info->retry_topic
          : field.name == kRetryAtHeader       ? &info->retry_at
          : field.name == kRetryAttemptsHeader ? &info->retry_attempts
                                               : nullptr;
      if (known != nullptr) {
        *known = field.value;
        continue;
      }
    } else if (field.name == kTimeoutHeader) {
      info->has_timeout = true;
      field.value = TimeLeft(field.value, info, &record->names);
    }
    message->fields.push_back(field);
  }
  const std::string_view id = reply_id ? *reply_id : info->correlation.value_or("");
  if (reply_topic && !id.empty() && CheckTopic(*reply_topic).ok()) {
    record->reply_to = std::string(*reply_topic);
    if (reply_partition) {
      if (const auto partition = ParsePartition(*reply_partition)) {
        absl::StrAppend(&record->reply_to, "#", *partition);
      }
    }
    absl::StrAppend(&record->reply_to, "/", Abs(id));
    message->reply_to = record->reply_to;
  }
}

OutRecord ViewOf(const KafkaRecord& record) {
  OutRecord view;
  view.topic = record.topic;
  if (record.partition) view.partition = *record.partition;
  if (record.key) view.key = *record.key;
  if (record.value) view.value = *record.value;
  for (const auto& [name, value] : record.headers) view.headers.push_back({name, value});
  return view;
}

rd_kafka_resp_err_t ProduceRaw(rd_kafka_t* client, const OutRecord& record, void* mine) {
  const std::string topic(record.topic);
  rd_kafka_headers_t* headers = nullptr;
  if (!record.headers.empty()) {
    headers = rd_kafka_headers_new(record.headers.size());
    for (const WireField& each : record.headers) {
      rd_kafka_header_add(headers, each.name.data(), static_cast<ssize_t>(each.name.size()),
                          each.value.data(), static_cast<ssize_t>(each.value.size()));
    }
  }
  std::array<rd_kafka_vu_t, 7> parts{};
  std::size_t count = 0;
  const auto part = [&](rd_kafka_vtype_t type) -> rd_kafka_vu_t& {
    parts[count].vtype = type;
    return parts[count++];
  };
  part(RD_KAFKA_VTYPE_TOPIC).u.cstr = topic.c_str();
  part(RD_KAFKA_VTYPE_PARTITION).u.i32 = record.partition;
  part(RD_KAFKA_VTYPE_MSGFLAGS).u.i = RD_KAFKA_MSG_F_COPY;
  part(RD_KAFKA_VTYPE_OPAQUE).u.ptr = mine;
  // librdkafka does not write to what it copies.
  if (record.value) {
    rd_kafka_vu_t& value = part(RD_KAFKA_VTYPE_VALUE);
    // Nothing and empty are two things.
    value.u.mem.ptr =
        const_cast<char*>(record.value->data() == nullptr ? "" : record.value->data());
    value.u.mem.size = record.value->size();
  }
  if (record.key) {
    rd_kafka_vu_t& key = part(RD_KAFKA_VTYPE_KEY);
    key.u.mem.ptr = const_cast<char*>(record.key->data() == nullptr ? "" : record.key->data());
    key.u.mem.size = record.key->size();
  }
  if (headers != nullptr) part(RD_KAFKA_VTYPE_HEADERS).u.headers = headers;
  rd_kafka_error_t* const error = rd_kafka_produceva(client, parts.data(), count);
  if (error == nullptr) return RD_KAFKA_RESP_ERR_NO_ERROR;
  // Taken on success alone.
  if (headers != nullptr) rd_kafka_headers_destroy(headers);
  const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  return code;
}

std::optional<ReplyAddress> ParseReplyAddress(std::string_view address) {
  const std::size_t slash = address.find('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  ReplyAddress parsed;
  parsed.topic = address.substr(0, slash);
  parsed.correlation = address.substr(slash + 1);
  if (const std::size_t mark = parsed.topic.find('#'); mark != std::string_view::npos) {
    std::int32_t partition = 0;
    if (!absl::SimpleAtoi(Abs(parsed.topic.substr(mark + 1)), &partition)) return std::nullopt;
    parsed.partition = partition;
    parsed.topic = parsed.topic.substr(0, mark);
  }
  return parsed;
}

void AddHeaders(const OutboundMessage& message, OutRecord* record) {
  for (WireField field : message.fields) {
    if (field.name.starts_with(kEventPrefix)) {
      field.name = NameInRecord(field.name, &record->kept);
    }
    record->headers.push_back(field);
  }
}

void FillRecord(const OutboundMessage& message, OutRecord* record) {
  AddHeaders(message, record);
  record->value = message.body;
  const std::size_t bar = message.to.find('|');
  const bool to_method = bar != std::string_view::npos && bar < message.to.find('/');
  std::optional<ReplyAddress> to;
  if (to_method) {
    record->topic = message.to.substr(0, bar);
    const std::string_view method = message.to.substr(bar + 1);
    if (!method.empty()) record->headers.push_back({kMethodHeader, method});
  } else {
    to = ParseReplyAddress(message.to);
    if (!to) return;
    record->topic = to->topic;
    record->partition = to->partition;
    // All frames of a call by one partition, however many a shared topic has.
    record->key = to->correlation;
    record->headers.push_back({kCorrelationHeader, to->correlation});
  }
  if (message.reply_to.empty()) return;
  if (const auto reply = ParseReplyAddress(message.reply_to)) {
    record->headers.push_back({kReplyTopicHeader, reply->topic});
    record->headers.push_back(
        {to_method ? kCorrelationHeader : kReplyIdHeader, reply->correlation});
  }
}

// ---- the producer -------------------------------------------------------------------------------

// A place in the line of those who send; leaves it, whatever becomes of the coroutine.
class Producer::Turn final {
 public:
  Turn(Producer& producer, std::size_t bytes) : producer_(producer), bytes_(bytes) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    const std::scoped_lock lock(producer_.mutex_);
    if (waiter_ != nullptr && !waiter_->granted) {
      auto& line = producer_.waiters_;
      line.erase(std::remove(line.begin(), line.end(), waiter_), line.end());
      producer_.Grant();  // whoever stood behind may fit
    } else if (has_room_ || waiter_ != nullptr) {
      --producer_.reserved_;
      producer_.reserved_bytes_ -= bytes_;
      producer_.Grant();
    }
  }
  // Room at once, or a place in the line.
  [[nodiscard]] bool Take() {
    const std::scoped_lock lock(producer_.mutex_);
    if (producer_.waiters_.empty() && producer_.Fits(bytes_)) {
      ++producer_.reserved_;
      producer_.reserved_bytes_ += bytes_;
      has_room_ = true;
      return true;
    }
    return false;
  }
  [[nodiscard]] Event& Queue() {
    const std::scoped_lock lock(producer_.mutex_);
    waiter_ = std::make_shared<Waiter>();
    waiter_->bytes = bytes_;
    producer_.waiters_.push_back(waiter_);
    producer_.Grant();
    return waiter_->event;
  }

 private:
  Producer& producer_;
  const std::size_t bytes_;
  std::shared_ptr<Waiter> waiter_;
  bool has_room_ = false;
};

bool Producer::Fits(std::size_t bytes) const noexcept {
  // One alone always fits, however large.
  if (reserved_ == 0) return true;
  return reserved_ < options_.max_pending && reserved_bytes_ + bytes <= options_.max_pending_bytes;
}

void Producer::Grant() {
  while (!waiters_.empty() && Fits(waiters_.front()->bytes)) {
    const std::shared_ptr<Waiter> next = std::move(waiters_.front());
    waiters_.pop_front();
    next->granted = true;
    ++reserved_;
    reserved_bytes_ += next->bytes;
    next->event.Set();
  }
}

Producer::Producer(Kafka options, Loop& loop, std::shared_ptr<LoopPool> keep)
    : options_(std::move(options)), loop_(loop), keep_(std::move(keep)) {}

Producer::~Producer() { Close(); }

absl::StatusOr<std::shared_ptr<Producer>> Producer::Open(const Kafka& options, Loop& loop,
                                                         std::shared_ptr<LoopPool> keep) {
  Kafka plain = options;
  plain.transactional_id.clear();  // a transaction has a producer of its own
  auto producer = std::make_shared<Producer>(std::move(plain), loop, std::move(keep));
  auto line = producer->NewLine();
  if (!line.ok()) return line.status();
  producer->line_ = *line;
  producer->Watch(*std::move(line));
  return producer;
}

absl::StatusOr<std::shared_ptr<Producer::Line>> Producer::NewLine() {
  absl::StatusOr<ConfPtr> conf = ToConf(options_, Role::kProducer);
  if (!conf.ok()) return conf.status();
  rd_kafka_conf_set_opaque(conf->get(), this);
  rd_kafka_conf_set_dr_msg_cb(conf->get(), OnDelivery);
  rd_kafka_conf_set_error_cb(conf->get(), OnError);
  rd_kafka_conf_set_stats_cb(conf->get(), OnStats);
  auto handle = OpenHandle(*std::move(conf), RD_KAFKA_PRODUCER);
  if (!handle.ok()) return handle.status();
  auto line = std::make_shared<Line>();
  line->handle = *std::move(handle);
  line->queue = QueuePtr(rd_kafka_queue_get_main(line->handle->get()));
  return line;
}

void Producer::Watch(const std::shared_ptr<Line>& line) {
  // The watch lives with the line, whose last reference goes behind Stop(), which is posted later.
  line->watch = std::make_unique<QueueWatch>(loop_, [this] {
    // Whom a report wakes may let go of the producer.
    const std::shared_ptr<Producer> keep = weak_from_this().lock();
    if (keep != nullptr) OnReady();
  });
  loop_.Post([line, self = weak_from_this()] {
    const std::shared_ptr<Producer> alive = self.lock();
    if (alive == nullptr) return;
    {
      const std::scoped_lock lock(alive->mutex_);
      if (alive->closed_) return;
    }
    line->watch->Start(line->queue.get());
  });
}

std::shared_ptr<Handle> Producer::handle() const {
  const std::scoped_lock lock(mutex_);
  return line_ == nullptr ? nullptr : line_->handle;
}

void Producer::OnReady() {
  std::shared_ptr<Handle> handle;
  {
    const std::scoped_lock lock(mutex_);
    if (closed_ || line_ == nullptr) return;
    handle = line_->handle;
  }
  rd_kafka_poll(handle->get(), 0);
  for (const std::shared_ptr<Line>& each : old_) rd_kafka_poll(each->handle->get(), 0);
  if (fatal_.exchange(false)) Renew();
  if (old_.empty()) return;
  for (const std::shared_ptr<Line>& each : old_) {
    if (rd_kafka_outq_len(each->handle->get()) == 0) each->watch->Stop();
  }
  old_.erase(
      std::remove_if(old_.begin(), old_.end(),
                     [](const auto& each) { return rd_kafka_outq_len(each->handle->get()) == 0; }),
      old_.end());
}

// An idempotent producer that has lost count is of no use any more; what it had under way has
// failed, and what comes now goes by a new one.
void Producer::Renew() {
  auto line = NewLine();
  if (!line.ok()) {
    Log().Error("no new producer can be made", {{"why", line.status().message()}});
    return;
  }
  std::shared_ptr<Line> before;
  {
    const std::scoped_lock lock(mutex_);
    if (closed_) return;
    before = std::exchange(line_, *line);
  }
  rd_kafka_purge(before->handle->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                            RD_KAFKA_PURGE_F_NON_BLOCKING);
  old_.push_back(std::move(before));
  Watch(*std::move(line));
}

void Producer::OnDelivery(rd_kafka_t* /*client*/, const rd_kafka_message_t* message, void* opaque) {
  auto& producer = *static_cast<Producer*>(opaque);
  const std::unique_ptr<Pending> pending(static_cast<Pending*>(message->_private));
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    producer.state_.store(ConnectionState::kReady);
  }
  if (pending->done) {
    absl::Status status;
    KafkaPosition at;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      at.topic = rd_kafka_topic_name(message->rkt);
      at.partition = message->partition;
      at.offset = message->offset;
    } else {
      const bool perhaps = rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
      status = ToStatus(message->err,
                        absl::StrCat("a record for ", rd_kafka_topic_name(message->rkt),
                                     perhaps ? " is not known to be stored" : " was not stored"));
    }
    pending->done(status, std::move(at));
  } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    Log().Warn("a record could not be sent", {{"topic", rd_kafka_topic_name(message->rkt)},
                                              {"why", rd_kafka_err2str(message->err)}});
  }
  producer.Delivered(pending->bytes);
}

void Producer::Delivered(std::size_t bytes) {
  static_cast<void>(bytes);
  std::deque<std::shared_ptr<Event>> flushed;
  if (pending_.fetch_sub(1) == 1) {
    const std::scoped_lock lock(mutex_);
    flushed.swap(flushers_);
  }
  for (const std::shared_ptr<Event>& each : flushed) each->Set();
}

void Producer::OnError(rd_kafka_t* client, int error, const char* reason, void* opaque) {
  auto& producer = *static_cast<Producer*>(opaque);
  if (error == RD_KAFKA_RESP_ERR__FATAL) {
    std::array<char, 512> why{};
    rd_kafka_fatal_error(client, why.data(), why.size());
    Log().Error("the producer cannot go on, and a new one is made", {{"why", why.data()}});
    producer.fatal_.store(true);
  } else if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    producer.state_.store(ConnectionState::kTransientFailure);
  } else {
    Log().Warn("the producer has trouble", {{"why", reason}});
  }
}

bool AnyBrokerUp(std::string_view json) noexcept {
  return json.find("\"state\":\"UP\"") != std::string_view::npos;
}

int Producer::OnStats(rd_kafka_t* /*client*/, char* json, std::size_t length, void* opaque) {
  auto& producer = *static_cast<Producer*>(opaque);
  if (AnyBrokerUp({json, length})) producer.state_.store(ConnectionState::kReady);
  return 0;  // librdkafka frees it
}

absl::Status Producer::Produce(const OutRecord& record, Done done) {
  std::shared_ptr<Handle> handle = this->handle();
  if (handle == nullptr) return absl::UnavailableError("the producer is closed");
  if (absl::Status checked = CheckTopic(record.topic); !checked.ok()) return checked;
  auto pending = std::make_unique<Pending>();
  pending->producer = this;
  pending->bytes = record.bytes();
  pending->done = std::move(done);
  pending_.fetch_add(1);
  const rd_kafka_resp_err_t error = ProduceRaw(handle->get(), record, pending.get());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    Delivered(0);
    return ToStatus(error, absl::StrCat("a record for ", Abs(record.topic)));
  }
  static_cast<void>(pending.release());  // comes back with its report
  return absl::OkStatus();
}

Task<KafkaPosition> Producer::Send(const OutRecord& record) {
  const std::shared_ptr<Producer> self = shared_from_this();
  struct Sent {
    Event over;
    absl::Status status;
    KafkaPosition at;
  };
  const auto sent = std::make_shared<Sent>();
  Turn turn(*this, record.bytes());
  const bool room = turn.Take();
  if (!room && options_.when_full == KafkaWhenFull::kFail) {
    co_return absl::ResourceExhaustedError(
        absl::StrCat("a record for ", Abs(record.topic), ": ", pending_.load(),
                     " records are under way already (Kafka::max_pending, max_pending_bytes)"));
  }
  if (!room) {
    Event& my_turn = turn.Queue();
    co_await my_turn.Wait();
  }
  // Its reservation is the turn's, which a caller who gives up takes away too early: what is under
  // way is bounded by librdkafka's own queue as well, which is twice as long.
  Done done = [sent](const absl::Status& status, KafkaPosition at) {
    sent->status = status;
    sent->at = std::move(at);
    sent->over.Set();
  };
  absl::Status status = Produce(record, done);
  while (status.code() == absl::StatusCode::kResourceExhausted &&
         options_.when_full == KafkaWhenFull::kWait && pending_.load() > 0 &&
         record.bytes() <= options_.max_send_bytes) {
    // The queue of librdkafka is full of what was not awaited.
    const auto emptied = std::make_shared<Event>();
    {
      const std::scoped_lock lock(mutex_);
      flushers_.push_back(emptied);
    }
    co_await emptied->Wait();
    status = Produce(record, done);
  }
  if (!status.ok()) co_return status;
  co_await sent->over.Wait();
  if (!sent->status.ok()) co_return sent->status;
  co_return std::move(sent->at);
}

Task<void> Producer::Flush() {
  const std::shared_ptr<Producer> self = shared_from_this();
  const auto flushed = std::make_shared<Event>();
  bool empty = false;
  {
    const std::scoped_lock lock(mutex_);
    empty = pending_.load() == 0;
    if (!empty) flushers_.push_back(flushed);
  }
  if (!empty) co_await flushed->Wait();
}

bool Producer::FlushBlocking(milliseconds timeout) noexcept {
  const Deadline until = steady_clock::now() + timeout;
  while (pending_.load() > 0 && steady_clock::now() < until) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  return pending_.load() == 0;
}

void Producer::Close() noexcept {
  std::shared_ptr<Line> line;
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(closed_, true)) return;
    line = std::move(line_);
  }
  if (line == nullptr) return;
  std::vector<std::shared_ptr<Line>> lines;
  const auto stop = [&] {
    lines = std::move(old_);
    old_.clear();
    lines.push_back(line);
    for (const std::shared_ptr<Line>& each : lines) {
      if (each->watch != nullptr) each->watch->Stop();
    }
  };
  if (Loop::Current() == &loop_) {
    stop();
  } else {
    RunOn(loop_, stop);
  }
  for (const std::shared_ptr<Line>& each : lines) {
    rd_kafka_t* const client = each->handle->get();
    // Every record gets its report: callers wait for it.
    rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    for (int i = 0; i < 100 && rd_kafka_outq_len(client) > 0; ++i) rd_kafka_poll(client, 10);
  }
  state_.store(ConnectionState::kShutdown);
}

// ---- topics -------------------------------------------------------------------------------------

namespace {

// How many partitions the topic has; NOT_FOUND if it is not there.
absl::StatusOr<int> CountPartitions(rd_kafka_t* client, const std::string& topic, int timeout) {
  rd_kafka_topic_t* const handle = rd_kafka_topic_new(client, topic.c_str(), nullptr);
  if (handle == nullptr) return ToStatus(rd_kafka_last_error(), topic);
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, handle, &metadata, timeout);
  rd_kafka_topic_destroy(handle);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return absl::UnavailableError(absl::StrCat("no broker answers: ", rd_kafka_err2str(error)));
  }
  absl::StatusOr<int> count = absl::NotFoundError(absl::StrCat("there is no topic ", topic));
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic& found = metadata->topics[i];
    if (topic != found.topic) continue;
    if (found.err == RD_KAFKA_RESP_ERR_NO_ERROR && found.partition_cnt > 0) {
      count = found.partition_cnt;
    } else if (found.err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
      count = absl::UnavailableError(absl::StrCat("the topic ", topic, " has no leader yet"));
    } else if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR &&
               found.err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
      count = ToStatus(found.err, absl::StrCat("the topic ", topic));
    }
  }
  rd_kafka_metadata_destroy(metadata);
  return count;
}

absl::Status CreateTopic(rd_kafka_t* client, const Kafka& options, const std::string& topic,
                         int partitions, const std::map<std::string, std::string>& config,
                         int timeout) {
  std::array<char, 512> why{};
  rd_kafka_NewTopic_t* topic_new =
      rd_kafka_NewTopic_new(topic.c_str(), partitions, options.replication, why.data(), why.size());
  if (topic_new == nullptr) return absl::InvalidArgumentError(why.data());
  for (const auto& [name, value] : config) {
    rd_kafka_NewTopic_set_config(topic_new, name.c_str(), value.c_str());
  }
  const QueuePtr queue(rd_kafka_queue_new(client));
  rd_kafka_AdminOptions_t* const admin =
      rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_AdminOptions_set_request_timeout(admin, timeout, why.data(), why.size());
  rd_kafka_CreateTopics(client, &topic_new, 1, admin, queue.get());
  rd_kafka_event_t* const event = rd_kafka_queue_poll(queue.get(), timeout + 1'000);
  absl::Status status = absl::UnavailableError("no broker answers");
  if (event != nullptr) {
    status = ToStatus(rd_kafka_event_error(event), absl::StrCat("the topic ", topic));
    const auto* const result = rd_kafka_event_CreateTopics_result(event);
    if (status.ok() && result != nullptr) {
      std::size_t count = 0;
      const auto* const* const topics = rd_kafka_CreateTopics_result_topics(result, &count);
      for (std::size_t i = 0; i < count; ++i) {
        const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(topics[i]);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR ||
            error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
          continue;
        }
        const char* const text = rd_kafka_topic_result_error_string(topics[i]);
        status =
            ToStatus(error, absl::StrCat("the topic ", topic, " cannot be made",
                                         text == nullptr ? "" : ": ", text == nullptr ? "" : text));
      }
    }
    rd_kafka_event_destroy(event);
  }
  rd_kafka_AdminOptions_destroy(admin);
  rd_kafka_NewTopic_destroy(topic_new);
  return status;
}

}  // namespace

absl::StatusOr<std::map<std::string, int>> EnsureTopics(
    rd_kafka_t* client, const Kafka& options, const std::vector<std::string>& topics, bool create,
    int partitions, const std::map<std::string, std::string>& config, Deadline give_up,
    bool* made_here) {
  std::map<std::string, int> counts;
  std::vector<std::string> missing;
  for (const std::string& topic : topics) {
    bool told = false;
    bool made = false;
    for (;;) {
      // The first time not for long: whoever waits is to know what for.
      const milliseconds patience = told ? kAsk : kAskFirst;
      const absl::StatusOr<int> count = CountPartitions(client, topic, Millis(give_up, patience));
      absl::Status why = count.status();
      if (count.ok()) {
        counts[topic] = *count;
        break;
      }
      if (absl::IsNotFound(why) && !create) {
        missing.push_back(topic);
        break;
      }
      if (absl::IsNotFound(why) && !made) {
        why = CreateTopic(client, options, topic, partitions, config, Millis(give_up, kAsk));
        // Brokers that know no such request may make topics that are asked for.
        made = why.ok() || absl::IsFailedPrecondition(why);
        if (made && why.ok()) {
          Log().Info("a topic was made", {{"topic", topic}});
          if (made_here != nullptr) *made_here = true;
          why = absl::UnavailableError("it was made, and is not there yet");
        }
      }
      const bool hopeless =
          !absl::IsUnavailable(why) && !absl::IsNotFound(why) && !absl::IsFailedPrecondition(why);
      if (hopeless || steady_clock::now() + kAskAgain > give_up) return why;
      if (!std::exchange(told, true) && !made) {
        Log().Warn("waiting for Kafka", {{"brokers", options.brokers}, {"why", why.message()}});
      }
      std::this_thread::sleep_for(kAskAgain);
    }
  }
  if (missing.empty()) return counts;
  return absl::NotFoundError(
      absl::StrCat("there is no topic ", absl::StrJoin(missing, ", "),
                   ". Create it, or let Kafka::topics = KafkaTopics::kCreate do so"));
}

void DeleteTopic(rd_kafka_t* client, const std::string& topic, milliseconds timeout) noexcept {
  rd_kafka_DeleteTopic_t* gone = rd_kafka_DeleteTopic_new(topic.c_str());
  const QueuePtr queue(rd_kafka_queue_new(client));
  rd_kafka_DeleteTopics(client, &gone, 1, nullptr, queue.get());
  rd_kafka_event_t* const event =
      rd_kafka_queue_poll(queue.get(), static_cast<int>(timeout.count()));
  if (event != nullptr) rd_kafka_event_destroy(event);
  rd_kafka_DeleteTopic_destroy(gone);
}

// ---- the inbox ----------------------------------------------------------------------------------

Inbox::Inbox(Kafka options, Loop& loop, OnRecord on_record)
    : options_(std::move(options)),
      loop_(loop),
      on_record_(std::move(on_record)),
      instance_(NewInstanceId()),
      own_topic_(options_.reply_topic.empty()),
      topic_(own_topic_ ? Prefixed(options_, absl::StrCat("rookery.inbox.",
                                                          SafeName(NameOf(options_)).substr(0, 64),
                                                          ".", instance_))
                        : Prefixed(options_, options_.reply_topic)) {}

Inbox::~Inbox() { Close(); }

std::string Inbox::AddressOf(std::uint64_t id) const {
  std::string address;
  address.reserve(topic_.size() + instance_.size() + 13);
  address += topic_;
  address += '/';
  address += instance_;
  address += '.';
  AppendBase62(&address, id);
  return address;
}

std::optional<std::uint64_t> Inbox::IdOf(std::string_view correlation) const noexcept {
  if (!correlation.starts_with(instance_)) return std::nullopt;
  correlation.remove_prefix(instance_.size());
  if (!correlation.starts_with('.')) return std::nullopt;
  return ParseBase62(correlation.substr(1));
}

absl::Status Inbox::Open(const std::shared_ptr<Handle>& producer,
                         const std::vector<std::string>& others, Deadline give_up) {
  absl::StatusOr<ConfPtr> conf = ToConf(options_, Role::kInbox);
  if (!conf.ok()) return conf.status();
  auto handle = OpenHandle(*std::move(conf), RD_KAFKA_CONSUMER);
  if (!handle.ok()) return handle.status();
  // Through the consumer: producers that ask for topics make them.
  // What nobody has read within minutes nobody waits for any more.
  auto counts = EnsureTopics(
      (*handle)->get(), options_, {topic_}, own_topic_ || options_.topics == KafkaTopics::kCreate,
      1, {{"retention.ms", "600000"}, {"cleanup.policy", "delete"}}, give_up, &made_);
  if (counts.ok() && !others.empty()) {
    auto more =
        EnsureTopics((*handle)->get(), options_, others, options_.topics == KafkaTopics::kCreate, 1,
                     {{"retention.ms", "600000"}, {"cleanup.policy", "delete"}}, give_up);
    if (!more.ok()) return more.status();
    counts->insert(more->begin(), more->end());
  }
  if (!counts.ok()) return counts.status();
  producer_ = producer;
  rd_kafka_t* const client = (*handle)->get();
  rd_kafka_poll_set_consumer(client);
  const ListPtr list = NewList(static_cast<int>(counts->size()));
  for (const auto& [topic, count] : *counts) {
    for (int partition = 0; partition < count; ++partition) {
      auto* const entry = rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
      if (own_topic_ && topic == topic_) {
        entry->offset = RD_KAFKA_OFFSET_BEGINNING;
        continue;
      }
      // The end as it is now: what is sent once we are open is seen.
      std::int64_t low = 0;
      std::int64_t high = 0;
      rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
      do {
        error = rd_kafka_query_watermark_offsets(client, topic.c_str(), partition, &low, &high,
                                                 Millis(give_up, kAsk));
      } while (error != RD_KAFKA_RESP_ERR_NO_ERROR && steady_clock::now() + kAskAgain < give_up);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return ToStatus(error, topic);
      entry->offset = high;
    }
  }
  (*handle)->WillRead(list.get());
  if (const auto error = rd_kafka_assign(client, list.get()); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return ToStatus(error, "the assignment of replies");
  }
  handle_ = *std::move(handle);
  queue_ = QueuePtr(rd_kafka_queue_get_consumer(client));
  watch_ = std::make_unique<QueueWatch>(loop_, [this] {
    // Whom a reply wakes may let go of the inbox.
    const std::shared_ptr<Inbox> keep = weak_from_this().lock();
    if (keep != nullptr) Poll();
  });
  RunOn(loop_, [this] { watch_->Start(queue_.get()); });
  open_.store(true);
  return absl::OkStatus();
}

void Inbox::Poll() {
  constexpr int kTurn = 512;
  for (int i = 0; i < kTurn; ++i) {
    if (handle_ == nullptr) return;
    RawMessage raw(rd_kafka_consumer_poll(handle_->get(), 0));
    if (raw == nullptr) return;
    if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      Log().Warn("replies cannot be read",
                 {{"topic", topic_}, {"why", rd_kafka_message_errstr(raw.get())}});
      continue;
    }
    const std::string topic = rd_kafka_topic_name(raw->rkt);
    RecordInfo info;
    InboundMessage message = ToInbound(handle_, std::move(raw), &info);
    on_record_(topic, info, std::move(message));
  }
  // Others of the loop first.
  loop_.Post([inbox = weak_from_this()] {
    if (const auto self = inbox.lock()) self->Poll();
  });
}

void Inbox::Close() noexcept {
  open_.store(false);
  if (handle_ == nullptr) return;
  std::shared_ptr<Handle> handle;
  const auto stop = [&] {
    watch_->Stop();
    handle = std::move(handle_);
  };
  if (Loop::Current() == &loop_) {
    stop();
  } else {
    RunOn(loop_, stop);
  }
  queue_.reset();
  if (own_topic_ && made_ && producer_ != nullptr) {
    DeleteTopic(producer_->get(), topic_, kDeleteTopic);
  }
  producer_.reset();
}

}  // namespace rookery::kafka_adapter
