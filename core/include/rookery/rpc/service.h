// Service: the base of every generated XService. See protoc-gen-rookery.
#ifndef ROOKERY_RPC_SERVICE_H_
#define ROOKERY_RPC_SERVICE_H_

#include "rookery/rpc/call_context.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/runtime/stream.h"
#include "rookery/runtime/task.h"

namespace rookery {

// A proto service as a class to implement; a controller derives from one or more of them.
class Service {
 public:
  virtual ~Service() = default;

 protected:
  Service() = default;
  Service(const Service&) = default;
  Service& operator=(const Service&) = default;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_SERVICE_H_
