#include "rookery/platform/clients.h"

namespace rookery::internal {

void OpenChannels::Add(std::shared_ptr<Channel> channel) {
  const std::scoped_lock lock(mutex_);
  channels_.push_back(std::move(channel));
}

void OpenChannels::OnApplicationShutdown() noexcept {
  std::vector<std::shared_ptr<Channel>> channels;
  {
    const std::scoped_lock lock(mutex_);
    channels.swap(channels_);
  }
  for (const std::shared_ptr<Channel>& channel : channels) channel->Close();
}

}  // namespace rookery::internal
