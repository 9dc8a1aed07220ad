// Made by protoc-gen-rookery of common.proto. Do not edit.
#ifndef ROOKERY_GENERATED_common_2eproto_
#define ROOKERY_GENERATED_common_2eproto_

#include "common.pb.h"

// common.proto has no services.

#endif  // ROOKERY_GENERATED_common_2eproto_
