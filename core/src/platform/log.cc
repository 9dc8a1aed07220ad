#include "rookery/platform/log.h"

#include <spdlog/async.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <map>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "rookery/platform/cls.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/hooks.h"
#include "rookery/runtime/rpc_exception.h"
#include "rpc/utf8.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace {

using internal::Abs;

constexpr std::size_t kMaxValueBytes = 16384;  // of one value or message
constexpr std::string_view kRedacted = "[redacted]";

// ---- sinks ----------------------------------------------------------------------------------

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

class SpdlogSink final : public LogSink {
 public:
  explicit SpdlogSink(const LogOptions& options) {
    spdlog::sink_ptr sink = MakeSink(options);
    if (options.async) {
      pool_ = std::make_shared<spdlog::details::thread_pool>(
          std::max<std::size_t>(options.queue, 1), 1);
      logger_ = std::make_shared<spdlog::async_logger>(
          "rookery", std::move(sink), pool_, spdlog::async_overflow_policy::overrun_oldest);
    } else {
      logger_ = std::make_shared<spdlog::logger>("rookery", std::move(sink));
    }
    logger_->set_pattern("%v");
    logger_->set_level(spdlog::level::trace);
    logger_->flush_on(spdlog::level::trace);
    logger_->set_error_handler(
        [this](const std::string&) { failed_.fetch_add(1, std::memory_order_relaxed); });
  }
  ~SpdlogSink() override {
    logger_.reset();
    pool_.reset();  // writes what is queued, and ends the thread
  }

  void Write(LogLevel level, std::string_view line) noexcept override {
    try {
      logger_->log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
    } catch (...) {
      failed_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  void Flush() noexcept override {
    try {
      if (pool_ == nullptr) {
        logger_->flush();
        return;
      }
      // spdlog's own flush of an asynchronous logger only asks for it.
      while (pool_->queue_size() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      logger_->flush();
      while (pool_->queue_size() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      for (const spdlog::sink_ptr& sink : logger_->sinks()) sink->flush();
    } catch (...) {
      failed_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] std::uint64_t lost() const noexcept {
    return failed_.load(std::memory_order_relaxed) +
           (pool_ == nullptr ? 0
                             : const_cast<spdlog::details::thread_pool&>(*pool_).overrun_counter());
  }

 private:
  static spdlog::sink_ptr MakeSink(const LogOptions& options) {
    switch (options.output) {
      case LogOutput::kStderr:
        return std::make_shared<spdlog::sinks::stderr_sink_mt>();
      case LogOutput::kStdout:
        return std::make_shared<spdlog::sinks::stdout_sink_mt>();
      case LogOutput::kFile:
        break;
    }
    if (options.file.empty()) {
      throw RpcException(absl::InvalidArgumentError(
          "LogOptions: output is kFile, and file is empty: name the file to append to"));
    }
    try {
      return std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    } catch (const std::exception& error) {
      throw RpcException(absl::InvalidArgumentError(
          absl::StrCat("LogOptions: cannot write to file \"", options.file, "\": ", error.what())));
    }
  }

  std::shared_ptr<spdlog::details::thread_pool> pool_;
  std::shared_ptr<spdlog::logger> logger_;
  std::atomic<std::uint64_t> failed_{0};
};

// ---- lines ----------------------------------------------------------------------------------

void AppendTime(std::string* out) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  const std::time_t second = static_cast<std::time_t>(micros / 1'000'000);
  // 2026-11-21T02:48:16, made once a second.
  thread_local std::time_t last = -1;
  thread_local char text[20];
  if (second != last) {
    std::tm parts{};
    gmtime_r(&second, &parts);
    if (std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts) == 0) text[0] = '\0';
    last = second;
  }
  out->append(text);
  char fraction[8] = {'.', 0, 0, 0, 0, 0, 0, 'Z'};
  auto rest = static_cast<unsigned>(micros % 1'000'000);
  for (int i = 6; i >= 1; --i) {
    fraction[i] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  }
  out->append(fraction, sizeof(fraction));
}

// Escapes what could end a line or start a terminal's control sequence, quotes and backslashes if
// asked; what is not UTF-8 becomes U+FFFD. Fit for JSON strings when `quotes` is set.
void AppendEscaped(std::string* out, std::string_view text, bool quotes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const bool cut = text.size() > kMaxValueBytes;
  text = internal::CutUtf8(text, kMaxValueBytes);
  while (!text.empty()) {
    const char c = text.front();
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      if (quotes && (c == '"' || c == '\\')) *out += '\\';
      *out += c;
      text.remove_prefix(1);
    } else if (byte < 0x80) {
      if (c == '\n') {
        *out += "\\n";
      } else if (c == '\t') {
        *out += "\\t";
      } else if (c == '\r') {
        *out += "\\r";
      } else {
        *out += "\\u00";
        *out += kDigits[byte >> 4];
        *out += kDigits[byte & 15];
      }
      text.remove_prefix(1);
    } else {
      const std::size_t length = internal::Utf8CharacterLength(text);
      if (length == 0) {
        *out += "\xef\xbf\xbd";
        text.remove_prefix(1);
      } else {
        // C1 controls (U+0080 to U+009F) are control sequences to some terminals.
        if (length == 2 && byte == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) {
          *out += "\\u00";
          *out += kDigits[static_cast<unsigned char>(text[1]) >> 4];
          *out += kDigits[static_cast<unsigned char>(text[1]) & 15];
        } else {
          *out += text.substr(0, length);
        }
        text.remove_prefix(length);
      }
    }
  }
  if (cut) *out += "...";
}

bool NeedsNoQuotes(std::string_view text) {
  return !text.empty() && text.size() <= kMaxValueBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\';
         });
}

