#include "rookery/di/durable.h"

#include "di/container.h"

namespace rookery {

std::size_t DurableContexts::size() const { return container_->durable_size(); }
bool DurableContexts::Evict(std::string_view key) { return container_->EvictDurable(key); }
void DurableContexts::Clear() { container_->EvictAllDurable(); }

}  // namespace rookery
