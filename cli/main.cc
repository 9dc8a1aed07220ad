// The `rookery` command: see command.h, and `rookery help`.
#include <iostream>

#include "command.h"

int main(int argc, char** argv) {
  return rookery::cli::Run({argv + 1, argv + argc}, std::cout, std::cerr);
}
