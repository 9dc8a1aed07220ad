#include "support/fault_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace rookery::testing {

std::int64_t MonotonicNs() noexcept {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

FaultJournal::FaultJournal(const std::filesystem::path& path, Sync sync) : sync_(sync) {
  fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0) {
    std::perror(path.c_str());
    std::abort();
  }
}

FaultJournal::~FaultJournal() { close(fd_); }

void FaultJournal::Write(char kind, std::uint64_t id, std::int64_t extra) {
  char line[96];
  const int size = std::snprintf(line, sizeof line, "%c %" PRIu64 " %" PRId64 " %" PRId64 "\n",
                                 kind, id, MonotonicNs(), extra);
  // O_APPEND: one write is one line, whoever else writes.
  if (write(fd_, line, static_cast<std::size_t>(size)) != size) {
    std::perror("journal");
    std::abort();
  }
  if (sync_ == Sync::kKernel) return;
  std::unique_lock lock(mutex_);
  const std::uint64_t mine = ++written_;
  while (safe_ < mine) {
    if (syncing_) {
      synced_.wait(lock);
      continue;
    }
    syncing_ = true;
    const std::uint64_t covered = written_;
    lock.unlock();
    const bool failed = fdatasync(fd_) != 0;
    lock.lock();
    if (failed) {
      std::perror("journal");
      std::abort();
    }
    safe_ = covered;
    syncing_ = false;
    synced_.notify_all();
  }
}

std::vector<JournalEntry> ReadJournal(const std::filesystem::path& path) {
  std::vector<JournalEntry> entries;
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    if (in.eof()) break;  // without its newline: cut off
    JournalEntry entry;
    if (std::sscanf(line.c_str(), "%c %" SCNu64 " %" SCNd64 " %" SCNd64, &entry.kind, &entry.id,
                    &entry.at_ns, &entry.extra) == 4) {
      entries.push_back(entry);
    }
  }
  return entries;
}

Verdict Classify(const std::vector<JournalEntry>& asked,
                 const std::vector<std::vector<JournalEntry>>& handled) {
  Verdict verdict;
  std::unordered_set<std::uint64_t> intended;
  std::unordered_set<std::uint64_t> acked;
  std::unordered_set<std::uint64_t> failed;
  for (const JournalEntry& entry : asked) {
    if (entry.kind == 'I') intended.insert(entry.id);
    if (entry.kind == 'A') acked.insert(entry.id);
    if (entry.kind == 'F') failed.insert(entry.id);
  }
  std::vector<JournalEntry> all;
  for (const auto& journal : handled) {
    std::copy_if(journal.begin(), journal.end(), std::back_inserter(all),
                 [](const JournalEntry& entry) { return entry.kind == 'H'; });
  }
  std::sort(all.begin(), all.end(),
            [](const JournalEntry& a, const JournalEntry& b) { return a.at_ns < b.at_ns; });
  std::unordered_set<std::uint64_t> seen;
  std::unordered_map<std::int64_t, std::uint64_t> latest;  // by key
  for (const JournalEntry& entry : all) {
    if (!seen.insert(entry.id).second) {
      ++verdict.duplicates;
      continue;
    }
    if (!intended.contains(entry.id)) ++verdict.phantom;
    if (entry.extra == 0) continue;
    std::uint64_t& last = latest[entry.extra];
    if (entry.id < last) ++verdict.reordered;
    last = std::max(last, entry.id);
  }
  verdict.intended = intended.size();
  verdict.acked = acked.size();
  verdict.failed = failed.size();
  verdict.handled = seen.size();
  for (const std::uint64_t id : intended) {
    if (!acked.contains(id) && !failed.contains(id)) ++verdict.unfinished;
  }
  for (const std::uint64_t id : acked) {
    if (!seen.contains(id)) ++verdict.lost;
  }
  return verdict;
}

double RecoveryMs(const std::vector<JournalEntry>& asked, const std::vector<std::int64_t>& faults) {
  std::unordered_map<std::uint64_t, std::int64_t> begun;
  for (const JournalEntry& entry : asked) {
    if (entry.kind == 'I') begun.emplace(entry.id, entry.at_ns);
  }
  double longest = 0;
  for (const std::int64_t fault : faults) {
    std::int64_t first = -1;
    for (const JournalEntry& entry : asked) {
      const auto found = begun.find(entry.id);
      if (entry.kind != 'A' || found == begun.end() || found->second < fault) continue;
      if (first < 0 || entry.at_ns < first) first = entry.at_ns;
    }
    if (first < 0) return -1;
    longest = std::max(longest, static_cast<double>(first - fault) / 1e6);
  }
  return longest;
}

}  // namespace rookery::testing
