#include "runtime/fd_set.h"

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "rookery/runtime/loop.h"

namespace rookery::internal {

// One descriptor, registered with the kernel as long as somebody waits on it: its owner may close
// it as soon as the last wait is over.
struct FdSet::Registration {
  explicit Registration(boost::asio::io_context& io) : descriptor(io) {}
  boost::asio::posix::stream_descriptor descriptor;
  std::vector<std::shared_ptr<Pending>> waits;
};

// Outlives its FdWait: Asio's completion comes later than a cancellation.
struct FdSet::Pending {
  FdWait* wait;
  int fd;
};

// A descriptor that stays registered until its wait is cancelled.
struct FdSet::Lasting : std::enable_shared_from_this<FdSet::Lasting> {
  Lasting(boost::asio::io_context& io, FdWait* owner) : descriptor(io), wait(owner) {}
  boost::asio::posix::stream_descriptor descriptor;
  FdWait* wait;  // null once it has been cancelled
  bool pending = false;
};

FdSet::FdSet(boost::asio::io_context& io, std::function<void(const std::function<void()>&)> around)
    : io_(io), around_(std::move(around)) {}

FdSet::~FdSet() {
  for (auto& [fd, registration] : registrations_) {
    // The waits themselves may be gone.
    for (const auto& pending : registration->waits) pending->wait = nullptr;
    registration->descriptor.release();
  }
  for (auto& [key, lasting] : lasting_) {
    lasting->wait = nullptr;
    lasting->descriptor.release();
  }
}

void FdSet::Wait(int fd, FdEvent event, FdWait* wait) {
  if (wait->lasting) {
    WaitAgain(fd, event, wait);
    return;
  }
  auto pending = std::make_shared<Pending>(Pending{wait, fd});
  std::unique_ptr<Registration>& slot = registrations_[fd];
  if (slot == nullptr) {
    slot = std::make_unique<Registration>(io_);
    boost::system::error_code error;
    slot->descriptor.assign(fd, error);
    if (error) {
      // EBADF, say: for the read or write that follows to report.
      slot.reset();
      registrations_.erase(fd);
      wait->implementation = pending.get();
      boost::asio::post(io_, [this, pending] { Finish(pending, true); });
      return;
    }
  }
  Registration& registration = *slot;
  registration.waits.push_back(pending);
  wait->implementation = pending.get();
  const auto kind = event == FdEvent::kReadable ? boost::asio::posix::descriptor_base::wait_read
                                                : boost::asio::posix::descriptor_base::wait_write;
  registration.descriptor.async_wait(kind, [this, pending](const boost::system::error_code& error) {
    // Gone already if cancelled. Regular files cannot be polled and are always ready; any other
    // error is for the read or write that follows to report.
    if (pending->wait != nullptr) Finish(pending, error != boost::asio::error::operation_aborted);
  });
}

void FdSet::WaitAgain(int fd, FdEvent event, FdWait* wait) {
  auto* at = static_cast<Lasting*>(wait->implementation);
  if (at == nullptr) {
    auto made = std::make_shared<Lasting>(io_, wait);
    at = made.get();
    wait->implementation = at;
    lasting_.emplace(at, std::move(made));
    boost::system::error_code error;
    at->descriptor.assign(fd, error);
  }
  at->pending = true;
  if (!at->descriptor.is_open()) {
    // EBADF, say: for the read or write that follows to report.
    boost::asio::post(io_, [this, held = at->shared_from_this()] { FinishLasting(held, true); });
    return;
  }
  const auto kind = event == FdEvent::kReadable ? boost::asio::posix::descriptor_base::wait_read
                                                : boost::asio::posix::descriptor_base::wait_write;
  at->descriptor.async_wait(
      kind, [this, held = at->shared_from_this()](const boost::system::error_code& error) {
        if (held->wait != nullptr) {
          FinishLasting(held, error != boost::asio::error::operation_aborted);
        }
      });
}

void FdSet::FinishLasting(const std::shared_ptr<Lasting>& lasting, bool ready) {
  FdWait* const wait = lasting->wait;
  if (wait == nullptr) return;
  lasting->pending = false;
  around_([wait, ready] { wait->done(wait, ready); });
}

void FdSet::Finish(const std::shared_ptr<Pending>& pending, bool ready) {
  FdWait* const wait = std::exchange(pending->wait, nullptr);
  if (wait == nullptr) return;
  const auto found = registrations_.find(pending->fd);
  if (found != registrations_.end()) {
    std::erase(found->second->waits, pending);
    if (found->second->waits.empty()) Release(pending->fd);
  }
  wait->implementation = nullptr;
  around_([wait, ready] { wait->done(wait, ready); });
}

void FdSet::Cancel(FdWait* wait) noexcept {
  if (wait->implementation == nullptr) return;
  if (wait->lasting) {
    const auto found = lasting_.find(static_cast<Lasting*>(wait->implementation));
    wait->implementation = nullptr;
    const std::shared_ptr<Lasting> held = std::move(found->second);
    lasting_.erase(found);
    held->wait = nullptr;
    held->descriptor.release();
    if (held->pending) wait->done(wait, false);
    return;
  }
  auto* const pending = static_cast<Pending*>(std::exchange(wait->implementation, nullptr));
  pending->wait = nullptr;
  const auto found = registrations_.find(pending->fd);
  if (found != registrations_.end()) {
    std::erase_if(found->second->waits,
                  [pending](const auto& each) { return each.get() == pending; });
    if (found->second->waits.empty()) Release(found->first);
  }
  wait->done(wait, false);
}

void FdSet::Release(int fd) noexcept {
  const auto found = registrations_.find(fd);
  // Ends the operations that cancelled waits left behind, and takes the fd out of the kernel's set.
  found->second->descriptor.release();
  registrations_.erase(found);
}

}  // namespace rookery::internal
