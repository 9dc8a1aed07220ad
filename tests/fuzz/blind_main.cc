// Runs a fuzz target where there is no libFuzzer: the seeds, and what a seeded generator makes of
// them.
//
//   json_fuzz RUNS SEEDS_FOLDER
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void Run(const std::string& input) {
  // Exactly as large as it is, for the address sanitizer to see who reads beyond.
  const auto copy = std::make_unique<std::uint8_t[]>(input.size());
  std::copy(input.begin(), input.end(), copy.get());
  LLVMFuzzerTestOneInput(copy.get(), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s RUNS SEEDS_FOLDER\n", argv[0]);
    return 2;
  }
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(argv[2])) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    Run(seeds.back());
  }
  if (seeds.empty()) {
    std::fprintf(stderr, "%s holds no seeds\n", argv[2]);
    return 2;
  }
  std::mt19937_64 random(20'261'121);
  const auto below = [&random](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const long runs = std::strtol(argv[1], nullptr, 10);
  for (long i = 0; i < runs; ++i) {
    std::string input = seeds[below(seeds.size())];
    for (std::size_t n = 1 + below(4); n > 0 && !input.empty(); --n) {
      const std::size_t at = below(input.size());
      const std::size_t length = std::min(input.size() - at, 1 + below(16));
      switch (below(6)) {
        case 0:
          input[at] = static_cast<char>(random());
          break;
        case 1:
          input.insert(at, 1, static_cast<char>(random()));
          break;
        case 2:
          input.erase(at, length);
          break;
        case 3:  // something of another seed
        {
          const std::string& other = seeds[below(seeds.size())];
          input.insert(at, other, below(other.size() + 1), length);
          break;
        }
        case 4:
          input.insert(at, input.substr(at, length));
          break;
        default:
          input[at] = input[below(input.size())];
      }
    }
    Run(input);
  }
  std::printf("%zu seeds and %ld runs\n", seeds.size(), runs);
  return 0;
}
