// Where publishers and subscribers of one user, on one machine, find each other: a folder. Private.
//
//   auto place = Presence::Announce(folder, Presence::kPublisher);   // its file, locked
//   bind(place->endpoint());
//   place->Show();                                                   // now others see it
//   for (const std::string& endpoint : LiveEndpoints(folder)) connect(endpoint);
//
// Whoever is there holds a lock on its file, which the kernel gives back when the process ends in
// whatever way: files without a lock are swept away by those who find them.
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_MEETING_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_MEETING_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace rookery::zeromq_adapter {

// The folder of a domain, made if need be, for this user alone.
[[nodiscard]] absl::StatusOr<std::string> MeetingFolder(const std::string& domain, bool work);

class Presence final {
 public:
  enum Kind { kPublisher, kSubscriber };
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Presence>> Announce(const std::string& folder,
                                                                          Kind kind);
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;
  // Leaves.
  ~Presence();

  // "ipc://FOLDER/ID.ipc"
  [[nodiscard]] std::string endpoint() const;
  // From now on others find it.
  [[nodiscard]] absl::Status Show();

 private:
  Presence(std::string folder, std::string id, Kind kind, int lock);
  [[nodiscard]] std::string Path(const char* ending) const;

  const std::string folder_;
  const std::string id_;
  const Kind kind_;
  const int lock_;
};

// Of all publishers that are there.
[[nodiscard]] std::vector<std::string> LiveEndpoints(const std::string& folder);
[[nodiscard]] std::size_t LiveSubscribers(const std::string& folder);

}  // namespace rookery::zeromq_adapter

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_MEETING_H_
