#include "demo.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "account.h"
#include "context.h"
#include "inventory.h"
#include "orders.h"
#include "payments.h"
#include "rookery/transports/grpc.h"
#include "rookery/transports/inproc.h"
#ifdef SHOP_WITH_NATS
#include "rookery/transports/nats.h"
#endif
#ifdef SHOP_WITH_ZEROMQ
#include "rookery/transports/zeromq.h"
#endif
#ifdef SHOP_WITH_KAFKA
#include "kafka.h"
#endif

extern char** environ;

namespace shop {
namespace {

using Clock = std::chrono::steady_clock;

// A folder for the logs, gone at the end.
class ScratchFolder final {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "rookery-shop-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      std::perror("cannot make a temporary folder");
      std::exit(1);
    }
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] std::string File(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

int CountLines(const std::string& path, const std::vector<std::string>& words) {
  std::ifstream file(path);
  int count = 0;
  for (std::string line; std::getline(file, line);) {
    count += std::all_of(words.begin(), words.end(), [&line](const std::string& word) {
      return line.find(word) != std::string::npos;
    });
  }
  return count;
}

// The number of lines with all of `words`. Logs are written beside the calls: gives them five
// seconds for the first line.
int AwaitLines(const std::string& path, const std::vector<std::string>& words) {
  const auto end = Clock::now() + std::chrono::seconds(5);
  for (;;) {
    const int count = CountLines(path, words);
    if (count > 0 || Clock::now() > end) return count;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// A service in a process of its own. Stopped at the end of its life, whatever happens.
class Process final {
 public:
  Process(std::string name, const std::vector<std::string>& command, const std::string& log)
      : name_(std::move(name)) {
    int out[2];
    if (pipe2(out, O_CLOEXEC) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    if (posix_spawn(&pid_, command[0].c_str(), &actions, nullptr, arguments.data(), environ) != 0) {
      pid_ = -1;
    }
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    if (pid_ > 0) address_ = ReadAddress(out[0]);
    close(out[0]);
  }
  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

  // What became of it after SIGTERM; nullopt if it was still there after ten seconds.
  struct End {
    int exit_code;
    double millis;
    long peak_kib;
  };
  [[nodiscard]] std::optional<End> Terminate() {
    if (pid_ <= 0) return std::nullopt;
    const auto start = Clock::now();
    kill(pid_, SIGTERM);
    while (Clock::now() - start < std::chrono::seconds(10)) {
      int status = 0;
      rusage usage{};
      if (wait4(pid_, &status, WNOHANG, &usage) == pid_) {
        pid_ = -1;
        const std::chrono::duration<double, std::milli> millis = Clock::now() - start;
        return End{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), millis.count(),
                   usage.ru_maxrss};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return std::nullopt;
  }

 private:
  static std::string ReadAddress(int fd) {
    constexpr std::string_view kReady = "READY ";
    std::string line;
    for (char c = 0; read(fd, &c, 1) == 1 && c != '\n';) line += c;
    return line.rfind(kReady, 0) == 0 ? line.substr(kReady.size()) : std::string();
  }

  std::string name_;
  pid_t pid_ = -1;
  std::string address_;
};

bool Started(const Process& process, const ScratchFolder& logs) {
  if (!process.address().empty()) {
    std::printf("  ok   %s, process %d, listens on %s\n", process.name().c_str(), process.pid(),
                process.address().c_str());
    return true;
  }
  std::printf("  FAIL %s did not start; its log says:\n", process.name().c_str());
  std::ifstream log(logs.File(process.name() + ".log"));
  for (std::string line; std::getline(log, line);) std::printf("       %s\n", line.c_str());
  return false;
}

bool Stop(Process& process) {
  const auto end = process.Terminate();
  const bool ok = end && end->exit_code == 0;
  if (end) {
    std::printf(
        "  %s %s left with exit code %d, %.0f ms after SIGTERM; at most %ld MiB of memory\n",
        ok ? "ok  " : "FAIL", process.name().c_str(), end->exit_code, end->millis,
        end->peak_kib / 1024);
  } else {
    std::printf("  FAIL %s did not leave\n", process.name().c_str());
  }
  return ok;
}

int Verdict(bool ok) {
  std::printf("\n%s\n\n", ok ? "All of it was right." : "Something was wrong: see FAIL above.");
  return ok ? 0 : 1;
}

std::optional<std::vector<v1::PlaceOrder>> Read(const std::string& data_file) {
  auto data = ReadOrders(data_file);
  if (data.ok()) return *std::move(data);
  std::fprintf(stderr, "%s\n", data.status().ToString().c_str());
  return std::nullopt;
}

// All three services in one application.
struct ShopModule {
  static void Define(rookery::ModuleBuilder& module) {
    module.Import<InventoryModule>().Import<PaymentsModule>().Import(
        OrdersModule::With(rookery::ClientsModule::Register(
            rookery::Client<v1::InventoryClient>(rookery::InProcess{}),
            rookery::Client<v1::PaymentsClient>(rookery::InProcess{}))));
  }
};

std::shared_ptr<rookery::Channel> ChannelTo(const std::string& address,
                                            [[maybe_unused]] const Carrier& carrier) {
#ifdef SHOP_WITH_NATS
  if (!carrier.nats_url.empty()) return MakeChannel(rookery::Nats{.url = carrier.nats_url});
#endif
#ifdef SHOP_WITH_KAFKA
  if (!carrier.kafka_brokers.empty()) return MakeChannel(KafkaOf(carrier.kafka_brokers));
#endif
#ifdef SHOP_WITH_ZEROMQ
  if (carrier.zeromq) return MakeChannel(rookery::ZeroMq{.address = address});
#endif
  return MakeChannel(rookery::Grpc{.address = address});
}

}  // namespace

int DemoInProcesses(const std::string& program, const std::string& data_file,
                    const Carrier& carrier) {
  const auto data = Read(data_file);
  if (!data) return 1;
  const ScratchFolder folder;
  std::printf("\nThe shop as three processes over %s\n\nThe services start\n",
              !carrier.nats_url.empty()        ? "NATS"
              : !carrier.kafka_brokers.empty() ? "Kafka"
              : carrier.zeromq                 ? "ZeroMQ"
                                               : "gRPC");
  const auto command = [&](std::vector<std::string> words) {
    words.insert(words.begin(), program);
    if (!carrier.nats_url.empty()) words.push_back("--nats=" + carrier.nats_url);
    if (!carrier.kafka_brokers.empty()) words.push_back("--kafka=" + carrier.kafka_brokers);
    if (carrier.zeromq) words.emplace_back("--zeromq");
    return words;
  };
  Process inventory("inventory", command({"inventory"}), folder.File("inventory.log"));
  Process payments("payments", command({"payments"}), folder.File("payments.log"));
  bool ok = Started(inventory, folder) && Started(payments, folder);
  if (!ok) return Verdict(false);
  Process orders(
      "orders",
      command({"orders", "--inventory=" + inventory.address(), "--payments=" + payments.address()}),
      folder.File("orders.log"));
  ok = Started(orders, folder);
  if (!ok) return Verdict(false);
  {
    v1::OrdersClient client(ChannelTo(orders.address(), carrier));
    const Logs logs{[&folder](const std::string& service, const std::vector<std::string>& words) {
      return AwaitLines(folder.File(service + ".log"), words);
    }};
    ok = PlayStory(client, *data, logs);
  }
  std::printf("\nThe services stop\n");
  ok = Stop(orders) && ok;
  ok = Stop(payments) && ok;
  ok = Stop(inventory) && ok;
  return Verdict(ok);
}

int DemoInProcess(const std::string& data_file) {
  const auto data = Read(data_file);
  if (!data) return 1;
  const ScratchFolder folder;
  std::printf("\nThe same modules in one process, without a network\n");
  // One log for all three: their lines say by themselves which service wrote them.
  rookery::ApplicationOptions options = OptionsFor("shop");
  options.log.output = rookery::LogOutput::kFile;
  options.log.file = folder.File("shop.log");
  auto app = rookery::Application::Create<ShopModule>(std::move(options));
  app.Start();
  auto client = app.Client<v1::OrdersClient>();
  const Logs logs{[&folder](const std::string& service, const std::vector<std::string>& words) {
    std::vector<std::string> all = words;
    all.push_back(absl::StrCat("shop.v1.", std::string(1, static_cast<char>(service[0] - 32)),
                               service.substr(1)));
    return AwaitLines(folder.File("shop.log"), all);
  }};
  const bool ok = PlayStory(client, *data, logs);
  app.Close();
  return Verdict(ok);
}

}  // namespace shop
