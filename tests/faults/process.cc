#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace rookery::faults {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Process::Process(const std::vector<std::string>& arguments) {
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
    std::perror("pipe");
    std::abort();
  }
  std::vector<char*> words{const_cast<char*>("rookery_faults")};
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.data()));
  words.push_back(nullptr);
  const pid_t parent = getpid();
  id_ = fork();
  if (id_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    dup2(in[0], 0);
    dup2(out[1], 1);
    // What they log would stand in the middle of the table; a fault is what the journals say.
    if (getenv("ROOKERY_FAULTS_VERBOSE") == nullptr) {
      const int nowhere = open("/dev/null", O_WRONLY);
      dup2(nowhere, 2);
    }
    execv("/proc/self/exe", words.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  in_ = in[1];
  out_ = out[0];
  if (id_ < 0) {
    std::perror("fork");
    std::abort();
  }
}

Process::Process(Process&& other) noexcept
    : id_(std::exchange(other.id_, -1)),
      in_(std::exchange(other.in_, -1)),
      out_(std::exchange(other.out_, -1)),
      unread_(std::move(other.unread_)) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    Close();
    id_ = std::exchange(other.id_, -1);
    in_ = std::exchange(other.in_, -1);
    out_ = std::exchange(other.out_, -1);
    unread_ = std::move(other.unread_);
  }
  return *this;
}

Process::~Process() { Close(); }

void Process::Close() noexcept {
  if (id_ > 0) {
    kill(id_, SIGKILL);
    waitpid(std::exchange(id_, -1), nullptr, 0);
  }
  if (in_ >= 0) close(std::exchange(in_, -1));
  if (out_ >= 0) close(std::exchange(out_, -1));
}

std::string Process::Expect(std::string_view word, milliseconds most) {
  const auto end = steady_clock::now() + most;
  std::size_t newline = 0;
  while ((newline = unread_.find('\n')) == std::string::npos) {
    const auto left = std::chrono::ceil<milliseconds>(end - steady_clock::now()).count();
    pollfd ready{out_, POLLIN, 0};
    char buffer[4096];
    ssize_t got = 0;
    if (left > 0 && poll(&ready, 1, static_cast<int>(left)) > 0) {
      got = read(out_, buffer, sizeof buffer);
    }
    if (got <= 0) {
      throw std::runtime_error("a process did not say \"" + std::string(word) + "\"" +
                               (left > 0 ? ", and has ended" : " in time"));
    }
    unread_.append(buffer, static_cast<std::size_t>(got));
  }
  const std::string line = unread_.substr(0, newline);
  unread_.erase(0, newline + 1);
  if (line.compare(0, word.size(), word) != 0) {
    throw std::runtime_error("a process said \"" + line + "\" and not \"" + std::string(word) +
                             "\"");
  }
  return line.size() > word.size() ? line.substr(word.size() + 1) : std::string();
}

void Process::Tell(std::string_view line) {
  std::string bytes(line);
  bytes += '\n';
  if (write(in_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("a process does not listen: it has ended");
  }
}

std::string Process::Ask(std::string_view line) {
  Tell(line);
  return Expect("OK");
}

void Process::Kill() {
  kill(id_, SIGKILL);
  waitpid(std::exchange(id_, -1), nullptr, 0);
}
void Process::Stop() { kill(id_, SIGSTOP); }
void Process::Continue() { kill(id_, SIGCONT); }
void Process::Terminate() { kill(id_, SIGTERM); }

int Process::Wait(milliseconds most) {
  const auto end = steady_clock::now() + most;
  int status = 0;
  while (waitpid(id_, &status, WNOHANG) != id_) {
    if (steady_clock::now() > end) {
      Kill();
      throw std::runtime_error("a process did not end in time");
    }
    std::this_thread::sleep_for(milliseconds(2));
  }
  id_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::uint64_t Process::peak_kib() const {
  std::ifstream in("/proc/" + std::to_string(id_) + "/status");
  std::string word;
  while (in >> word) {
    std::uint64_t size = 0;
    if (word == "VmHWM:" && in >> size) return size;
  }
  return 0;
}

std::string Flag(const std::vector<std::string>& arguments, std::string_view name,
                 std::string_view otherwise) {
  const std::string begin = "--" + std::string(name) + "=";
  for (const std::string& argument : arguments) {
    if (argument.compare(0, begin.size(), begin) == 0) return argument.substr(begin.size());
  }
  return std::string(otherwise);
}

long NumberFlag(const std::vector<std::string>& arguments, std::string_view name, long otherwise) {
  const std::string text = Flag(arguments, name);
  return text.empty() ? otherwise : std::atol(text.c_str());
}

void Say(std::string_view line) {
  std::string bytes(line);
  bytes += '\n';
  if (write(1, bytes.data(), bytes.size()) < 0) {
    // The parent is gone, and so are we, soon.
  }
}

namespace {
volatile sig_atomic_t g_terminated = 0;
}  // namespace

void HearTermination() {
  signal(SIGTERM, [](int) { g_terminated = 1; });
}

void Obey(const std::function<void(const std::string&)>& on_line) {
  std::string unread;
  while (g_terminated == 0) {
    pollfd ready{0, POLLIN, 0};
    if (poll(&ready, 1, 20) <= 0) continue;
    char buffer[512];
    const ssize_t got = read(0, buffer, sizeof buffer);
    if (got <= 0) return;
    unread.append(buffer, static_cast<std::size_t>(got));
    for (std::size_t end = 0; (end = unread.find('\n')) != std::string::npos;) {
      on_line(unread.substr(0, end));
      unread.erase(0, end + 1);
    }
  }
}

}  // namespace rookery::faults
