// Made by protoc-gen-rookery of forward.proto. Do not edit.
#include "forward.rookery.h"
