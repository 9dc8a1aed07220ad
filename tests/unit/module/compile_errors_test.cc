#include "unit/support/compile_errors.h"

#include "gtest/gtest.h"

namespace {

TEST(CompileErrors, OfConfigurableModulesAreNamed) {
  rookery::testing::ExpectNamedErrors("module/compile_errors/mistakes.cc", 8);
}

}  // namespace
