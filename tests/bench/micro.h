// Times small things in turn with their baselines, inside one process, and prints the samples for
// the runner.
//
//   bench::Micro micro(argc, argv);
//   micro.Compare("get", "ns", [&](int n) { ... n times ours ... }, [&](int n) { ... n times the
//   baseline ... }); return micro.Print();
//
// A sample is the CPU time of the process divided by the repetitions, which are chosen so that one
// sample lasts about 20 ms. Of the process, because a body may do its work on a loop's thread; the
// other threads are to be idle meanwhile. Ours and the baseline alternate, `--pairs` times, after
// one of each that is thrown away.

#ifndef ROOKERY_TESTS_BENCH_MICRO_H_
#define ROOKERY_TESTS_BENCH_MICRO_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace rookery::bench {

// Keeps the compiler from dropping a result that nobody reads, or from moving work across this
// line.
template <typename T>
inline void Keep(const T& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

// Nanoseconds of CPU that the process has used, all its threads together.
std::int64_t CpuNanoseconds();

class Micro final {
 public:
  // Does something so many times.
  using Body = std::function<void(int repetitions)>;

  Micro(int argc, char** argv);

  // Times both, scaled to `unit`: "ns", "us" or "ns/endpoint" and the like, of which only the first
  // two letters count.
  void Compare(const std::string& name, const std::string& unit, const Body& ours,
               const Body& baseline, double items_per_repetition = 1);

  // What one of the `items` by which `more` exceeds `less` costs. The baseline is timed as it is.
  void CompareDifference(const std::string& name, const std::string& unit, const Body& more,
                         const Body& less, const Body& baseline, double items = 1);

  // Times both and gives how much of something they do in a second of CPU: `amount` is what one
  // repetition does, `theirs` what one of the baseline's does. More is better.
  void CompareRate(const std::string& name, const std::string& unit, double amount,
                   const Body& ours, double theirs, const Body& baseline);

  // Adds a row that was counted, not timed.
  void Count(const std::string& name, const std::string& unit, double ours, double baseline);

  // Writes the rows to standard output as JSON; the result is the exit status.
  int Print() const;

  int pairs() const { return pairs_; }

 private:
  struct Row {
    std::string name;
    std::string unit;
    std::vector<double> ours;
    std::vector<double> baseline;
  };

  int pairs_;
  std::vector<Row> rows_;
};

}  // namespace rookery::bench

#endif  // ROOKERY_TESTS_BENCH_MICRO_H_
