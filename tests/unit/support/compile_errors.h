// What a compiler says of a file full of mistakes: each must end in one error that names the mend.
//
//   TEST(CompileErrors, Guards) { ExpectNamedErrors("pipeline/compile_errors/mistakes.cc", 8); }
//
// Above each mistake the file has the message, wrapped as comments are:
//   // expect: rookery: this class is no guard: give it ...
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_COMPILE_ERRORS_H_
#define ROOKERY_TESTS_UNIT_SUPPORT_COMPILE_ERRORS_H_

#include <cstddef>
#include <string>

namespace rookery::testing {

// `file` is relative to tests/unit and names at least `at_least` different messages.
void ExpectNamedErrors(const std::string& file, std::size_t at_least);

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_SUPPORT_COMPILE_ERRORS_H_
