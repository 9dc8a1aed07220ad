// KafkaBroker: a real Apache Kafka for a test, on ports of its own, gone with the test; and
// KafkaPeek, which looks into brokers of any kind with librdkafka alone.
//
//   std::string why;
//   const auto broker = KafkaBroker::Start({.acl = true}, &why);  // null: why says what is missing
//   KafkaPeek peek(broker->plain());
//   peek.CreateTopic("payments", 12);
//   broker->Restart();                                            // by SIGKILL
//
// Needs Java and what deploy/kafka/fetch has brought.
#ifndef ROOKERY_TESTS_SUPPORT_KAFKA_BROKER_H_
#define ROOKERY_TESTS_SUPPORT_KAFKA_BROKER_H_

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rookery::testing {

struct KafkaBrokerOptions {
  bool acl = false;
  // name, password; for the listeners with SASL.
  std::vector<std::pair<std::string, std::string>> users = {};
  // Lines of server.properties.
  std::vector<std::string> settings = {};
  // Given the port that it listens on, the one that clients are to be told: of a proxy before it.
  std::function<int(int port)> front = {};
};

// Not thread-safe. The broker ends with the thread that started it, if not before.
class KafkaBroker final {
 public:
  // Why none can be started here; empty if one can.
  [[nodiscard]] static std::string Missing();
  // Null, and the reason, if it cannot be started.
  [[nodiscard]] static std::unique_ptr<KafkaBroker> Start(const KafkaBrokerOptions& options,
                                                          std::string* why);
  explicit KafkaBroker(KafkaBrokerOptions options);  // use Start
  ~KafkaBroker();
  KafkaBroker(const KafkaBroker&) = delete;
  KafkaBroker& operator=(const KafkaBroker&) = delete;

  // Addresses: without anything, with SASL in the clear, within TLS, and with SASL within TLS. The
  // certificate is for the name "localhost".
  [[nodiscard]] std::string plain() const { return At("127.0.0.1", 0); }
  [[nodiscard]] std::string sasl() const { return At("127.0.0.1", 2); }
  [[nodiscard]] std::string tls() const { return At("localhost", 3); }
  [[nodiscard]] std::string sasl_tls() const { return At("localhost", 4); }
  [[nodiscard]] int tls_port() const { return ports_[3]; }
  [[nodiscard]] std::string ca_file() const { return (folder_ / "tls" / "ca.pem").string(); }
  [[nodiscard]] std::string log() const { return (folder_ / "log").string(); }

  void Kill();  // SIGKILL
  // Starts it again with what it has stored; false if it does not come up.
  [[nodiscard]] bool Run();
  [[nodiscard]] bool Restart() {
    Kill();
    return Run();
  }
  void Pause();  // SIGSTOP
  void Continue();

 private:
  [[nodiscard]] std::string At(const char* host, int which) const {
    return std::string(host) + ":" + std::to_string(ports_[which]);
  }

  const KafkaBrokerOptions options_;
  int front_ = 0;
  int ports_[5] = {};  // plain, controller, SASL, TLS, SASL within TLS
  std::filesystem::path folder_;
  pid_t process_ = -1;
};

struct PeekedRecord {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::string key;
  std::string value;
  std::map<std::string, std::string> headers;
};

// Each call is a client of its own, and gives up (std::runtime_error) after `patience_ms`.
class KafkaPeek final {
 public:
  using Settings = std::map<std::string, std::string>;
  // `settings`: more of librdkafka's.
  explicit KafkaPeek(std::string brokers, Settings settings = {}, int patience_ms = 30'000);

  // By the Admin API, which the mock does not have. One that is there already is left as it is.
  void CreateTopic(const std::string& topic, int partitions) const;
  void DeleteTopic(const std::string& topic) const;
  [[nodiscard]] bool HasTopic(const std::string& topic) const;
  // What `user` may do with everything: `allowed` false forbids what was allowed. Of topics,
  // groups and transactional ids.
  void Authorize(const std::string& user, bool allowed) const;

  // One past the last record of each partition, and their sum.
  [[nodiscard]] std::vector<std::int64_t> Ends(const std::string& topic) const;
  [[nodiscard]] std::int64_t Records(const std::string& topic) const;
  // What the group has committed, for each partition; -1001 where it has nothing.
  [[nodiscard]] std::vector<std::int64_t> Committed(const std::string& group,
                                                    const std::string& topic) const;
  // How many records the group has not settled yet.
  [[nodiscard]] std::int64_t Lag(const std::string& group, const std::string& topic) const;
  // All records, up to the end at the time of the call.
  [[nodiscard]] std::vector<PeekedRecord> Read(const std::string& topic,
                                               bool committed_only = false) const;
  // Stores records one after the other and waits for all of them; the partition is the key's.
  void Write(const std::string& topic,
             const std::vector<std::pair<std::string, std::string>>& records) const;
  // The same in a transaction, which then is committed or aborted.
  void WriteTransaction(const std::string& topic, const std::string& transactional_id,
                        const std::vector<std::pair<std::string, std::string>>& records,
                        bool commit) const;

 private:
  [[nodiscard]] int Partitions(const std::string& topic) const;

  const std::string brokers_;
  const Settings settings_;
  const int patience_ms_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_SUPPORT_KAFKA_BROKER_H_