template <class N>
void AppendNumber(std::string* out, N number) {
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number);
  out->append(digits, end.ptr);
}

// Puts one line together.
class LineWriter final {
 public:
  LineWriter(std::string* line, bool json) : out_(*line), json_(json) {}

  void Head(LogLevel level, std::string_view name, std::string_view message) {
    if (json_) {
      out_ += "{\"time\":\"";
      AppendTime(&out_);
      out_ += "\",\"level\":\"";
      for (const char c : LogLevelName(level)) out_ += static_cast<char>(c | 0x20);
      out_ += '"';
      if (!name.empty()) Text("logger", name);
      Text("message", message);
      return;
    }
    AppendTime(&out_);
    out_ += ' ';
    const std::string_view level_name = LogLevelName(level);
    out_ += level_name;
    out_.append(6 - level_name.size(), ' ');
    if (!name.empty()) {
      AppendEscaped(&out_, name, false);
      out_ += ": ";
    }
    AppendEscaped(&out_, message, false);
  }

  void Text(std::string_view key, std::string_view text) {
    Key(key);
    if (!json_ && NeedsNoQuotes(text)) {
      out_ += text;
      return;
    }
    out_ += '"';
    AppendEscaped(&out_, text, true);
    out_ += '"';
  }

  void Value(std::string_view key, const LogValue& value) {
    switch (value.kind()) {
      case LogValue::Kind::kString:
        Text(key, value.text());
        break;
      case LogValue::Kind::kSigned:
        Key(key);
        AppendNumber(&out_, value.signed_value());
        break;
      case LogValue::Kind::kUnsigned:
        Key(key);
        AppendNumber(&out_, value.unsigned_value());
        break;
      case LogValue::Kind::kDouble:
        Key(key);
        if (json_ && !std::isfinite(value.double_value())) {
          out_ += "null";  // JSON has no word for it
        } else {
          AppendNumber(&out_, value.double_value());
        }
        break;
      case LogValue::Kind::kBool:
        Key(key);
        out_ += value.bool_value() ? "true" : "false";
        break;
    }
  }

  void End() {
    if (json_) out_ += '}';
  }

 private:
  void Key(std::string_view key) {
    if (json_) {
      out_ += ",\"";
      AppendEscaped(&out_, key, true);
      out_ += "\":";
    } else {
      out_ += ' ';
      AppendEscaped(&out_, key, false);
      out_ += '=';
    }
  }

  std::string& out_;
  bool json_;
};

}  // namespace

