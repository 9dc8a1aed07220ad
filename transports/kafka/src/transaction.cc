// Transactions: what a handler sends, and the offset of its event, together.
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "connection.h"
#include "delivery.h"
#include "events.h"
#include "options.h"
#include "rookery/runtime/offload.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace kafka_adapter {
namespace {

using internal::Abs;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Between two looks at whether what comes before in the partition is settled.
constexpr milliseconds kLookAgain{5};
// When Kafka could not do it: the event is handled again after that, and it is no attempt.
constexpr milliseconds kAgain{500};

}  // namespace

absl::StatusOr<std::shared_ptr<Transactor>> Transactor::Open(const Kafka& options,
                                                             Deadline give_up) {
  absl::StatusOr<ConfPtr> conf = ToConf(options, Role::kProducer);
  if (!conf.ok()) return conf.status();
  // Nobody reads its statistics.
  rd_kafka_conf_set(conf->get(), "statistics.interval.ms", "0", nullptr, 0);
  auto handle = OpenHandle(*std::move(conf), RD_KAFKA_PRODUCER);
  if (!handle.ok()) return handle.status();
  auto transactor = std::make_shared<Transactor>(options, *std::move(handle));
  for (bool told = false;; told = true) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(give_up - steady_clock::now()).count();
    rd_kafka_error_t* const error = rd_kafka_init_transactions(
        transactor->client(), static_cast<int>(std::clamp<std::int64_t>(left, 1, 2'000)));
    if (error == nullptr) return transactor;
    const bool again = rd_kafka_error_is_retriable(error) != 0;
    const absl::Status status =
        TakeError(error, absl::StrCat("the transactions of ", options.transactional_id));
    if (!again || steady_clock::now() > give_up) return status;
    if (!told) Log().Warn("waiting for Kafka", {{"why", status.message()}});
  }
}

absl::Status Transactor::fenced() const {
  const std::scoped_lock lock(mutex_);
  return fenced_;
}

absl::Status Transactor::Judge(rd_kafka_error_t* error, std::string_view what, bool* must_abort,
                               bool* again) {
  if (error == nullptr) return absl::OkStatus();
  const bool fatal = rd_kafka_error_is_fatal(error) != 0;
  *must_abort = rd_kafka_error_txn_requires_abort(error) != 0;
  *again = rd_kafka_error_is_retriable(error) != 0;
  absl::Status status = TakeError(error, what);
  if (fatal) {
    std::array<char, 512> why{};
    rd_kafka_fatal_error(client(), why.data(), why.size());
    status = absl::AbortedError(absl::StrCat(
        "the transactional_id ", options_.transactional_id,
        " belongs to another instance now, or its producer has lost count: ", why.data(),
        ". Give each instance one of its own, and start this one anew"));
    const std::scoped_lock lock(mutex_);
    fenced_ = status;
  }
  return status;
}

absl::Status Transactor::Begin() {
  bool must_abort = false;
  bool again = false;
  return Judge(rd_kafka_begin_transaction(client()), "a transaction cannot begin", &must_abort,
               &again);
}

absl::Status Transactor::Commit(const rd_kafka_topic_partition_list_t* offsets,
                                rd_kafka_t* consumer) {
  const Deadline until = steady_clock::now() + options_.transaction_timeout;
  constexpr int kEach = 10'000;
  absl::Status status;
  for (const bool offsets_first : {true, false}) {
    for (;;) {
      bool must_abort = false;
      bool again = false;
      rd_kafka_error_t* error = nullptr;
      if (offsets_first) {
        // Its generation fences a member that the group has given up.
        rd_kafka_consumer_group_metadata_t* const group =
            rd_kafka_consumer_group_metadata(consumer);
        if (group == nullptr) return absl::AbortedError("the consumer is in no group any more");
        error = rd_kafka_send_offsets_to_transaction(client(), offsets, group, kEach);
        rd_kafka_consumer_group_metadata_destroy(group);
      } else {
        error = rd_kafka_commit_transaction(client(), kEach);
      }
      status = Judge(error,
                     offsets_first ? "offsets cannot be added to the transaction"
                                   : "the transaction cannot be committed",
                     &must_abort, &again);
      if (status.ok()) break;
      // What is not known to be committed is asked for again, until it is known.
      if (!again || must_abort || steady_clock::now() > until) return status;
    }
  }
  return status;
}

void Transactor::Abort() {
  const Deadline until = steady_clock::now() + options_.transaction_timeout;
  for (;;) {
    bool must_abort = false;
    bool again = false;
    constexpr int kEach = 10'000;
    const absl::Status status = Judge(rd_kafka_abort_transaction(client(), kEach),
                                      "the transaction cannot be aborted", &must_abort, &again);
    if (status.ok()) return;
    if (!again || steady_clock::now() > until) {
      Log().Warn("a transaction was left to its timeout", {{"why", status.message()}});
      return;
    }
  }
}

}  // namespace kafka_adapter

using kafka_adapter::RecordReceipt;
using kafka_adapter::Transactor;

class KafkaTransaction::Impl {
 public:
  explicit Impl(std::shared_ptr<Transactor> by) : transactor(std::move(by)) {}
  ~Impl() {
    if (!open) return;
    // The next one waits until this one is gone: the turn goes with it.
    Task<void> abort = AbortLater(transactor, std::move(*turn));
    if (Loop::Current() != nullptr) {
      SpawnDetached(std::move(abort));
    } else {
      transactor->Abort();
    }
  }
  static Task<void> AbortLater(std::shared_ptr<Transactor> by, Semaphore::Permit turn) {
    const Semaphore::Permit mine = std::move(turn);
    Transactor* const raw = by.get();
    auto abort = [raw] { raw->Abort(); };
    co_await Offload(std::move(abort));
  }

  void Add(const kafka_adapter::OutRecord& record) {
    if (!failed.ok()) return;
    failed = kafka_adapter::CheckTopic(record.topic);
    if (!failed.ok()) return;
    failed =
        kafka_adapter::ToStatus(kafka_adapter::ProduceRaw(transactor->client(), record, nullptr),
                                absl::StrCat("a record for ", internal::Abs(record.topic)));
  }
  // The event's fate is Kafka's, and no failure of the handler's.
  void Postpone() {
    for (Delivery* const each : deliveries) each->Defer(kafka_adapter::kAgain);
  }

  void FindRanges() {
    for (const RecordReceipt* const each : receipts) {
      const auto [found, is_new] =
          ranges.try_emplace(each->part, std::pair(each->offset, each->offset));
      if (is_new) continue;
      found->second.first = std::min(found->second.first, each->offset);
      found->second.second = std::max(found->second.second, each->offset);
    }
  }
  // ABORTED: a partition is not ours any more. UNAVAILABLE: what stands before is not settled.
  [[nodiscard]] absl::Status CheckRanges() const {
    for (const auto& [part, range] : ranges) {
      if (part->gone) {
        return absl::AbortedError(
            absl::StrCat(part->topic, "[", part->partition, "] has gone to another member"));
      }
      if (!part->Reached(range.first)) {
        return absl::UnavailableError(absl::StrCat("an event before this one in ", part->topic, "[",
                                                   part->partition, "] is not settled"));
      }
    }
    return absl::OkStatus();
  }

  const std::shared_ptr<Transactor> transactor;
  // The offsets of its events, by partition: the first and the last.
  std::map<std::shared_ptr<kafka_adapter::Part>, std::pair<std::int64_t, std::int64_t>> ranges;
  std::optional<Semaphore::Permit> turn;
  std::shared_ptr<kafka_adapter::TransactionHost> host;
  std::vector<Delivery*> deliveries;
  std::vector<const RecordReceipt*> receipts;
  absl::Status failed;
  bool open = false;
};

KafkaTransaction::KafkaTransaction(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KafkaTransaction::KafkaTransaction(KafkaTransaction&&) noexcept = default;
KafkaTransaction& KafkaTransaction::operator=(KafkaTransaction&&) noexcept = default;
KafkaTransaction::~KafkaTransaction() = default;

Task<KafkaTransaction> KafkaTransaction::Begin(CallContext& call) {
  std::vector<Delivery*> deliveries;
  if (Delivery* const one = Delivery::Of(call)) deliveries.push_back(one);
  if (auto* const many = call.TransportRequest<Deliveries>()) deliveries = many->all();
  std::vector<const RecordReceipt*> receipts;
  for (const Delivery* const each : deliveries) {
    if (const auto* const receipt = each->TransportMessage<RecordReceipt>()) {
      receipts.push_back(receipt);
    }
  }
  std::shared_ptr<kafka_adapter::TransactionHost> host;
  if (!receipts.empty()) host = receipts.front()->part->host.lock();
  if (host == nullptr || host->transactor() == nullptr) {
    co_return absl::FailedPreconditionError(
        "a transaction needs an event that came over Kafka, and Kafka::transactional_id on its "
        "listener");
  }
  auto impl = std::make_unique<Impl>(host->transactor());
  impl->host = std::move(host);
  impl->deliveries = std::move(deliveries);
  impl->receipts = std::move(receipts);
  impl->FindRanges();
  // An offset says that all before it is settled: so it has to be, but for what is in here. Waited
  // for before it is our turn: what we wait for may need one.
  const Deadline until =
      std::chrono::steady_clock::now() + impl->transactor->options().transaction_timeout / 2;
  absl::Status status = impl->CheckRanges();
  while (absl::IsUnavailable(status) && std::chrono::steady_clock::now() < until) {
    co_await Sleep(kafka_adapter::kLookAgain);
    status = impl->CheckRanges();
  }
  if (!status.ok()) {
    impl->Postpone();
    co_return status;
  }
  Semaphore::Permit permit = co_await impl->transactor->turn.Acquire();
  impl->turn.emplace(std::move(permit));
  status = impl->transactor->fenced();
  if (status.ok()) {
    // Local: no broker is asked.
    status = impl->transactor->Begin();
  }
  if (!status.ok()) {
    if (!impl->transactor->fenced().ok()) impl->host->GiveUp(status);
    impl->Postpone();
    co_return status;
  }
  impl->open = true;
  KafkaTransaction transaction(std::move(impl));
  co_return std::move(transaction);
}

void KafkaTransaction::Send(const KafkaRecord& record) {
  impl_->Add(kafka_adapter::ViewOf(record));
}

void KafkaTransaction::SendEvent(std::string_view topic, const google::protobuf::Message& message,
                                 std::string_view key) {
  const Kafka& options = impl_->transactor->options();
  kafka_adapter::EncodedEvent encoded;
  const absl::Status status =
      kafka_adapter::EncodeEvent(options, kafka_adapter::Prefixed(options, topic), topic,
                                 std::string(key), message, Metadata(), &encoded);
  if (status.ok()) {
    impl_->Add(encoded.record);
  } else if (impl_->failed.ok()) {
    impl_->failed = status;
  }
}

Task<void> KafkaTransaction::Commit() {
  Impl& mine = *impl_;
  if (!mine.open) {
    co_await Fail(absl::FailedPreconditionError("the transaction is over already"));
  }
  // Its own fault, and the handler's: counts as an attempt.
  if (!mine.failed.ok()) co_await Fail(mine.failed);

  // Since Begin() no event before it can have come back.
  absl::Status status = mine.CheckRanges();
  if (status.ok()) {
    const auto list = std::make_shared<kafka_adapter::ListPtr>(kafka_adapter::NewList());
    for (const auto& [part, range] : mine.ranges) {
      rd_kafka_topic_partition_list_add(list->get(), part->topic.c_str(), part->partition)->offset =
          range.second + 1;
    }
    auto commit = [transactor = mine.transactor, consumer = mine.host->consumer(), list] {
      if (consumer == nullptr) return absl::Status(absl::AbortedError("the consumer is closed"));
      absl::Status committed = transactor->Commit(list->get(), consumer->get());
      if (!committed.ok() && transactor->fenced().ok()) transactor->Abort();
      return committed;
    };
    status = co_await Offload(std::move(commit));
    if (status.ok()) {
      for (const auto& [part, range] : mine.ranges) part->by_transaction = range.second + 1;
    }
    // Aborted already, or of no use any more.
    mine.open = false;
    mine.turn.reset();
  }
  if (!status.ok()) {
    if (!mine.transactor->fenced().ok()) mine.host->GiveUp(mine.transactor->fenced());
    mine.Postpone();
    co_await Fail(std::move(status));
  }
}

}  // namespace rookery
