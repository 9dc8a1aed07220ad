// Journals of what processes meant to do and did, and what follows from them: lost, duplicate,
// reordered, phantom.
//
//   FaultJournal journal("caller.journal", FaultJournal::Sync::kDisk);
//   journal.Write('I', id, key);                  // before it is sent
//   journal.Write('A', id);                       // after it was acknowledged
//   ...                                           // somebody else writes 'H' when it handles it
//   Verdict verdict = Classify(ReadJournal("caller.journal"), {ReadJournal("worker.journal")});
//
// The method is that of Jepsen's queue workloads: unique ids, intent before act, drain, then sum
// up.
#ifndef ROOKERY_TESTS_SUPPORT_FAULT_JOURNAL_H_
#define ROOKERY_TESTS_SUPPORT_FAULT_JOURNAL_H_

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <vector>

namespace rookery::testing {

// One line. `kind` is 'I' (intent), 'A' (acknowledged), 'F' (failed; `extra`: the canonical code),
// 'H' (handled; `extra`: the key), or what a test makes of it. `extra` of 'I' is the key: ids of
// one key ascend in the order meant. Key 0: no order.
struct JournalEntry {
  char kind = 0;
  std::uint64_t id = 0;
  std::int64_t at_ns = 0;  // CLOCK_MONOTONIC, the same in all processes
  std::int64_t extra = 0;
};

// Appends entries to a file, for one process. Thread-safe; aborts when it cannot write, because a
// test that goes on without its journal proves nothing.
class FaultJournal final {
 public:
  enum class Sync : std::uint8_t {
    kKernel,  // survives the process
    kDisk,    // survives the machine; writers on several threads share one wait
  };
  FaultJournal(const std::filesystem::path& path, Sync sync);
  ~FaultJournal();
  FaultJournal(const FaultJournal&) = delete;
  FaultJournal& operator=(const FaultJournal&) = delete;

  // Returns when the entry is as safe as asked for.
  void Write(char kind, std::uint64_t id, std::int64_t extra = 0);

 private:
  const Sync sync_;
  int fd_ = -1;
  std::mutex mutex_;
  std::condition_variable synced_;
  std::uint64_t written_ = 0;  // guarded by mutex_, as are these
  std::uint64_t safe_ = 0;
  bool syncing_ = false;
};

// All whole lines, in the order written; a last line that was cut off by the writer's death is left
// out. Empty if there is no such file.
[[nodiscard]] std::vector<JournalEntry> ReadJournal(const std::filesystem::path& path);
[[nodiscard]] std::int64_t MonotonicNs() noexcept;

struct Verdict {
  std::uint64_t intended = 0;
  std::uint64_t acked = 0;
  std::uint64_t failed = 0;
  std::uint64_t unfinished = 0;  // intended, and neither acknowledged nor failed
  std::uint64_t handled = 0;     // different ids
  std::uint64_t lost = 0;        // acknowledged and never handled
  std::uint64_t duplicates = 0;  // handlings beyond the first of an id
  std::uint64_t reordered = 0;   // first handlings of an id after one of a later id of its key
  std::uint64_t phantom = 0;     // handled and never intended
};

// `asked`: 'I', 'A', 'F' of all who asked; `handled`: 'H', a journal for each process that handles.
[[nodiscard]] Verdict Classify(const std::vector<JournalEntry>& asked,
                               const std::vector<std::vector<JournalEntry>>& handled);

// The longest time, in ms, from one of `faults` (of MonotonicNs) to the first acknowledgement of
// what was asked after it. Negative if there is a fault after which nothing was.
[[nodiscard]] double RecoveryMs(const std::vector<JournalEntry>& asked,
                                const std::vector<std::int64_t>& faults);

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_SUPPORT_FAULT_JOURNAL_H_
