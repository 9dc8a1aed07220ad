// Metadata: the headers of a call, as gRPC has them.
//
//   rookery::Metadata metadata;
//   metadata.Add("x-tenant", "acme");
//   metadata.Add("x-token-bin", bytes);                  // -bin: any bytes
//   std::optional<std::string_view> tenant = metadata.Get("x-tenant");
//
// Keys are lower-case ASCII [a-z0-9_.-]; values are printable ASCII unless the key ends in "-bin".
// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Custom-Metadata).
#ifndef ROOKERY_RPC_METADATA_H_
#define ROOKERY_RPC_METADATA_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace rookery {

// An ordered multimap of header fields. Not thread-safe.
class Metadata final {
 public:
  using Entry = std::pair<std::string, std::string>;
  using const_iterator = std::vector<Entry>::const_iterator;

  Metadata() = default;

  // Appends a field. The key is lower-cased. INVALID_ARGUMENT, and nothing added, for a key or
  // value that may not travel (see above), and for the reserved prefix "grpc-".
  absl::Status Add(std::string_view key, std::string_view value);
  // Replaces all fields of that key by one.
  absl::Status Set(std::string_view key, std::string_view value);
  // Removes all fields of that key; returns how many.
  std::size_t Remove(std::string_view key);
  // The first value under `key`, or nullopt. Valid until the next change.
  [[nodiscard]] std::optional<std::string_view> Get(std::string_view key) const;
  [[nodiscard]] std::vector<std::string_view> GetAll(std::string_view key) const;
  [[nodiscard]] bool Has(std::string_view key) const { return Get(key).has_value(); }

  [[nodiscard]] const_iterator begin() const { return entries_.begin(); }
  [[nodiscard]] const_iterator end() const { return entries_.end(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  void clear() { entries_.clear(); }

  // For transports: appends without checking (what came off the wire is already checked).
  void AddUnchecked(std::string_view key, std::string_view value) {
    entries_.emplace_back(key, value);
  }

  // Whether a key's values are binary.
  [[nodiscard]] static bool IsBinary(std::string_view key) { return key.ends_with("-bin"); }
  // OK, or INVALID_ARGUMENT naming what is wrong.
  [[nodiscard]] static absl::Status Check(std::string_view key, std::string_view value);

 private:
  std::vector<Entry> entries_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_METADATA_H_
