// What a held record knows: its partition, its place in it, and its transactions. Private.
#ifndef ROOKERY_TRANSPORTS_KAFKA_SRC_DELIVERY_H_
#define ROOKERY_TRANSPORTS_KAFKA_SRC_DELIVERY_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "connection.h"
#include "part.h"
#include "rookery/rpc/worker_engine.h"
#include "rookery/runtime/frame.h"
#include "rookery/runtime/semaphore.h"
#include "rookery/transports/kafka.h"

namespace rookery::kafka_adapter {

// The producer of transactions, and who may use it now.
class Transactor final {
 public:
  // Fences older instances; blocks.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<Transactor>> Open(const Kafka& options,
                                                                        Deadline give_up);
  explicit Transactor(Kafka options, std::shared_ptr<Handle> handle)
      : options_(std::move(options)), handle_(std::move(handle)) {}

  // Each blocks. ABORTED: this producer is of no use any more.
  [[nodiscard]] absl::Status Begin();
  [[nodiscard]] absl::Status Commit(const rd_kafka_topic_partition_list_t* offsets,
                                    rd_kafka_t* consumer);
  void Abort();
  [[nodiscard]] rd_kafka_t* client() const noexcept { return handle_->get(); }
  [[nodiscard]] const Kafka& options() const noexcept { return options_; }
  // Not OK: another instance has taken over.
  [[nodiscard]] absl::Status fenced() const;

  Semaphore turn{1};

 private:
  [[nodiscard]] absl::Status Judge(rd_kafka_error_t* error, std::string_view what, bool* must_abort,
                                   bool* again);
  const Kafka options_;
  const std::shared_ptr<Handle> handle_;
  mutable std::mutex mutex_;
  absl::Status fenced_;  // guarded by mutex_
};

// What a transaction needs of the consumer whose record it is for.
class TransactionHost {
 public:
  virtual ~TransactionHost() = default;
  [[nodiscard]] virtual std::shared_ptr<Transactor> transactor() = 0;
  [[nodiscard]] virtual std::shared_ptr<Handle> consumer() = 0;
  [[nodiscard]] virtual Loop& loop() = 0;
  // Leaves the group: somebody else has taken over.
  virtual void GiveUp(const absl::Status& why) = 0;
};

// Owns the record that the message has views of.
class RecordReceipt final : public WorkerMessage::Receipt, public internal::Recycled {
 public:
  RecordReceipt(std::shared_ptr<Part> of, RawMessage raw)
      : part(std::move(of)), offset(raw->offset) {
    record.raw = std::move(raw);
  }
  ~RecordReceipt() override = default;
  [[nodiscard]] std::string Origin() const override {
    return absl::StrCat(part->topic, "[", part->partition, "]@", offset);
  }
  [[nodiscard]] void* Find(const std::type_info& type) noexcept override {
    if (type == typeid(RecordReceipt)) return this;
    if (type != typeid(KafkaRecordInfo)) return nullptr;
    if (!info_) FillInfo();
    return &*info_;
  }
  [[nodiscard]] bool tombstone() const noexcept { return record.raw->payload == nullptr; }
  [[nodiscard]] std::optional<std::string_view> key() const noexcept {
    if (record.raw->key == nullptr) return std::nullopt;
    return std::string_view(static_cast<const char*>(record.raw->key), record.raw->key_len);
  }

  // In this order: the record goes before its client does.
  const std::shared_ptr<Part> part;
  const std::int64_t offset;
  Record record;

 private:
  void FillInfo() {
    KafkaRecordInfo& info = info_.emplace();
    info.position = {.topic = part->topic, .partition = part->partition, .offset = offset};
    if (const auto mine = key()) info.key.emplace(*mine);
    info.tombstone = tombstone();
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    const std::int64_t time = rd_kafka_message_timestamp(record.raw.get(), &type);
    if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && time >= 0) {
      info.timestamp = std::chrono::system_clock::time_point(std::chrono::milliseconds(time));
    }
  }

  std::optional<KafkaRecordInfo> info_;  // filled when it is asked for
};

}  // namespace rookery::kafka_adapter

#endif  // ROOKERY_TRANSPORTS_KAFKA_SRC_DELIVERY_H_
