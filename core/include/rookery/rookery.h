// Everything a service is written with, transports aside. No header of gRPC, spdlog or Asio comes
// along.
//
//   #include "rookery/rookery.h"
//   #include "rookery/transports/grpc.h"
//   #include "shop/v1/orders.rookery.h"
//
// The single headers may be included as well; this one is for those who do not want to look them
// up.
#ifndef ROOKERY_ROOKERY_H_
#define ROOKERY_ROOKERY_H_

// IWYU pragma: begin_exports
#include "rookery/app/application.h"
#include "rookery/app/graph.h"
#include "rookery/di/all.h"
#include "rookery/di/durable.h"
#include "rookery/di/inject.h"
#include "rookery/di/lazy.h"
#include "rookery/di/proxy.h"
#include "rookery/di/resolution_error.h"
#include "rookery/di/scope.h"
#include "rookery/di/token.h"
#include "rookery/module/configurable_module.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/module/lazy_module_loader.h"
#include "rookery/module/module_builder.h"
#include "rookery/module/module_ref.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/pipeline/exception_filter.h"
#include "rookery/pipeline/execution_context.h"
#include "rookery/pipeline/guard.h"
#include "rookery/pipeline/interceptor.h"
#include "rookery/pipeline/pipe.h"
#include "rookery/pipeline/pre_request.h"
#include "rookery/pipeline/reflector.h"
#include "rookery/platform/clients.h"
#include "rookery/platform/cls.h"
#include "rookery/platform/cls_module.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/batch.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "rookery/rpc/status.h"
#include "rookery/rpc/worker.h"
#include "rookery/runtime/clock.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/offload.h"
#include "rookery/runtime/queue.h"
#include "rookery/runtime/semaphore.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/stream.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/task.h"
#include "rookery/runtime/when.h"
// IWYU pragma: end_exports

#endif  // ROOKERY_ROOKERY_H_
