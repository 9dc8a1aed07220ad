// Logger: structured log lines that know which call they belong to.
//
//   class OrdersController {
//    public:
//     explicit OrdersController(rookery::Logger& log) : log_(log.Named("orders")) {}
//     ... log_.Info("order placed", {{"order", order.id()}, {"total", order.total()}});
//
//   2026-11-21T02:48:16.123456Z INFO  orders: order placed order=o-1 total=120
//       request_id=7f0c... trace_id=4bf9... span_id=00f0... method=/shop.v1.Orders/Place
//       transport=grpc user.id=ada                                              (all in one line)
//
// Request id, trace, method, transport and the chosen CLS keys are added by themselves from the
// current context. A line whose level is off costs one comparison; logging never throws.
#ifndef ROOKERY_PLATFORM_LOG_H_
#define ROOKERY_PLATFORM_LOG_H_

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "rookery/runtime/context.h"

namespace rookery {

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kOff };
[[nodiscard]] std::string_view LogLevelName(LogLevel level) noexcept;  // "INFO"
// From "trace", "debug", "info", "warn", "error" or "off", in any case; else nullopt.
[[nodiscard]] std::optional<LogLevel> ParseLogLevel(std::string_view name) noexcept;

// One value of a line. A view: what it is made from must live until the call returns.
class LogValue final {
 public:
  enum class Kind : std::uint8_t { kString, kSigned, kUnsigned, kDouble, kBool };

  template <class T>
    requires std::convertible_to<const T&, std::string_view>
  LogValue(const T& text) noexcept  // NOLINT(google-explicit-constructor): {{"key", value}}
      : kind_(Kind::kString), text_(static_cast<std::string_view>(text)) {}
  // Other views of text, absl::string_view above all.
  template <class T>
    requires(!std::convertible_to<const T&, std::string_view> &&
             requires(const T& text) {
               { text.data() } -> std::convertible_to<const char*>;
               { text.size() } -> std::convertible_to<std::size_t>;
             })
  LogValue(const T& text) noexcept  // NOLINT(google-explicit-constructor)
      : kind_(Kind::kString), text_(text.data(), text.size()) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  LogValue(T number) noexcept {  // NOLINT(google-explicit-constructor)
    if constexpr (std::same_as<T, bool>) {
      kind_ = Kind::kBool;
      bool_ = number;
    } else if constexpr (std::floating_point<T>) {
      kind_ = Kind::kDouble;
      double_ = static_cast<double>(number);
    } else if constexpr (std::is_signed_v<T>) {
      kind_ = Kind::kSigned;
      signed_ = number;
    } else {
      kind_ = Kind::kUnsigned;
      unsigned_ = number;
    }
  }
  template <class T>
    requires std::is_enum_v<T>
  LogValue(T number) noexcept  // NOLINT(google-explicit-constructor)
      : LogValue(static_cast<std::underlying_type_t<T>>(number)) {}

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] std::int64_t signed_value() const noexcept { return signed_; }
  [[nodiscard]] std::uint64_t unsigned_value() const noexcept { return unsigned_; }
  [[nodiscard]] double double_value() const noexcept { return double_; }
  [[nodiscard]] bool bool_value() const noexcept { return bool_; }

 private:
  Kind kind_;
  union {
    std::string_view text_;
    std::int64_t signed_;
    std::uint64_t unsigned_;
    double double_;
    bool bool_;
  };
};

// A key and a value: {"order", order.id()}.
class LogField final {
 public:
  LogField(std::string_view k, LogValue v) noexcept : key(k), value(v) {}
  std::string_view key;
  LogValue value;
};

// Where lines go. Write is called from any thread, and must not throw.
class LogSink {
 public:
  virtual ~LogSink() = default;
  // `line` has no newline at its end. It is valid during the call.
  virtual void Write(LogLevel level, std::string_view line) noexcept = 0;
  virtual void Flush() noexcept {}
};

