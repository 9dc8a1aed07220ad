// A listener that serves nothing and writes down what the application asks of it.
#ifndef ROOKERY_TESTS_UNIT_APP_FAKE_TRANSPORT_H_
#define ROOKERY_TESTS_UNIT_APP_FAKE_TRANSPORT_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rookery/rpc/transport.h"

namespace rookery::testing {

// Lines from several threads, in order.
class Journal final {
 public:
  void Write(std::string line) {
    const std::lock_guard<std::mutex> lock(mutex_);
    lines_.push_back(std::move(line));
  }
  [[nodiscard]] std::vector<std::string> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

struct Fake {
  std::shared_ptr<Journal> journal;
  std::string endpoint = "fake:1";
  absl::Status start;              // what Start comes to
  std::size_t cancelled = 0;       // what Drain comes to
  std::function<void()> in_drain;  // runs during Drain
};

class FakeTransport final : public ServerTransport {
 public:
  explicit FakeTransport(Fake options) : options_(std::move(options)) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "fake"; }
  [[nodiscard]] absl::Status Start(TransportHost& host) override {
    host_ = &host;
    Note("start");
    return options_.start;
  }
  [[nodiscard]] std::string endpoint() const override { return options_.endpoint; }
  void NotReady() noexcept override { Note(host_->ready() ? "not ready, but it is" : "not ready"); }
  void StopIntake() noexcept override { Note("stop intake"); }
  std::size_t Drain(Deadline) noexcept override {
    Note("drain");
    if (options_.in_drain) options_.in_drain();
    return options_.cancelled;
  }
  void Stop() noexcept override { Note("stop"); }

 private:
  void Note(const std::string& what) { options_.journal->Write(what + " " + options_.endpoint); }
  Fake options_;
  TransportHost* host_ = nullptr;
};

inline std::unique_ptr<ServerTransport> MakeServerTransport(const Fake& options) {
  return std::make_unique<FakeTransport>(options);
}

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_APP_FAKE_TRANSPORT_H_
