// TraceContext: W3C trace context, https://www.w3.org/TR/trace-context/
//
//   std::optional<rookery::TraceContext> trace = rookery::TraceContext::Parse(
//       "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "");
//   trace->Child().ToTraceparent();        // the same trace, a new span
#ifndef ROOKERY_RPC_TRACE_H_
#define ROOKERY_RPC_TRACE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rookery {

// A span's identity within a trace. A value.
class TraceContext final {
 public:
  TraceContext() = default;

  // A new trace (sampled), ids from a fast per-thread generator seeded by the system's.
  [[nodiscard]] static TraceContext NewRoot();
  // nullopt for anything that the specification calls invalid. A tracestate over its limits (32
  // members, 512 characters) is dropped, the traceparent kept.
  [[nodiscard]] static std::optional<TraceContext> Parse(std::string_view traceparent,
                                                         std::string_view tracestate);
  // A new span of the same trace, this one its parent.
  [[nodiscard]] TraceContext Child() const;

  [[nodiscard]] bool valid() const noexcept { return trace_hi_ != 0 || trace_lo_ != 0; }
  [[nodiscard]] bool sampled() const noexcept { return (flags_ & 1) != 0; }
  void set_sampled(bool sampled) noexcept;
  [[nodiscard]] std::string trace_id() const;        // 32 hex digits
  [[nodiscard]] std::string span_id() const;         // 16 hex digits
  [[nodiscard]] std::string parent_span_id() const;  // empty at the root
  [[nodiscard]] const std::string& tracestate() const noexcept { return tracestate_; }
  [[nodiscard]] std::string ToTraceparent() const;

  bool operator==(const TraceContext&) const = default;

 private:
  std::uint64_t trace_hi_ = 0;
  std::uint64_t trace_lo_ = 0;
  std::uint64_t span_ = 0;
  std::uint64_t parent_ = 0;
  std::uint8_t flags_ = 0;
  std::string tracestate_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_TRACE_H_