// Keeps lines in memory, for tests:
//
//   auto captured = std::make_shared<rookery::CapturingSink>();
//   rookery::LogOptions options;
//   options.sink = captured;
class CapturingSink final : public LogSink {
 public:
  void Write(LogLevel level, std::string_view line) noexcept override;
  // All lines so far, oldest first; the newest 100,000 are kept.
  [[nodiscard]] std::vector<std::string> lines() const;
  // Whether a line contains `text`.
  [[nodiscard]] bool Contains(std::string_view text) const;
  void Clear();

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

enum class LogFormat : std::uint8_t { kText, kJson };
enum class LogOutput : std::uint8_t { kStderr, kStdout, kFile };

// How an application logs.
struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;  // kJson: one object a line
  LogOutput output = LogOutput::kStderr;
  std::string file;  // with kFile: appended to
  // Lines are written by a thread of their own. When it falls `queue` lines behind, the oldest are
  // dropped (and counted, see Logger::dropped) rather than a call delayed.
  bool async = false;
  std::size_t queue = 8192;
  // CLS keys whose values are added to each line; those without a text form are left out.
  std::vector<const ContextKeyBase*> context_keys;
  // Fields of these names (in any case) show "[redacted]" in place of their value, CLS keys too.
  std::vector<std::string> redact = {"authorization", "cookie",   "set-cookie", "password",
                                     "passwd",        "secret",   "token",      "api_key",
                                     "api-key",       "x-api-key"};
  // In place of `output`: lines go here alone.
  std::shared_ptr<LogSink> sink;
};

namespace internal {
class LogCore;
struct LogName {
  std::string name;
  std::atomic<LogLevel> level{LogLevel::kInfo};
  bool own_level = false;  // set by name; guarded by the core's lock
};
}  // namespace internal

// See the top of this file. A handle: copies share everything. Thread-safe.
class Logger final {
 public:
  // Text at level info to stderr.
  Logger();
  // A file that cannot be opened: throws RpcException that says which and why.
  explicit Logger(const LogOptions& options);
  Logger(const Logger&) = default;
  Logger& operator=(const Logger&) = default;
  ~Logger() = default;

  // The same log under a name, which lines show and by which levels are set: "orders".
  [[nodiscard]] Logger Named(std::string_view name) const;
  [[nodiscard]] std::string_view name() const noexcept { return name_->name; }

  [[nodiscard]] bool enabled(LogLevel level) const noexcept {
    return level >= name_->level.load(std::memory_order_relaxed);
  }
  // Changes the level while running: of everything that has no level of its own ...
  void SetLevel(LogLevel level) noexcept;
  // ... or of one name.
  void SetLevel(std::string_view name, LogLevel level) noexcept;
  [[nodiscard]] LogLevel level() const noexcept {
    return name_->level.load(std::memory_order_relaxed);
  }

  using Fields = std::initializer_list<LogField>;
  void Trace(std::string_view message, Fields fields = {}) const noexcept {
    Write(LogLevel::kTrace, message, fields);
  }
  void Debug(std::string_view message, Fields fields = {}) const noexcept {
    Write(LogLevel::kDebug, message, fields);
  }
  void Info(std::string_view message, Fields fields = {}) const noexcept {
    Write(LogLevel::kInfo, message, fields);
  }
  void Warn(std::string_view message, Fields fields = {}) const noexcept {
    Write(LogLevel::kWarn, message, fields);
  }
  void Error(std::string_view message, Fields fields = {}) const noexcept {
    Write(LogLevel::kError, message, fields);
  }
  // For fields gathered at run time.
  void Write(LogLevel level, std::string_view message,
             std::span<const LogField> fields) const noexcept {
    if (enabled(level)) [[unlikely]]
      WriteEnabled(level, message, fields);
  }
  void Write(LogLevel level, std::string_view message, Fields fields = {}) const noexcept {
    Write(level, message, std::span<const LogField>(fields.begin(), fields.size()));
  }

  // Waits until what has been logged is written.
  void Flush() const noexcept;
  // Lines lost because the queue was full (async) or a sink failed.
  [[nodiscard]] std::uint64_t dropped() const noexcept;

  // The log of the framework's own lines, and of code that nothing can be injected into. The
  // application sets it to its own at start-up.
  [[nodiscard]] static Logger Default();
  static void SetDefault(const Logger& logger);

 private:
  Logger(std::shared_ptr<internal::LogCore> core, internal::LogName* name) noexcept;
  void WriteEnabled(LogLevel level, std::string_view message,
                    std::span<const LogField> fields) const noexcept;

  std::shared_ptr<internal::LogCore> core_;
  internal::LogName* name_;  // the core's
};

}  // namespace rookery

#endif  // ROOKERY_PLATFORM_LOG_H_
