#include <string>

#include "rookery/pipeline/exception_filter.h"

namespace rookery::internal {
namespace {

// Stands for something thrown that is no std::exception, for filters that catch everything.
class UnknownException final : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override {
    return "an exception that does not derive from std::exception";
  }
};

template <class E>
[[nodiscard]] const E* Find(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const E& found) {
    return std::addressof(found);
  } catch (...) {
    return nullptr;
  }
}

}  // namespace

const std::exception_ptr& Failure::Pointer() {
  if (!error_) error_ = std::make_exception_ptr(RpcException(status_));
  return error_;
}

const RpcException* Failure::AsRpc() { return Find<RpcException>(Pointer()); }

const absl::Status* Failure::AsStatus() {
  if (!status_.ok()) return &status_;
  const RpcException* const rpc = AsRpc();
  return rpc == nullptr ? nullptr : &rpc->status();
}

const std::exception* Failure::AsException() {
  if (const std::exception* const error = Find<std::exception>(Pointer())) return error;
  static const UnknownException unknown;
  return &unknown;
}

absl::Status Failure::ToStatus() const noexcept {
  return status_.ok() ? StatusFromException(error_) : status_;
}

Task<FilterResult> CaughtByNone() {
  co_return FilterResult(absl::InternalError("no overload of Catch took the failure"));
}

}  // namespace rookery::internal
