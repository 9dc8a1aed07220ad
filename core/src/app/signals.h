// SignalWatcher: hears of chosen signals on a thread of its own, where anything may be done.
//
//   SignalWatcher watcher({SIGTERM, SIGINT}, [&](int signal) { app.RequestStop(); });
//
// While it lives, its handlers stand in for whatever was installed for these signals; afterwards
// that is put back. No other signal, and no thread's mask, is touched.
#ifndef ROOKERY_SRC_APP_SIGNALS_H_
#define ROOKERY_SRC_APP_SIGNALS_H_

#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "absl/status/status.h"

namespace rookery::internal {

// See the top of this file. Several may live at a time; each hears of its own signals.
class SignalWatcher final {
 public:
  // `on_signal` runs on the watcher's thread, once per signal heard; it must not destroy the
  // watcher.
  SignalWatcher(const std::vector<int>& signals, std::function<void(int)> on_signal);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  // OK, or why the signals cannot be heard.
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }

 private:
  void Listen();

  std::function<void(int)> on_signal_;
  std::vector<int> signals_;  // those installed
  std::size_t slot_;
  absl::Status status_;
  std::thread thread_;
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_APP_SIGNALS_H_
