#include "unit/support/compile_errors.h"

#include "gtest/gtest.h"

namespace {

TEST(CompileErrors, OfClsAreNamed) {
  rookery::testing::ExpectNamedErrors("platform/compile_errors/mistakes.cc", 6);
}

}  // namespace
