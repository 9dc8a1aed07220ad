#include "graph_source.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace rookery::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook(10);   // between two looks at the program
constexpr std::chrono::seconds kGraceToEnd(10);  // after SIGTERM
constexpr char kVariable[] = "ROOKERY_GRAPH=";

absl::StatusOr<ApplicationGraph> Parse(const std::string& from, std::istream& in) {
  const std::string text(std::istreambuf_iterator<char>(in), {});
  absl::StatusOr<ApplicationGraph> graph = ApplicationGraph::FromJson(text);
  if (graph.ok()) return graph;
  return absl::Status(graph.status().code(),
                      absl::StrCat(from, ": ", std::string(graph.status().message())));
}

// A folder of this process alone, gone with the object.
class Folder final {
 public:
  Folder() : path_((std::filesystem::temp_directory_path() / "rookery-graph-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

// A child process, which does not outlive the object.
class Child final {
 public:
  // INVALID_ARGUMENT if it cannot be started.
  [[nodiscard]] absl::Status Start(const std::vector<std::string>& command,
                                   const std::string& variable) {
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    std::vector<char*> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      if (std::strncmp(*entry, kVariable, sizeof(kVariable) - 1) != 0) {
        environment.push_back(*entry);
      }
    }
    environment.push_back(const_cast<char*>(variable.c_str()));
    environment.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    const int error =
        ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0) return absl::OkStatus();
    pid_ = -1;
    return absl::InvalidArgumentError(
        absl::StrCat("\"", command[0], "\" cannot be started: ", std::strerror(error)));
  }
  ~Child() { End(); }

  // How it ended, in words; nullopt while it runs.
  [[nodiscard]] std::optional<std::string> Ended() {
    if (pid_ < 0) return how_;
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    pid_ = -1;
    how_ = WIFSIGNALED(status) ? absl::StrCat("was killed by signal ", WTERMSIG(status))
                               : absl::StrCat("ended with status ", WEXITSTATUS(status));
    return how_;
  }
  // Asks it to end, and sees to it that it does.
  void End() {
    if (Ended().has_value() || pid_ < 0) return;
    ::kill(pid_, SIGTERM);
    const Clock::time_point deadline = Clock::now() + kGraceToEnd;
    while (!Ended().has_value()) {
      if (Clock::now() >= deadline) {
        ::kill(pid_, SIGKILL);
        (void)::waitpid(pid_, nullptr, 0);
        pid_ = -1;
        return;
      }
      std::this_thread::sleep_for(kLook);
    }
  }

 private:
  pid_t pid_ = -1;
  std::optional<std::string> how_;
};

}  // namespace

absl::StatusOr<ApplicationGraph> GraphFromFile(const std::string& file) {
  if (file == "-") return Parse("standard input", std::cin);
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    return absl::NotFoundError(absl::StrCat(file, " cannot be read: ", std::strerror(errno)));
  }
  return Parse(file, in);
}

absl::StatusOr<ApplicationGraph> GraphFromProgram(const std::vector<std::string>& command,
                                                  std::chrono::milliseconds timeout) {
  const Folder folder;
  if (folder.path().empty()) {
    return absl::InternalError(
        absl::StrCat("no temporary folder could be made: ", std::strerror(errno)));
  }
  const std::string file = folder.path() + "/graph.json";
  Child child;
  if (absl::Status status = child.Start(command, kVariable + file); !status.ok()) return status;

  const Clock::time_point deadline = Clock::now() + timeout;
  for (;;) {
    // In this order: a program may write and end between two looks.
    const std::optional<std::string> ended = child.Ended();
    if (std::filesystem::exists(file)) break;
    if (ended.has_value()) {
      return absl::FailedPreconditionError(absl::StrCat(
          command[0], " ", *ended,
          " before it said what it is made of: it must be a Rookery application that gets as far "
          "as initialising"));
    }
    if (Clock::now() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat(command[0], " has not initialised within ",
                                                      timeout.count(),
                                                      " ms; give it more with --timeout SECONDS"));
    }
    std::this_thread::sleep_for(kLook);
  }
  child.End();
  return GraphFromFile(file);
}

}  // namespace rookery::cli
