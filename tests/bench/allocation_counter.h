// Counts what the calling thread takes from the heap, in this program and in the libraries below
// it.
//
//   const std::uint64_t before = bench::AllocationsOfThisThread();
//   work();
//   std::uint64_t taken = bench::AllocationsOfThisThread() - before;
//
// Linking the .cc file replaces malloc and its kin for the whole program (glibc); operator new
// comes through here too.

#ifndef ROOKERY_TESTS_BENCH_ALLOCATION_COUNTER_H_
#define ROOKERY_TESTS_BENCH_ALLOCATION_COUNTER_H_

#include <cstdint>

namespace rookery::bench {

// malloc, calloc, realloc, aligned_alloc and posix_memalign each count as one; free does not.
std::uint64_t AllocationsOfThisThread();

}  // namespace rookery::bench

#endif  // ROOKERY_TESTS_BENCH_ALLOCATION_COUNTER_H_
