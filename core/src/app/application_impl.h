// ApplicationImpl: what an Application is made of, and the order in which it comes and goes.
#ifndef ROOKERY_SRC_APP_APPLICATION_IMPL_H_
#define ROOKERY_SRC_APP_APPLICATION_IMPL_H_

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "di/container.h"
#include "module/module_graph.h"
#include "rookery/app/application.h"
#include "rookery/pipeline/compile.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/pipeline/enhancers.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/local_channel.h"
#include "rookery/runtime/loop.h"

namespace rookery::internal {

// Shared by the Application and by nothing else but tasks that ignored their deadline.
class ApplicationImpl final : public TransportHost,
                              public std::enable_shared_from_this<ApplicationImpl> {
 public:
  explicit ApplicationImpl(ApplicationOptions options);
  ~ApplicationImpl() override;

  // Checks and constructs.
  [[nodiscard]] absl::Status Build(const ModuleImport& root, const ApplicationOverrides& overrides);
  [[nodiscard]] absl::Status Init();
  [[nodiscard]] absl::Status Start();
  [[nodiscard]] int Run();
  void RequestStop(ShutdownSignal signal) noexcept;
  void Close(ShutdownSignal signal) noexcept;
  // Destroys all instances, last made first.
  void Teardown() noexcept;

  [[nodiscard]] absl::Status AddTransport(std::unique_ptr<ServerTransport> transport);
  [[nodiscard]] bool initialised() const noexcept { return phase_ >= Phase::kInitialised; }
  [[nodiscard]] GlobalEnhancers& globals() noexcept { return globals_; }
  [[nodiscard]] absl::StatusOr<const std::shared_ptr<void>*> Find(const Token& token);
  // After Init.
  [[nodiscard]] std::shared_ptr<Channel> OpenLocal();
  [[nodiscard]] std::vector<std::string> Endpoints() const;
  [[nodiscard]] StatsSnapshot Stats() const { return stats_->Snapshot(); }
  [[nodiscard]] const Logger& log() const noexcept { return log_; }

  // TransportHost
  [[nodiscard]] const HandlerRegistry& handlers() const override;
  [[nodiscard]] LoopPool& loops() override { return *SharedLoops(); }
  [[nodiscard]] bool ready() const noexcept override {
    return ready_.load(std::memory_order_acquire);
  }

 private:
  enum class Phase { kBuilt, kInitialised, kStarted, kClosing, kClosed };

  [[nodiscard]] std::shared_ptr<LoopPool> SharedLoops();
  [[nodiscard]] std::vector<std::string> CheckOptions() const;
  void AddBuiltins();
  void DescribeControllers(std::vector<std::string>* faults);
  [[nodiscard]] std::vector<BoundController> Bind();
  [[nodiscard]] absl::Status Compile();
  [[nodiscard]] std::vector<std::string> Construct(Deadline deadline);
  // Runs an initialising phase, deepest module first; remembers who got through.
  [[nodiscard]] std::vector<std::string> RunInitHooks(HookPhase phase, Deadline deadline);
  // Runs a phase of the shutdown in exact reverse; logs failures.
  void RunShutdownHooks(HookPhase phase, ShutdownSignal signal, Deadline deadline) noexcept;
  void Shutdown(ShutdownSignal signal) noexcept;
  void StopTransports() noexcept;
  [[nodiscard]] absl::Status Faulty(std::string_view what, const std::vector<std::string>& faults,
                                    absl::StatusCode code) const;
  [[nodiscard]] Container::Describe Describe() const;

  const ApplicationOptions options_;
  Logger log_;
  std::shared_ptr<StatsRegistry> stats_;
  std::mutex loops_mutex_;
  std::shared_ptr<LoopPool> loops_;  // guarded by loops_mutex_
  Container container_;
  ModuleGraph graph_{&container_};
  std::mutex container_mutex_;  // for Find from several threads

  struct Described {
    ModuleGraph::Index module;
    Container::Id id;
    ControllerBuilder builder;
  };
  std::vector<Described> controllers_;
  struct ModuleEnhancers {
    ModuleGraph::Index module;
    GlobalEnhancers enhancers;
  };
  std::vector<ModuleEnhancers> module_enhancers_;
  GlobalEnhancers globals_;
  std::unique_ptr<HandlerRegistry> registry_;
  std::shared_ptr<LocalEndpoint> local_;  // what Client<X>() calls

  std::vector<std::unique_ptr<ServerTransport>> transports_;
  std::size_t started_ = 0;   // how many of them
  std::vector<bool> hooked_;  // by node: OnModuleInit succeeded, so the shutdown hooks are due
  std::atomic<bool> ready_{false};
  bool abandoned_ = false;  // a task that may still touch the instances ignored its deadline

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::mutex init_mutex_;                    // for a first Client() from several threads
  std::atomic<Phase> phase_{Phase::kBuilt};  // kClosing and on: under mutex_
  bool stop_requested_ = false;              // guarded by mutex_
  ShutdownSignal stop_signal_;               // guarded by mutex_
  bool signalled_ = false;                   // guarded by mutex_: the next signal ends the process
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_APP_APPLICATION_IMPL_H_
