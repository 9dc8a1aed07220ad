#include "unit/support/compile_errors.h"

#include "gtest/gtest.h"

namespace {

TEST(CompileErrors, OfEnhancersAndControllersAreNamed) {
  rookery::testing::ExpectNamedErrors("pipeline/compile_errors/mistakes.cc", 12);
}

}  // namespace
