#include "rookery/runtime/rpc_exception.h"

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace rookery {

namespace {

std::string NameOfCurrentException() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "a foreign exception";
  int failed = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &failed), &std::free);
  return failed == 0 ? std::string(name.get()) : std::string(type->name());
}

}  // namespace

RpcException::RpcException(absl::Status status)
    : status_(status.ok() ? absl::InternalError("an RpcException was thrown with an OK status")
                          : std::move(status)),
      what_(status_.ToString()) {}

absl::Status StatusFromException(std::exception_ptr error) noexcept {
  if (error == nullptr) return absl::InternalError("no exception");
  std::string text;
  try {
    std::rethrow_exception(std::move(error));
  } catch (const RpcException& rpc) {
    return rpc.status();
  } catch (const std::exception& other) {
    text = absl::StrCat(NameOfCurrentException(), ": ", other.what());
  } catch (...) {
    text = NameOfCurrentException();
  }
  absl::Status status = absl::InternalError("internal error");
  status.SetPayload(kExceptionPayload, absl::Cord(text));
  return status;
}

}  // namespace rookery
