// TcpFaultProxy: a TCP proxy on 127.0.0.1 that does to connections what networks do.
//
//   TcpFaultProxy proxy(broker->port());
//   app.Listen(Nats{.url = "nats://127.0.0.1:" + std::to_string(proxy.port())});
//   proxy.Set(TcpFaultProxy::kToClient, {.drop = true});   // replies vanish
//   proxy.Heal();
//   proxy.Reset();                                         // RST on all connections
//
// For tests. Bytes that are dropped are gone while the connection stays, as no real network would
// have it: that is how a peer looks that has failed without a word.
#ifndef ROOKERY_TESTS_SUPPORT_TCP_FAULT_PROXY_H_
#define ROOKERY_TESTS_SUPPORT_TCP_FAULT_PROXY_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace rookery::testing {

// One thread carries all connections. All methods may be called from any thread; what is set holds
// for present connections and for those to come, from the next byte on.
class TcpFaultProxy final {
 public:
  enum Direction : std::size_t { kToServer = 0, kToClient = 1 };

  struct Faults {
    // Each piece waits so long before it goes on.
    std::chrono::milliseconds delay{0};
    // What comes is thrown away.
    bool drop = false;
    // What comes is not read, until the sender's buffers are full, and it must wait.
    bool stop_reading = false;
    // Written in pieces of so many bytes at most; zero: as they come.
    std::size_t slice = 0;
    // Of so many bytes one is changed; zero: none.
    std::size_t corrupt_every = 0;
    // The connection is reset after so many more bytes were read; zero: never. Counts for all
    // together.
    std::size_t reset_after = 0;
    // So many more bytes are delivered, then the connection ends: in the middle of a message, say.
    // Zero: never. Counts for all together.
    std::size_t cut_after = 0;
  };

  // Carries connections to 127.0.0.1:`server_port`. Aborts if there is no port to listen on.
  explicit TcpFaultProxy(int server_port);
  ~TcpFaultProxy();
  TcpFaultProxy(const TcpFaultProxy&) = delete;
  TcpFaultProxy& operator=(const TcpFaultProxy&) = delete;

  // Where clients connect.
  [[nodiscard]] int port() const noexcept { return port_; }

  void Set(Direction direction, const Faults& faults);
  // No faults in either direction; new connections are taken.
  void Heal();
  // RST on all present connections, both sides.
  void Reset();
  // New connections are closed at once.
  void Refuse(bool refuse);

  // Connections taken since the beginning, and bytes that were delivered.
  [[nodiscard]] std::size_t accepted() const;
  [[nodiscard]] std::uint64_t delivered(Direction direction) const;

 private:
  struct Connection;
  struct Pipe;

  void Run();
  void Accept();
  // Moves what can be moved; false if the connection is over.
  bool Carry(Connection& connection);
  bool Read(Connection& connection, Direction direction);
  bool Write(Connection& connection, Direction direction);
  void Wake();

  const int server_port_;
  int port_ = 0;
  int listener_ = -1;
  int wake_ = -1;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::array<Faults, 2> faults_;
  std::array<std::uint64_t, 2> delivered_{};
  std::size_t accepted_ = 0;
  std::size_t seen_ = 0;  // bytes, for corrupt_every
  bool refuse_ = false;
  bool reset_ = false;
  bool stop_ = false;
  // The thread's.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::thread thread_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_SUPPORT_TCP_FAULT_PROXY_H_
