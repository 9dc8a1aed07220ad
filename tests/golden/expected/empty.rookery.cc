// Made by protoc-gen-rookery of empty.proto. Do not edit.
#include "empty.rookery.h"
