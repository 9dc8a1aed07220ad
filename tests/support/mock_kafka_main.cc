#include <string>
#include <vector>

#include "support/mock_kafka.h"

int main(int argc, char** argv) {
  return rookery::testing::RunMockKafka(std::vector<std::string>(argv + 1, argv + argc));
}
