// Run() and signals, in real processes: each test forks, the child runs an application, the parent
// sends signals to that one process and looks at how it ended.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>

#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "app/fake_transport.h"
#include "gtest/gtest.h"
#include "rookery/app/application.h"

namespace rookery::testing {
namespace {

// A forked child that talks to its parent in lines. Killed by its own pid if it outlives the test.
class Child final {
 public:
  // `run` gets the fd to write to; its result is the exit code.
  explicit Child(const std::function<int(int fd)>& run) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      _exit(run(ends[1]));
    }
    close(ends[1]);
    fd_ = ends[0];
  }
  ~Child() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(fd_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The next line, or "" when the child has closed its end.
  std::string Read() {
    std::string line;
    for (char c = 0; read(fd_, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
  void Signal(int signal) const { kill(pid_, signal); }
  // "exit 0" or "signal 15".
  std::string Wait() {
    int status = 0;
    if (waitpid(pid_, &status, 0) != pid_) return "lost";
    pid_ = -1;
    return WIFEXITED(status) ? "exit " + std::to_string(WEXITSTATUS(status))
                             : "signal " + std::to_string(WTERMSIG(status));
  }

 private:
  pid_t pid_ = -1;
  int fd_ = -1;
};

int out = -1;  // the child's end
void Say(const std::string& line) {
  const std::string text = line + "\n";
  [[maybe_unused]] const ssize_t written = write(out, text.data(), text.size());
}

struct Reporter {
  void OnApplicationBootstrap() { Say("up"); }
  void OnModuleDestroy() { Say("destroy"); }
  void OnApplicationShutdown(ShutdownSignal signal) {
    Say("shutdown " + std::string(signal.name()) + " " + std::to_string(signal.number()));
  }
};
struct ReporterModule {
  static void Define(ModuleBuilder& module) { module.Provide<Reporter>(); }
};

ApplicationOptions Quiet() {
  ApplicationOptions options;
  options.loop_threads = 1;
  options.log.sink = std::make_shared<CapturingSink>();
  return options;
}

// Tells the parent when Run listens to signals: a transport starts after that.
struct UpTransport final : ServerTransport {
  [[nodiscard]] std::string_view name() const noexcept override { return "up"; }
  [[nodiscard]] absl::Status Start(TransportHost&) override {
    Say("listening");
    return absl::OkStatus();
  }
  [[nodiscard]] std::string endpoint() const override { return "up"; }
  void StopIntake() noexcept override {}
  std::size_t Drain(Deadline) noexcept override { return 0; }
  void Stop() noexcept override {}
};
struct Up {};
std::unique_ptr<ServerTransport> MakeServerTransport(const Up&) {
  return std::make_unique<UpTransport>();
}

TEST(Signals, TerminateDrainsRunsTheHooksAndExitsWithZero) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Child child([](int fd) {
      out = fd;
      auto app = Application::Create<ReporterModule>(Quiet());
      app.Listen(Up{});
      return app.Run();
    });
    EXPECT_EQ(child.Read(), "up");
    EXPECT_EQ(child.Read(), "listening");
    child.Signal(signal);
    EXPECT_EQ(child.Read(), "destroy");
    EXPECT_EQ(child.Read(), signal == SIGTERM ? "shutdown SIGTERM 15" : "shutdown SIGINT 2");
    EXPECT_EQ(child.Wait(), "exit 0");
  }
}

struct Stuck {
  void OnModuleDestroy() {
    Say("stuck");
    std::this_thread::sleep_for(std::chrono::minutes(5));
  }
};
struct StuckModule {
  static void Define(ModuleBuilder& module) { module.Provide<Stuck>(); }
};

TEST(Signals, ASecondSignalEndsTheProcessAtOnce) {
  Child child([](int fd) {
    out = fd;
    auto app = Application::Create<StuckModule>(Quiet());
    app.Listen(Up{});
    return app.Run();
  });
  EXPECT_EQ(child.Read(), "listening");
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Read(), "stuck");
  child.Signal(SIGINT);
  EXPECT_EQ(child.Wait(), "exit 130");
}

struct StopsItself {
  void OnModuleDestroy() {
    Say("destroying");
    // The parent's signal comes now, the first one: it must not cut this short.
    while (signalled == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    Say("destroyed");
  }
  static void OnContinue(int) { signalled = 1; }
  static inline std::atomic<int> signalled = 0;
};

TEST(Signals, AFirstSignalDuringAShutdownOfItsOwnIsNoSecond) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<StopsItself>(); }
  };
  Child child([](int fd) {
    out = fd;
    struct sigaction action = {};
    action.sa_handler = &StopsItself::OnContinue;
    sigaction(SIGUSR1, &action, nullptr);
    auto app = Application::Create<AppModule>(Quiet());
    app.Start();
    app.RequestStop();
    return app.Run();
  });
  EXPECT_EQ(child.Read(), "destroying");
  child.Signal(SIGTERM);
  child.Signal(SIGUSR1);
  EXPECT_EQ(child.Read(), "destroyed");
  EXPECT_EQ(child.Wait(), "exit 0");
}

