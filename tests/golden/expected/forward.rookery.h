// Made by protoc-gen-rookery of forward.proto. Do not edit.
#ifndef ROOKERY_GENERATED_forward_2eproto_
#define ROOKERY_GENERATED_forward_2eproto_

#include "forward.pb.h"

// forward.proto has no services.

#endif  // ROOKERY_GENERATED_forward_2eproto_
