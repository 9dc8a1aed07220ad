#include "unit/support/compile_errors.h"

#include "gtest/gtest.h"

namespace {

TEST(CompileErrors, OfTasksAndStreamsAreNamed) {
  rookery::testing::ExpectNamedErrors("runtime/compile_errors/mistakes.cc", 3);
}

}  // namespace
