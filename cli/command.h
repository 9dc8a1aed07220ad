// The `rookery` command, apart from main().
#ifndef ROOKERY_CLI_COMMAND_H_
#define ROOKERY_CLI_COMMAND_H_

#include <iosfwd>
#include <string>
#include <vector>

namespace rookery::cli {

// What the process exits with.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUse = 2;

// `arguments`: those after the program's name. Results go to `out`, everything else to `err`.
[[nodiscard]] int Run(const std::vector<std::string>& arguments, std::ostream& out,
                      std::ostream& err);

}  // namespace rookery::cli

#endif  // ROOKERY_CLI_COMMAND_H_
