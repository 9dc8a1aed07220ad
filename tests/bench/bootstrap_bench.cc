// What it costs to make an application of 10 modules, each with a controller and a service of its
// own, inside a process: the graph is read, checked and built, pipelines are compiled, hooks run.
//
// Cases: 5 endpoints a controller, and then ever more, against the same objects wired by hand into
// a map of functions, without checks, scopes or hooks. "growth": microseconds per endpoint, against
// our own 50 endpoints; a ratio of 1 is linear.
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench.pb.h"
#include "micro.h"
#include "rookery/app/application.h"
#include "rookery/module/module_builder.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/runtime/task.h"

namespace rookery::bench {
namespace {

constexpr int kModules = 10;

// What the controllers register; set before an application is made.
int endpoints_per_controller = 5;

// "module3.17", made once: the patterns of users are literals.
std::string_view Pattern(int module, int endpoint) {
  static std::vector<std::string> patterns[kModules];
  std::vector<std::string>& names = patterns[module];
  while (std::ssize(names) <= endpoint) {
    names.push_back("module" + std::to_string(module) + "." + std::to_string(names.size()));
  }
  return names[static_cast<std::size_t>(endpoint)];
}

template <int kModule>
class Repository final {
 public:
  std::string_view Load() const { return "text"; }
};

template <int kModule>
class Controller final {
 public:
  explicit Controller(Repository<kModule>& repository) : repository_(repository) {}

  Task<EchoReply> Say(CallContext& /*call*/, const EchoRequest& /*request*/) {
    EchoReply reply;
    reply.set_text(std::string(repository_.Load()));
    co_return reply;
  }

  static void Configure(ControllerBuilder& controller) {
    for (int i = 0; i < endpoints_per_controller; ++i) {
      controller.Message(Pattern(kModule, i), &Controller::Say);
    }
  }

 private:
  Repository<kModule>& repository_;
};

template <int kModule>
struct Module {
  static void Define(ModuleBuilder& module) {
    module.Controller<Controller<kModule>>()
        .template Provide<Repository<kModule>>()
        .template Export<Repository<kModule>>();
  }
};

template <int... kModule>
void ImportAll(ModuleBuilder& module, std::integer_sequence<int, kModule...>) {
  (module.Import<Module<kModule>>(), ...);
}

struct AppModule {
  static void Define(ModuleBuilder& module) {
    ImportAll(module, std::make_integer_sequence<int, kModules>());
  }
};

void MakeApplications(int n) {
  for (int i = 0; i < n; ++i) {
    Application app = Application::Create<AppModule>();
    app.Init();
    Keep(app);
  }
}

// By hand: what an application without a framework would write, were it one file.
class HandWired final {
 public:
  HandWired() { Wire(std::make_integer_sequence<int, kModules>()); }

 private:
  struct Part {
    virtual ~Part() = default;
  };
  template <int kModule>
  struct PartOf final : Part {
    Repository<kModule> repository;
    Controller<kModule> controller{repository};
  };

  template <int... kModule>
  void Wire(std::integer_sequence<int, kModule...>) {
    (WireOne<kModule>(), ...);
  }
  template <int kModule>
  void WireOne() {
    auto part = std::make_unique<PartOf<kModule>>();
    Controller<kModule>* const controller = &part->controller;
    for (int i = 0; i < endpoints_per_controller; ++i) {
      handlers_.emplace(Pattern(kModule, i),
                        [controller](CallContext& call, const EchoRequest& request) {
                          return controller->Say(call, request);
                        });
    }
    parts_.push_back(std::move(part));
  }

  std::vector<std::unique_ptr<Part>> parts_;
  std::unordered_map<std::string, std::function<Task<EchoReply>(CallContext&, const EchoRequest&)>>
      handlers_;
};

int Run(int argc, char** argv) {
  Micro micro(argc, argv);
  for (const int endpoints : {50, 500, 1'000, 10'000}) {
    const auto ours = [endpoints](int n) {
      endpoints_per_controller = endpoints / kModules;
      MakeApplications(n);
    };
    const auto by_hand = [endpoints](int n) {
      endpoints_per_controller = endpoints / kModules;
      for (int i = 0; i < n; ++i) {
        const HandWired app;
        Keep(app);
      }
    };
    micro.Compare(std::to_string(endpoints) + " endpoints", "us", ours, by_hand);
  }
  for (const int endpoints : {500, 1'000, 10'000}) {
    const auto ours = [endpoints](int n) {
      endpoints_per_controller = endpoints / kModules;
      MakeApplications(n);
    };
    const auto small = [endpoints](int n) {
      endpoints_per_controller = 5;
      // As many endpoints in all, so that both samples are divided by the same number.
      MakeApplications(n * (endpoints / 50));
    };
    micro.Compare("growth " + std::to_string(endpoints), "us/endpoint", ours, small, endpoints);
  }
  return micro.Print();
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) { return rookery::bench::Run(argc, argv); }
