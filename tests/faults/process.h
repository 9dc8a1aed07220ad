// Process: another process of this program, in a role, for a fault test to kill, stop and ask.
//
//   Process worker({"worker", "--url=" + url, "--journal=" + path});
//   worker.Expect("READY");
//   std::string stats = worker.Ask("stats");
//   worker.Kill();                            // SIGKILL, by its own id
//
// The child hears its orders on standard input and ends when that closes.
#ifndef ROOKERY_TESTS_FAULTS_PROCESS_H_
#define ROOKERY_TESTS_FAULTS_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rookery::faults {

// Not thread-safe. The child dies with its parent, and with this object.
class Process final {
 public:
  // Starts this very program with `arguments`. Aborts if it cannot.
  explicit Process(const std::vector<std::string>& arguments);
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  // Throws std::runtime_error unless its next line begins with `word` and comes in time; returns
  // the rest of the line.
  std::string Expect(std::string_view word,
                     std::chrono::milliseconds most = std::chrono::seconds(60));
  void Tell(std::string_view line);
  std::string Ask(std::string_view line);

  void Kill();
  void Stop();      // SIGSTOP
  void Continue();  // SIGCONT
  void Terminate();
  // Its exit code, or 128 and its signal. After `most` it is killed, and that is an error that is
  // thrown.
  int Wait(std::chrono::milliseconds most = std::chrono::seconds(60));
  [[nodiscard]] bool running() const noexcept { return id_ > 0; }
  // Its greatest resident size so far, in KiB.
  [[nodiscard]] std::uint64_t peak_kib() const;

 private:
  void Close() noexcept;

  pid_t id_ = -1;
  int in_ = -1;   // its standard input
  int out_ = -1;  // its standard output
  std::string unread_;
};

// "--name=value" among a role's arguments.
[[nodiscard]] std::string Flag(const std::vector<std::string>& arguments, std::string_view name,
                               std::string_view otherwise = "");
[[nodiscard]] long NumberFlag(const std::vector<std::string>& arguments, std::string_view name,
                              long otherwise);

// For the roles: says a line to the parent.
void Say(std::string_view line);
// SIGTERM ends Obey, and nothing else.
void HearTermination();
// Calls `on_line` for each order, until there are no more or SIGTERM has come.
void Obey(const std::function<void(const std::string&)>& on_line);

}  // namespace rookery::faults

#endif  // ROOKERY_TESTS_FAULTS_PROCESS_H_
