#include "unit/support/compile_errors.h"

#include "gtest/gtest.h"

namespace {

TEST(CompileErrors, OfProvidersAndModulesAreNamed) {
  rookery::testing::ExpectNamedErrors("di/compile_errors/mistakes.cc", 20);
}

}  // namespace