void OnUser(int) { Say("user handler"); }

TEST(Signals, OthersAreLeftAlone) {
  Child child([](int fd) {
    out = fd;
    struct sigaction action = {};
    action.sa_handler = &OnUser;
    sigaction(SIGUSR1, &action, nullptr);
    auto app = Application::Create<ReporterModule>(Quiet());
    app.Listen(Up{});
    return app.Run();
  });
  EXPECT_EQ(child.Read(), "up");
  EXPECT_EQ(child.Read(), "listening");
  child.Signal(SIGUSR1);
  EXPECT_EQ(child.Read(), "user handler");
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Read(), "destroy");
  EXPECT_EQ(child.Read(), "shutdown SIGTERM 15");
  EXPECT_EQ(child.Wait(), "exit 0");
}

TEST(Signals, WhatWasInstalledBeforeIsPutBack) {
  Child child([](int fd) {
    out = fd;
    struct sigaction action = {};
    action.sa_handler = &OnUser;
    sigaction(SIGTERM, &action, nullptr);
    {
      auto app = Application::Create<ReporterModule>(Quiet());
      app.Listen(Up{});
      if (app.Run() != 0) return 1;
    }
    raise(SIGTERM);
    return 0;
  });
  EXPECT_EQ(child.Read(), "up");
  EXPECT_EQ(child.Read(), "listening");
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Read(), "destroy");
  EXPECT_EQ(child.Read(), "shutdown SIGTERM 15");
  EXPECT_EQ(child.Read(), "user handler");
  EXPECT_EQ(child.Wait(), "exit 0");
}

// Nest: enable-shutdown-hook.spec.ts, "specific signals" and "ignored signals".
TEST(Signals, OnlyThoseChosenCount) {
  const auto serve = [](int fd) {
    out = fd;
    ApplicationOptions options = Quiet();
    options.signals = {SIGUSR2};
    auto app = Application::Create<ReporterModule>(std::move(options));
    app.Listen(Up{});
    return app.Run();
  };
  Child chosen(serve);
  EXPECT_EQ(chosen.Read(), "up");
  EXPECT_EQ(chosen.Read(), "listening");
  chosen.Signal(SIGUSR2);
  EXPECT_EQ(chosen.Read(), "destroy");
  EXPECT_EQ(chosen.Read(), "shutdown SIGUSR2 12");
  EXPECT_EQ(chosen.Wait(), "exit 0");

  Child other(serve);
  EXPECT_EQ(other.Read(), "up");
  EXPECT_EQ(other.Read(), "listening");
  other.Signal(SIGTERM);
  EXPECT_EQ(other.Wait(), "signal 15");  // the default: nobody asked for it
}

TEST(Signals, OneThatCannotBeHandledIsSaid) {
  const auto log = std::make_shared<CapturingSink>();
  ApplicationOptions options = Quiet();
  options.log.sink = log;
  options.signals = {SIGKILL};
  auto app = Application::Create<ReporterModule>(std::move(options));
  out = open("/dev/null", O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(app.Run(), 1);
  EXPECT_TRUE(log->Contains("ApplicationOptions::signals: signal 9 cannot be handled"));
  close(out);
}

TEST(Signals, DuringTheStartStopsAfterIt) {
  struct SlowStart {
    void OnModuleInit() {
      Say("starting");
      // Until the signal has come: the parent closes the loop by sending it.
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    void OnApplicationShutdown(ShutdownSignal signal) {
      Say("ended " + std::string(signal.name()));
    }
  };
  struct SlowModule {
    static void Define(ModuleBuilder& module) { module.Provide<SlowStart>(); }
  };
  Child child([](int fd) {
    out = fd;
    auto app = Application::Create<SlowModule>(Quiet());
    return app.Run();
  });
  EXPECT_EQ(child.Read(), "starting");
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Read(), "ended SIGTERM");
  EXPECT_EQ(child.Wait(), "exit 0");
}

}  // namespace
}  // namespace rookery::testing
