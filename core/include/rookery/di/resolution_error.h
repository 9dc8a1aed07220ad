// ResolutionError: a provider was asked for at run time, and cannot be had.
//
//   try {
//     rookery::Mailer& mailer = module_ref.Get<Mailer>();
//   } catch (const rookery::ResolutionError& error) {
//     log.Error("no mail", {{"why", error.what()}});
//   }
#ifndef ROOKERY_DI_RESOLUTION_ERROR_H_
#define ROOKERY_DI_RESOLUTION_ERROR_H_

#include <stdexcept>
#include <string>

#include "absl/status/status.h"

namespace rookery {

// Thrown by ModuleRef, Lazy, Proxy and LazyModuleLoader for mistakes of wiring. what() is for
// people: what, where, how to mend. It is no status of the call's: a handler that lets it out
// answers INTERNAL, with an incident id in place of the text. (What a provider itself fails with
// comes out as it is.)
class ResolutionError final : public std::runtime_error {
 public:
  explicit ResolutionError(const absl::Status& status)
      : std::runtime_error(std::string(status.message())), status_(status) {}
  // NOT_FOUND: nobody provides it. FAILED_PRECONDITION: not like this, or not here.
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }

 private:
  absl::Status status_;
};

}  // namespace rookery

#endif  // ROOKERY_DI_RESOLUTION_ERROR_H_
