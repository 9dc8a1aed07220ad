// Made by protoc-gen-rookery of empty.proto. Do not edit.
#ifndef ROOKERY_GENERATED_empty_2eproto_
#define ROOKERY_GENERATED_empty_2eproto_

#include "empty.pb.h"

// empty.proto has no services.

#endif  // ROOKERY_GENERATED_empty_2eproto_
