// Batch<M>: several events handed to one handler at once.
//
//   rookery::Task<void> OnPaid(rookery::CallContext& call,
//                              const rookery::Batch<PaymentReceived>& batch) {
//     for (const PaymentReceived& payment : batch) ledger_.Add(payment);
//     co_await ledger_.Flush();                       // one round trip for all of them
//   }
//   ...
//   controller.Event("payments.received", &Ledger::OnPaid);          // in Configure
//
// How many, and how long the first one waits for the others, is in DeliveryPolicy (worker.h). A
// transport that does not collect messages hands over batches of one.
#ifndef ROOKERY_RPC_BATCH_H_
#define ROOKERY_RPC_BATCH_H_

#include <cstddef>
#include <utility>
#include <vector>

namespace rookery {

class Delivery;

// The events of one run of a handler, in the order in which they came; never empty. Lives until the
// handler has ended.
template <class M>
class Batch final {
 public:
  using value_type = M;
  using const_iterator = typename std::vector<M>::const_iterator;

  [[nodiscard]] std::size_t size() const noexcept { return messages_.size(); }
  [[nodiscard]] bool empty() const noexcept { return messages_.empty(); }
  [[nodiscard]] const M& operator[](std::size_t index) const { return messages_[index]; }
  [[nodiscard]] const_iterator begin() const noexcept { return messages_.begin(); }
  [[nodiscard]] const_iterator end() const noexcept { return messages_.end(); }

  // The delivery of the event `index`, to decide about it alone: batch.delivery(3)->Reject("...").
  // Null on transports that do not redeliver.
  [[nodiscard]] Delivery* delivery(std::size_t index) const {
    return index < deliveries_.size() ? deliveries_[index] : nullptr;
  }

  // For the framework, and for tests of handlers.
  explicit Batch(std::vector<M> messages, std::vector<Delivery*> deliveries = {})
      : messages_(std::move(messages)), deliveries_(std::move(deliveries)) {}

 private:
  std::vector<M> messages_;
  std::vector<Delivery*> deliveries_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_BATCH_H_
