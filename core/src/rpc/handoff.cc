#include "rpc/handoff.h"

#include <typeinfo>
#include <utility>

namespace rookery::internal {

void Handoff::Transfer(google::protobuf::Message& into, Write& write) const {
  google::protobuf::Message& from = write.message_;
  // A dynamic message of the same descriptor is another class, which cannot be moved from.
  if (write.may_move_ && typeid(into) == typeid(from) && typeid(into) == typeid(prototype_)) {
    move_(&into, &from);
  } else {
    into.CopyFrom(from);
  }
}

bool Handoff::BeginWrite(Write& write) {
  Read* reader = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    if (aborted_ || closed_) return false;
    if (reader_ == nullptr) {
      writer_ = &write;
      return true;
    }
    Transfer(reader_->into_, write);
    reader_->got_ = Got::kMessage;
    write.taken_ = true;
    reader = std::exchange(reader_, nullptr);
  }
  reader->Wake();
  return false;
}

bool Handoff::BeginRead(Read& read) {
  Write* writer = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    if (aborted_) return false;
    if (writer_ == nullptr) {
      if (closed_) {
        read.got_ = Got::kEnd;
        return false;
      }
      reader_ = &read;
      return true;
    }
    Transfer(read.into_, *writer_);
    read.got_ = Got::kMessage;
    writer_->taken_ = true;
    writer = std::exchange(writer_, nullptr);
  }
  writer->Wake();
  return false;
}

void Handoff::Close() noexcept {
  Read* reader = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    reader = std::exchange(reader_, nullptr);
    if (reader != nullptr) reader->got_ = Got::kEnd;
  }
  if (reader != nullptr) reader->Wake();
}

void Handoff::Abort() noexcept {
  Read* reader = nullptr;
  Write* writer = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    aborted_ = true;
    reader = std::exchange(reader_, nullptr);
    writer = std::exchange(writer_, nullptr);
  }
  if (reader != nullptr) reader->WakeLater();
  if (writer != nullptr) writer->WakeLater();
}

}  // namespace rookery::internal
