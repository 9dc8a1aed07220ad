// What a held record knows: its partition, its place in it, and its transactions. Private.
#ifndef ROOKERY_TRANSPORTS_KAFKA_SRC_DELIVERY_H_
#define ROOKERY_TRANSPORTS_KAFKA_SRC_DELIVERY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>

#include "absl/status/status.h"
#include "connection.h"
#include "part.h"
#include "rookery/rpc/worker_engine.h"
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

class RecordReceipt final : public WorkerMessage::Receipt {
 public:
  RecordReceipt(std::shared_ptr<Part> of, std::int64_t at, std::weak_ptr<TransactionHost> by)
      : part(std::move(of)), offset(at), host(std::move(by)) {}
  ~RecordReceipt() override = default;
  [[nodiscard]] void* Find(const std::type_info& type) noexcept override {
    if (type == typeid(KafkaRecordInfo)) return &info;
    if (type == typeid(RecordReceipt)) return this;
    return nullptr;
  }

  const std::shared_ptr<Part> part;
  const std::int64_t offset;
  const std::weak_ptr<TransactionHost> host;
  KafkaRecordInfo info;
};

}  // namespace rookery::kafka_adapter

#endif  // ROOKERY_TRANSPORTS_KAFKA_SRC_DELIVERY_H_
