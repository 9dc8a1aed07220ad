// NatsBroker: a nats-server for a test, on a port of its own, gone with the test.
//
//   const auto broker = NatsBroker::Start("max_payload: 8MB");   // null if none is installed
//   app.Listen(Nats{.url = broker->url()});
//   broker->Restart();
#ifndef ROOKERY_TESTS_SUPPORT_NATS_BROKER_H_
#define ROOKERY_TESTS_SUPPORT_NATS_BROKER_H_

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace rookery::testing {

class NatsBroker final {
 public:
  // With streams on disk, in its own folder: JetStream.
  static constexpr const char* kJetStream = "jetstream { store_dir: \"$FOLDER/js\" }";
  // `config`: more lines of its configuration file; "$FOLDER" in it is its folder. Null, if it
  // cannot be started.
  [[nodiscard]] static std::unique_ptr<NatsBroker> Start(const std::string& config = "") {
    for (int attempt = 0; attempt < 5; ++attempt) {
      auto broker = std::make_unique<NatsBroker>(config);
      if (!broker->folder_.empty() && broker->Run()) return broker;
    }
    return nullptr;
  }

  explicit NatsBroker(const std::string& config) : port_(FreePort()) {
    std::string name = (std::filesystem::temp_directory_path() / "rookery-nats-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) return;
    folder_ = name;
    std::string lines = config;
    const std::string here = "$FOLDER";
    if (const std::size_t at = lines.find(here); at != std::string::npos) {
      lines.replace(at, here.size(), folder_.string());
    }
    std::ofstream(folder_ / "nats.conf") << "listen: \"127.0.0.1:" << port_ << "\"\n"
                                         << lines << "\n";
  }
  ~NatsBroker() {
    Stop();
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  NatsBroker(const NatsBroker&) = delete;
  NatsBroker& operator=(const NatsBroker&) = delete;

  [[nodiscard]] std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  void Stop() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    waitpid(std::exchange(process_, -1), nullptr, 0);
  }
  // Other lines in place of those it was started with, while it runs.
  void Reconfigure(const std::string& config) {
    std::ofstream(folder_ / "nats.conf") << "listen: \"127.0.0.1:" << port_ << "\"\n"
                                         << config << "\n";
    kill(process_, SIGHUP);
  }
  // Neither reads nor writes, until it continues.
  void Pause() { kill(process_, SIGSTOP); }
  void Continue() { kill(process_, SIGCONT); }
  // Starts it, and waits until it listens. False if it does not. It ends with the thread that calls
  // this, if not before.
  bool Run() {
    process_ = fork();
    if (process_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int log = open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(log, 1);
      dup2(log, 2);
      const std::string file = folder_ / "nats.conf";
      execlp("nats-server", "nats-server", "-c", file.c_str(), nullptr);
      // Where Debian has it, which is not in everybody's PATH.
      execl("/usr/sbin/nats-server", "nats-server", "-c", file.c_str(), nullptr);
      _exit(127);
    }
    for (int i = 0; i < 500; ++i) {
      if (Listens()) return true;
      if (waitpid(process_, nullptr, WNOHANG) == process_) {
        process_ = -1;
        return false;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    Stop();
    return false;
  }
  void Restart() {
    Stop();
    for (int i = 0; i < 50 && !Run(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

 private:
  static sockaddr_in Address(int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }
  static int FreePort() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Address(0);
    socklen_t size = sizeof address;
    bind(fd, reinterpret_cast<sockaddr*>(&address), size);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    close(fd);
    return ntohs(address.sin_port);
  }
  [[nodiscard]] bool Listens() const {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Address(port_);
    const bool listens =
        connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    return listens;
  }

  const int port_;
  std::filesystem::path folder_;
  pid_t process_ = -1;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_SUPPORT_NATS_BROKER_H_