std::string_view LogLevelName(LogLevel level) noexcept {
  static constexpr std::string_view kNames[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"};
  const auto index = static_cast<std::size_t>(level);
  return index < std::size(kNames) ? kNames[index] : "OFF";
}

std::optional<LogLevel> ParseLogLevel(std::string_view name) noexcept {
  for (const LogLevel level : {LogLevel::kTrace, LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn,
                               LogLevel::kError, LogLevel::kOff}) {
    if (absl::EqualsIgnoreCase(Abs(name), Abs(LogLevelName(level)))) return level;
  }
  return std::nullopt;
}

// ---- CapturingSink --------------------------------------------------------------------------

void CapturingSink::Write(LogLevel /*level*/, std::string_view line) noexcept {
  constexpr std::size_t kKept = 100'000;
  try {
    const std::scoped_lock lock(mutex_);
    if (lines_.size() == kKept) lines_.erase(lines_.begin(), lines_.begin() + kKept / 10);
    lines_.emplace_back(line);
  } catch (...) {
    // Out of memory: the line is lost, and the call goes on.
  }
}

std::vector<std::string> CapturingSink::lines() const {
  const std::scoped_lock lock(mutex_);
  return lines_;
}

bool CapturingSink::Contains(std::string_view text) const {
  const std::scoped_lock lock(mutex_);
  return std::any_of(lines_.begin(), lines_.end(), [text](const std::string& line) {
    return line.find(text) != std::string::npos;
  });
}

void CapturingSink::Clear() {
  const std::scoped_lock lock(mutex_);
  lines_.clear();
}

// ---- Logger ---------------------------------------------------------------------------------

namespace internal {

class LogCore final {
 public:
  explicit LogCore(const LogOptions& options)
      : json_(options.format == LogFormat::kJson),
        context_keys_(options.context_keys),
        redact_(options.redact),
        sink_(options.sink),
        default_level_(options.level) {
    if (sink_ == nullptr) {
      auto spdlog_sink = std::make_shared<SpdlogSink>(options);
      spdlog_sink_ = spdlog_sink.get();
      sink_ = std::move(spdlog_sink);
    }
    std::erase_if(context_keys_, [](const ContextKeyBase* key) {
      return key == nullptr || key->to_text == nullptr;
    });
  }

  LogName* Name(std::string_view name) {
    const std::scoped_lock lock(mutex_);
    auto found = names_.find(name);
    if (found == names_.end()) {
      found = names_.emplace(std::string(name), std::make_unique<LogName>()).first;
      found->second->name = name;
      found->second->level.store(default_level_, std::memory_order_relaxed);
    }
    return found->second.get();
  }

  void SetLevel(LogLevel level) {
    const std::scoped_lock lock(mutex_);
    default_level_ = level;
    for (auto& [name, entry] : names_) {
      if (!entry->own_level) entry->level.store(level, std::memory_order_relaxed);
    }
  }
  void SetLevel(std::string_view name, LogLevel level) {
    LogName* const entry = Name(name);
    const std::scoped_lock lock(mutex_);
    entry->own_level = true;
    entry->level.store(level, std::memory_order_relaxed);
  }

  void Write(LogLevel level, std::string_view name, std::string_view message,
             std::span<const LogField> fields) {
    std::string line;
    line.reserve(256);
    LineWriter writer(&line, json_);
    writer.Head(level, name, message);
    for (const LogField& field : fields) {
      if (IsRedacted(field.key)) {
        writer.Text(field.key, kRedacted);
      } else {
        writer.Value(field.key, field.value);
      }
    }
    if (Context* const context = Context::Current()) WriteContext(writer, *context, fields);
    writer.End();
    sink_->Write(level, line);
  }

  void Flush() noexcept { sink_->Flush(); }
  void CountLost() noexcept { lost_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t lost() const noexcept {
    return lost_.load(std::memory_order_relaxed) +
           (spdlog_sink_ == nullptr ? 0 : spdlog_sink_->lost());
  }

 private:
  [[nodiscard]] bool IsRedacted(std::string_view key) const {
    return std::any_of(redact_.begin(), redact_.end(), [key](const std::string& name) {
      return absl::EqualsIgnoreCase(name, Abs(key));
    });
  }

  void WriteContext(LineWriter& writer, Context& context, std::span<const LogField> fields) const {
    // What the line says itself goes before what the context would add under the same name.
    const auto given = [fields](std::string_view key) {
      return std::any_of(fields.begin(), fields.end(),
                         [key](const LogField& field) { return field.key == key; });
    };
    const auto add = [&writer, &given](std::string_view key, std::string_view text) {
      if (!text.empty() && !given(key)) writer.Text(key, text);
    };
    const RequestIdentity* const identity = context.Find(kRequestIdentity);
    if (identity == nullptr || identity->policy == nullptr || identity->policy->log) {
      add("request_id", RequestIdOf(context));
    }
    if (CallContext* const call = CallContext::Current()) {
      const TraceContext& trace = call->trace();
      add("trace_id", trace.trace_id());
      add("span_id", trace.span_id());
      if (call->has_method()) add("method", call->method().full_name);
      add("transport", call->transport());
    }
    if (context_keys_.empty()) return;
    context.ForEach([this, &add](const ContextKeyBase& key, const void* value) {
      if (std::find(context_keys_.begin(), context_keys_.end(), &key) == context_keys_.end())
        return;
      add(key.name, IsRedacted(key.name) ? std::string(kRedacted) : key.to_text(value));
    });
  }

  const bool json_;
  std::vector<const ContextKeyBase*> context_keys_;
  const std::vector<std::string> redact_;
  std::shared_ptr<LogSink> sink_;
  SpdlogSink* spdlog_sink_ = nullptr;
  std::atomic<std::uint64_t> lost_{0};
  std::mutex mutex_;
  LogLevel default_level_;                                              // guarded by mutex_
  std::map<std::string, std::unique_ptr<LogName>, std::less<>> names_;  // guarded by mutex_
};

}  // namespace internal

Logger::Logger() : Logger(LogOptions()) {}

Logger::Logger(const LogOptions& options)
    : core_(std::make_shared<internal::LogCore>(options)), name_(core_->Name("")) {}

Logger::Logger(std::shared_ptr<internal::LogCore> core, internal::LogName* name) noexcept
    : core_(std::move(core)), name_(name) {}

Logger Logger::Named(std::string_view name) const { return Logger(core_, core_->Name(name)); }

void Logger::SetLevel(LogLevel level) noexcept { core_->SetLevel(level); }

void Logger::SetLevel(std::string_view name, LogLevel level) noexcept {
  try {
    core_->SetLevel(name, level);
  } catch (...) {
    // Out of memory for a name that nobody logs under.
  }
}

void Logger::WriteEnabled(LogLevel level, std::string_view message,
                          std::span<const LogField> fields) const noexcept {
  if (level >= LogLevel::kOff) return;
  try {
    core_->Write(level, name_->name, message, fields);
  } catch (...) {
    core_->CountLost();
  }
}

void Logger::Flush() const noexcept { core_->Flush(); }

std::uint64_t Logger::dropped() const noexcept { return core_->lost(); }

namespace {

// The framework reports incidents from places that nothing can be injected into.
struct DefaultLogger {
  std::mutex mutex;
  std::optional<Logger> logger;
};
DefaultLogger& TheDefault() {
  static DefaultLogger* const slot = std::make_unique<DefaultLogger>().release();
  return *slot;
}

void LogIncident(std::string_view incident, std::string_view what) {
  Logger::Default().Error("an error whose text its peer does not get",
                          {{"incident", incident}, {"what", what}});
}

void LogUnhandledError(std::string_view what, const absl::Status& error) {
  const absl::optional<absl::Cord> thrown = error.GetPayload(kExceptionPayload);
  Logger::Default().Error("unhandled error",
                          {{"where", what},
                           {"code", absl::StatusCodeToString(error.code())},
                           {"what", thrown ? std::string(*thrown) : std::string(error.message())}});
}

void LogHeldLoop(const internal::WatchdogReport& report) {
  Logger::Default().Warn(
      "a loop is held: move what blocks or computes into co_await rookery::Offload(...)",
      {{"loop", report.loop}, {"running", report.running}, {"held_ms", report.held.count()}});
}

}  // namespace

Logger Logger::Default() {
  DefaultLogger& slot = TheDefault();
  const std::scoped_lock lock(slot.mutex);
  if (!slot.logger) slot.logger.emplace();
  return *slot.logger;
}

void Logger::SetDefault(const Logger& logger) {
  DefaultLogger& slot = TheDefault();
  internal::SetIncidentHook(&LogIncident);
  internal::SetUnhandledErrorHook(&LogUnhandledError);
  internal::SetWatchdogHook(&LogHeldLoop);
  std::optional<Logger> old(logger);
  const std::scoped_lock lock(slot.mutex);
  slot.logger.swap(old);
}

}  // namespace rookery
