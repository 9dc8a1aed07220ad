// Check: what a proto file may not say, found before any code is written.
#ifndef ROOKERY_PROTO_PLUGIN_CHECK_H_
#define ROOKERY_PROTO_PLUGIN_CHECK_H_

#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>

namespace rookery::plugin {

// All faults of `file`, in its order: names first, then services. Each is
// "FILE:LINE:COLUMN: what; how to mend it".
[[nodiscard]] std::vector<std::string> FindFaults(const google::protobuf::FileDescriptor* file);

}  // namespace rookery::plugin

#endif  // ROOKERY_PROTO_PLUGIN_CHECK_H_
