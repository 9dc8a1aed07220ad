// FdSet: waits on file descriptors through Boost.Asio. Private; belongs to a loop's thread.
#ifndef ROOKERY_SRC_RUNTIME_FD_SET_H_
#define ROOKERY_SRC_RUNTIME_FD_SET_H_

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <unordered_map>

#include "rookery/runtime/loop.h"

namespace rookery::internal {

class FdSet final {
 public:
  // `around` runs each completion: it opens and closes a unit of work.
  FdSet(boost::asio::io_context& io, std::function<void(const std::function<void()>&)> around);
  FdSet(const FdSet&) = delete;
  FdSet& operator=(const FdSet&) = delete;
  // Pending waits are dropped.
  ~FdSet();

  void Wait(int fd, FdEvent event, FdWait* wait);
  void Cancel(FdWait* wait) noexcept;

 private:
  struct Registration;
  struct Pending;
  struct Lasting;
  void WaitAgain(int fd, FdEvent event, FdWait* wait);
  void FinishLasting(const std::shared_ptr<Lasting>& lasting, bool ready);
  void Finish(const std::shared_ptr<Pending>& pending, bool ready);
  void Release(int fd) noexcept;

  boost::asio::io_context& io_;
  std::function<void(const std::function<void()>&)> around_;
  std::unordered_map<int, std::unique_ptr<Registration>> registrations_;
  std::unordered_map<Lasting*, std::shared_ptr<Lasting>> lasting_;
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RUNTIME_FD_SET_H_
