// Made by protoc-gen-rookery of common.proto. Do not edit.
#include "common.rookery.h"
