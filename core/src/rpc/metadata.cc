#include "rookery/rpc/metadata.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace {

using internal::Abs;

constexpr std::size_t kShown = 64;  // of a bad key or value, in messages

bool KeyMayTravel(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

}  // namespace

absl::Status Metadata::Check(std::string_view key, std::string_view value) {
  if (key.empty()) return absl::InvalidArgumentError("metadata: the key is empty");
  if (!std::all_of(key.begin(), key.end(), KeyMayTravel)) {
    return absl::InvalidArgumentError(absl::StrCat("metadata: the key \"",
                                                   absl::CHexEscape(Abs(key.substr(0, kShown))),
                                                   "\" has a character other than [a-z0-9_.-]"));
  }
  if (key.starts_with("grpc-")) {
    return absl::InvalidArgumentError(absl::StrCat("metadata: the key \"",
                                                   Abs(key.substr(0, kShown)),
                                                   "\" begins with \"grpc-\", which is reserved"));
  }
  if (IsBinary(key)) return absl::OkStatus();
  const auto bad =
      std::find_if(value.begin(), value.end(), [](char c) { return c < 0x20 || c > 0x7e; });
  if (bad != value.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("metadata: the value of \"", Abs(key.substr(0, kShown)),
                     "\" has a byte outside printable ASCII at ", bad - value.begin(),
                     "; a key that ends in \"-bin\" may carry any bytes"));
  }
  return absl::OkStatus();
}

absl::Status Metadata::Add(std::string_view key, std::string_view value) {
  std::string lower = absl::AsciiStrToLower(Abs(key));
  if (absl::Status status = Check(lower, value); !status.ok()) return status;
  entries_.emplace_back(std::move(lower), value);
  return absl::OkStatus();
}

absl::Status Metadata::Set(std::string_view key, std::string_view value) {
  std::string lower = absl::AsciiStrToLower(Abs(key));
  if (absl::Status status = Check(lower, value); !status.ok()) return status;
  Remove(lower);
  entries_.emplace_back(std::move(lower), value);
  return absl::OkStatus();
}

std::size_t Metadata::Remove(std::string_view key) {
  const std::string lower = absl::AsciiStrToLower(Abs(key));
  return std::erase_if(entries_, [&lower](const Entry& entry) { return entry.first == lower; });
}

std::optional<std::string_view> Metadata::Get(std::string_view key) const {
  for (const Entry& entry : entries_) {
    if (absl::EqualsIgnoreCase(entry.first, Abs(key))) return entry.second;
  }
  return std::nullopt;
}

std::vector<std::string_view> Metadata::GetAll(std::string_view key) const {
  std::vector<std::string_view> values;
  for (const Entry& entry : entries_) {
    if (absl::EqualsIgnoreCase(entry.first, Abs(key))) values.emplace_back(entry.second);
  }
  return values;
}

}  // namespace rookery
