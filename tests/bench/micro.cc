#include "micro.h"

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "flags.h"

namespace rookery::bench {
namespace {

constexpr std::int64_t kSampleNanoseconds = 20'000'000;
constexpr int kMostRepetitions = 100'000'000;

// How often a body must run for one sample; running it this often also warms it up.
int Repetitions(const Micro::Body& body) {
  int repetitions = 1;
  for (;;) {
    const std::int64_t before = CpuNanoseconds();
    body(repetitions);
    const std::int64_t took = std::max<std::int64_t>(CpuNanoseconds() - before, 1);
    if (took >= kSampleNanoseconds / 2 || repetitions >= kMostRepetitions) {
      const double wanted = static_cast<double>(repetitions) *
                            static_cast<double>(kSampleNanoseconds) / static_cast<double>(took);
      return static_cast<int>(std::clamp(wanted, 1.0, double{kMostRepetitions}));
    }
    repetitions = std::min(kMostRepetitions, repetitions * 4);
  }
}

double Nanoseconds(const Micro::Body& body, int repetitions) {
  const std::int64_t before = CpuNanoseconds();
  body(repetitions);
  return static_cast<double>(CpuNanoseconds() - before) / repetitions;
}

double NanosecondsPer(const std::string& unit) { return unit.substr(0, 2) == "us" ? 1000 : 1; }

void PrintSamples(const char* name, const std::vector<double>& samples) {
  std::printf(", \"%s\": [", name);
  for (std::size_t i = 0; i < samples.size(); ++i)
    std::printf("%s%.6g", i == 0 ? "" : ", ", samples[i]);
  std::printf("]");
}

}  // namespace

std::int64_t CpuNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Micro::Micro(int argc, char** argv) : pairs_(Flags(argc, argv).Int("pairs", 5)) {}

void Micro::Compare(const std::string& name, const std::string& unit, const Body& ours,
                    const Body& baseline, double items_per_repetition) {
  const double scale = NanosecondsPer(unit) * items_per_repetition;
  const int ours_repetitions = Repetitions(ours);
  const int baseline_repetitions = Repetitions(baseline);
  Row row{name, unit, {}, {}};
  for (int i = 0; i < pairs_; ++i) {
    row.ours.push_back(Nanoseconds(ours, ours_repetitions) / scale);
    row.baseline.push_back(Nanoseconds(baseline, baseline_repetitions) / scale);
  }
  rows_.push_back(std::move(row));
}

void Micro::CompareDifference(const std::string& name, const std::string& unit, const Body& more,
                              const Body& less, const Body& baseline, double items) {
  const double scale = NanosecondsPer(unit) * items;
  const int more_repetitions = Repetitions(more);
  const int less_repetitions = Repetitions(less);
  const int baseline_repetitions = Repetitions(baseline);
  Row row{name, unit, {}, {}};
  for (int i = 0; i < pairs_; ++i) {
    const double with = Nanoseconds(more, more_repetitions);
    const double without = Nanoseconds(less, less_repetitions);
    row.ours.push_back((with - without) / scale);
    row.baseline.push_back(Nanoseconds(baseline, baseline_repetitions) / NanosecondsPer(unit));
  }
  rows_.push_back(std::move(row));
}

void Micro::CompareRate(const std::string& name, const std::string& unit, double amount,
                        const Body& ours, double theirs, const Body& baseline) {
  const int ours_repetitions = Repetitions(ours);
  const int baseline_repetitions = Repetitions(baseline);
  Row row{name, unit, {}, {}};
  for (int i = 0; i < pairs_; ++i) {
    row.ours.push_back(amount * 1e9 / Nanoseconds(ours, ours_repetitions));
    row.baseline.push_back(theirs * 1e9 / Nanoseconds(baseline, baseline_repetitions));
  }
  rows_.push_back(std::move(row));
}

void Micro::Count(const std::string& name, const std::string& unit, double ours, double baseline) {
  rows_.push_back(Row{name, unit, std::vector<double>(static_cast<std::size_t>(pairs_), ours),
                      std::vector<double>(static_cast<std::size_t>(pairs_), baseline)});
}

int Micro::Print() const {
  std::printf("[");
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    std::printf("%s\n {\"case\": \"%s\", \"unit\": \"%s\"", i == 0 ? "" : ",", row.name.c_str(),
                row.unit.c_str());
    PrintSamples("ours", row.ours);
    PrintSamples("baseline", row.baseline);
    std::printf("}");
  }
  std::printf("\n]\n");
  return 0;
}

}  // namespace rookery::bench
