// The fault tests: processes of ours are killed, stopped and cut off by a seeded schedule, and what
// they wrote down says what was lost, duplicated, reordered or invented by it.
//
//   std::vector<FaultTest> KafkaTests() {
//     return {{"K-01", "records that were acknowledged", [](const Environment& environment) {
//                Process worker({"kafka-worker", ...});
//                ...
//                return RowOf(Classify(...));
//              }}};
//   }
//
// To add tests for a transport: a file like nats.cc with its roles and its tests, and two lines in
// main.cc. A role is what a child process runs; a test starts roles, does harm, waits until they
// have caught up, and sums up.
#ifndef ROOKERY_TESTS_FAULTS_FAULTS_H_
#define ROOKERY_TESTS_FAULTS_FAULTS_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "support/fault_journal.h"

namespace rookery::faults {

// A line of the table, and an object of build/faults.json (without the remark).
struct Row {
  std::uint64_t acked = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t reordered = 0;
  std::uint64_t phantom = 0;
  double recovery_ms = 0;
  bool ok = false;
  std::string skipped;  // why the test could not be run; empty: it was
  std::string remark;   // what else was counted, or what was wrong
};

// What a test is given.
struct Environment {
  std::filesystem::path folder;  // its own, empty
  std::uint64_t seed = 1;        // of its schedule
  bool longer = false;           // more faults, for more confidence
};

struct FaultTest {
  std::string name;   // "N-06"
  std::string title;  // what is promised
  std::function<Row(const Environment& environment)> run;
  // Waits more than it works, and starts all that it needs itself: may run beside others of its
  // kind, on a thread of its own.
  bool beside = false;
};

struct Role {
  std::string name;
  // Returns the process's exit code.
  std::function<int(const std::vector<std::string>& arguments)> run;
};

// The part of a row that follows from the journals.
[[nodiscard]] inline Row RowOf(const testing::Verdict& verdict) {
  Row row;
  row.acked = verdict.acked;
  row.lost = verdict.lost;
  row.duplicates = verdict.duplicates;
  row.reordered = verdict.reordered;
  row.phantom = verdict.phantom;
  return row;
}

[[nodiscard]] std::vector<FaultTest> NatsTests();
[[nodiscard]] std::vector<Role> NatsRoles();
[[nodiscard]] std::vector<FaultTest> JetStreamTests();
[[nodiscard]] std::vector<Role> JetStreamRoles();
[[nodiscard]] std::vector<FaultTest> ZeroMqTests();
[[nodiscard]] std::vector<Role> ZeroMqRoles();
// Where the Kafka transport is built.
[[nodiscard]] std::vector<FaultTest> KafkaTests();
[[nodiscard]] std::vector<Role> KafkaRoles();
[[nodiscard]] std::vector<FaultTest> RealKafkaTests();

}  // namespace rookery::faults

#endif  // ROOKERY_TESTS_FAULTS_FAULTS_H_
