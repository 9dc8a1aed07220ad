// Gzip: bodies compressed and not, within limits.
//
//   GzipReader reader(limit);
//   absl::Status read = reader.Add(bytes, &plain);        // as often as bytes come
//   if (read.ok()) read = reader.End();
//   std::string packed = *GzipWhole(body);
#ifndef ROOKERY_SRC_GATEWAY_GZIP_H_
#define ROOKERY_SRC_GATEWAY_GZIP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace rookery::internal::gateway {

// Undoes gzip (RFC 1952; several members in a row are fine). Never makes more than the limit, plus
// one buffer. Not thread-safe.
class GzipReader final {
 public:
  // Zero: no limit but memory, for who takes what is made away.
  explicit GzipReader(std::uint64_t limit);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  // Appends what `bytes` stand for to *plain. RESOURCE_EXHAUSTED above the limit, INVALID_ARGUMENT
  // for what is no gzip.
  [[nodiscard]] absl::Status Add(std::string_view bytes, std::string* plain);
  // INVALID_ARGUMENT if something is missing.
  [[nodiscard]] absl::Status End() const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

// Nullopt if there is no memory for it.
[[nodiscard]] std::optional<std::string> GzipWhole(std::string_view plain);

// Compresses a stream whose every piece is to be read by the peer at once.
class GzipWriter final {
 public:
  GzipWriter();
  ~GzipWriter();
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;
  // False: no memory.
  [[nodiscard]] bool Add(std::string_view plain, std::string* packed);
  // The last of it.
  [[nodiscard]] bool Finish(std::string_view plain, std::string* packed);

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_GZIP_H_
