#include "rookery/rpc/json_lines.h"

#include "absl/strings/str_cat.h"

namespace rookery {
namespace {

std::string_view Trimmed(std::string_view line) noexcept {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = line.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

void JsonLines::Add(std::string_view bytes) {
  if (!status_.ok()) return;
  bytes_.erase(0, begin_);
  searched_ -= begin_;
  begin_ = 0;
  bytes_ += bytes;
}

bool JsonLines::IsTooLong(std::size_t size) {
  if (size <= limit_) return false;
  status_ = absl::ResourceExhaustedError(
      absl::StrCat("a line of JSON exceeds the limit of ", limit_, " bytes"));
  return true;
}

std::optional<std::string_view> JsonLines::Next() {
  while (status_.ok()) {
    const std::size_t end = bytes_.find('\n', searched_);
    if (end == std::string::npos) {
      searched_ = bytes_.size();
      (void)IsTooLong(searched_ - begin_);
      return std::nullopt;
    }
    const std::string_view line = std::string_view(bytes_).substr(begin_, end - begin_);
    begin_ = searched_ = end + 1;
    if (IsTooLong(line.size())) return std::nullopt;
    const std::string_view trimmed = Trimmed(line);
    if (!trimmed.empty()) return trimmed;
  }
  return std::nullopt;
}

std::optional<std::string_view> JsonLines::Last() {
  if (!status_.ok()) return std::nullopt;
  const std::string_view line = std::string_view(bytes_).substr(begin_);
  begin_ = searched_ = bytes_.size();
  if (IsTooLong(line.size())) return std::nullopt;
  const std::string_view trimmed = Trimmed(line);
  if (trimmed.empty()) return std::nullopt;
  return trimmed;
}

}  // namespace rookery
