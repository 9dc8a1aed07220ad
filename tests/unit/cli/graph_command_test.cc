// `rookery graph`, with files and with programs that behave and that do not.
#include "graph_command.h"

#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "command.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/app/graph.h"

namespace rookery::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Two modules; the second one's controller asks for a store that took long.
ApplicationGraph Shop() {
  ApplicationGraph graph;
  graph.name = "shop";
  graph.root = 1;
  graph.modules.resize(2);
  graph.modules[0].name = "StoreModule";
  graph.modules[0].exports = {"Store"};
  graph.modules[1].name = "AppModule";
  graph.modules[1].distance = 1;
  graph.modules[1].imports = {0};
  graph.modules[1].enhancers = {{EnhancerKind::kGuard, "AuthGuard"}};
  graph.providers.resize(2);
  graph.providers[0].name = "Store";
  graph.providers[0].type = "shop::SqlStore";
  graph.providers[0].module = 0;
  graph.providers[0].role = "provider";
  graph.providers[0].kind = "factory";
  graph.providers[0].where = "store.cc:12";
  graph.providers[0].took = std::chrono::microseconds(1'500);
  graph.providers[0].hooks = {{"OnModuleInit", std::chrono::milliseconds(20)},
                              {"OnModuleDestroy", std::nullopt}};
  graph.providers[1].name = "Desk";
  graph.providers[1].type = "shop::Desk";
  graph.providers[1].module = 1;
  graph.providers[1].role = "controller";
  graph.providers[1].kind = "class";
  graph.providers[1].scope = Scope::kRequest;
  graph.providers[1].dependencies = {{0, "Store", "reference", false, {0}}};
  graph.controllers = {{1, {{"/shop.v1.Orders/Place", MethodKind::kUnary}}, {}}};
  return graph;
}

class GraphCommand : public ::testing::Test {
 protected:
  GraphCommand() {
    folder_ = (std::filesystem::temp_directory_path() / "rookery_cli_XXXXXX").string();
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  ~GraphCommand() override { std::filesystem::remove_all(folder_); }

  std::string File(const std::string& name, const std::string& text) {
    const std::string file = folder_ + "/" + name;
    std::ofstream(file) << text;
    return file;
  }
  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "graph");
    out_.str("");
    err_.str("");
    return cli::Run(arguments, out_, err_);
  }
  // A program that is a line of shell.
  int RunShell(const std::string& line, std::vector<std::string> options = {}) {
    for (const char* word : {"--", "/bin/sh", "-c"}) options.emplace_back(word);
    options.push_back(line);
    return Run(std::move(options));
  }

  std::string folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(GraphCommand, WhatIsReadIsWhatWasWritten) {
  const std::string json = Shop().ToJson();
  const absl::StatusOr<ApplicationGraph> read = ApplicationGraph::FromJson(json);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ToJson(), json);
  EXPECT_EQ(read->ToMermaid(), Shop().ToMermaid());
}

TEST_F(GraphCommand, RendersAFile) {
  const std::string file = File("shop.json", Shop().ToJson());
  EXPECT_EQ(Run({file}), cli::kDone) << err_.str();
  EXPECT_EQ(out_.str(), Shop().ToMermaid());
  EXPECT_EQ(Run({"--format", "dot", file}), cli::kDone);
  EXPECT_EQ(out_.str(), Shop().ToDot());
  EXPECT_EQ(Run({file, "--format=json"}), cli::kDone);
  EXPECT_EQ(out_.str(), Shop().ToJson());
  EXPECT_EQ(Run({file, "--module=StoreModule"}), cli::kDone);
  EXPECT_EQ(out_.str(), Shop().ToMermaid("StoreModule"));
}

TEST_F(GraphCommand, TellsWhatTookLongFirst) {
  const std::string file = File("shop.json", Shop().ToJson());
  EXPECT_EQ(Run({file, "--format", "times"}), cli::kDone);
  EXPECT_EQ(out_.str(),
            "      20.000 ms  OnModuleInit of Store (StoreModule)\n"
            "       1.500 ms  Store (StoreModule)\n");
}

TEST_F(GraphCommand, WritesAFile) {
  const std::string file = File("shop.json", Shop().ToJson());
  EXPECT_EQ(Run({file, "--output", folder_ + "/shop.mmd"}), cli::kDone);
  EXPECT_EQ(out_.str(), "");
  std::ifstream in(folder_ + "/shop.mmd");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), Shop().ToMermaid());
  EXPECT_EQ(Run({file, "--output", folder_ + "/none/shop.mmd"}), cli::kFailed);
  EXPECT_THAT(err_.str(), HasSubstr("/none/shop.mmd cannot be written"));
}

TEST_F(GraphCommand, SaysWhatIsWrongWithAFileAndWhere) {
  EXPECT_EQ(Run({folder_ + "/none.json"}), cli::kFailed);
  EXPECT_THAT(err_.str(), HasSubstr("none.json cannot be read: No such file or directory"));

  const auto fault = [&](const std::string& from, const std::string& to) {
    std::string json = Shop().ToJson();
    const std::size_t at = json.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    json.replace(at, from.size(), to);
    EXPECT_EQ(Run({File("bad.json", json)}), cli::kFailed);
    EXPECT_EQ(out_.str(), "");
    return err_.str();
  };
  EXPECT_THAT(fault("{", ""), HasSubstr("bad.json: this is not the JSON of a graph: "));
  EXPECT_THAT(fault("\"version\":1", "\"version\":7"),
              HasSubstr("version: is 7, and this program knows 1"));
  EXPECT_THAT(fault("\"scope\":\"request\"", "\"scope\":\"forever\""),
              HasSubstr("providers[1].scope: no scope is called \"forever\""));
  EXPECT_THAT(fault("\"imports\":[0]", "\"imports\":[2]"),
              HasSubstr("modules[1].imports[0]: is 2, and there are only 2"));
  EXPECT_THAT(fault("\"imports\":[0]", "\"imports\":[-1]"),
              HasSubstr("modules[1].imports[0]: is not a number from 0 up"));
  EXPECT_THAT(fault("\"imports\":[0]", "\"imports\":\"x\""),
              HasSubstr("modules[1].imports: is not a list"));
  EXPECT_THAT(fault("\"targets\":[0]", "\"targets\":[1e300]"),
              HasSubstr("providers[1].dependencies[0].targets[0]: is "));
  EXPECT_THAT(fault("\"global\":false,", ""), HasSubstr("modules[0].global: is missing"));
  EXPECT_THAT(fault("\"name\":\"OnModuleInit\"", "\"name\":\"OnLunch\""),
              HasSubstr("providers[0].hooks[0].name: no name is called \"OnLunch\""));
}

TEST_F(GraphCommand, SaysWhichModulesThereAre) {
  EXPECT_EQ(Run({File("shop.json", Shop().ToJson()), "--module", "Stroe"}), cli::kFailed);
  EXPECT_EQ(err_.str(),
            "rookery graph: no module is called \"Stroe\"; there are StoreModule, AppModule\n");
}

TEST_F(GraphCommand, SaysWhatIsWrongWithItsArguments) {
  const auto fault = [&](std::vector<std::string> arguments) {
    EXPECT_EQ(Run(std::move(arguments)), cli::kWrongUse);
    return err_.str();
  };
  EXPECT_EQ(fault({}),
            "rookery graph: give it a file, or -- and a program; see `rookery graph --help`\n");
  EXPECT_THAT(fault({"--"}), HasSubstr("-- is followed by no program"));
  EXPECT_THAT(fault({"a.json", "--", "b"}), HasSubstr("give it a file, or -- and a program"));
  EXPECT_THAT(fault({"a.json", "b.json"}), HasSubstr("one file at a time, and not b.json"));
  EXPECT_THAT(fault({"a.json", "--format"}), HasSubstr("--format is followed by nothing"));
  EXPECT_THAT(fault({"a.json", "--format", "svg"}), HasSubstr("no format is called \"svg\""));
  EXPECT_THAT(fault({"a.json", "--depth", "2"}), HasSubstr("there is no option --depth"));
  for (const char* bad : {"0", "-1", "nan", "soon", "1e9"}) {
    EXPECT_THAT(fault({"a.json", "--timeout", bad}), HasSubstr("--timeout is a number of seconds"));
  }
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(cli::Run({"draw"}, out, err), cli::kWrongUse);
  EXPECT_EQ(err.str(), "rookery: there is no command \"draw\"; see `rookery help`\n");
  EXPECT_EQ(cli::Run({"graph", "--help"}, out, err), cli::kDone);
  EXPECT_THAT(out.str(), StartsWith("usage: rookery graph"));
}

TEST_F(GraphCommand, StartsAProgramAndEndsIt) {
  const std::string json = File("shop.json", Shop().ToJson());
  // As an application does: the file is there at once as a whole, and the program goes on.
  EXPECT_EQ(RunShell("trap 'echo told > " + folder_ + "/told; exit 0' TERM; cp " + json +
                     " $ROOKERY_GRAPH.x && mv $ROOKERY_GRAPH.x $ROOKERY_GRAPH && "
                     "while :; do sleep 0.05; done"),
            cli::kDone)
      << err_.str();
  EXPECT_EQ(out_.str(), Shop().ToMermaid());
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/told"));
  // One that ends by itself.
  EXPECT_EQ(RunShell("cp " + json + " $ROOKERY_GRAPH"), cli::kDone) << err_.str();
}

TEST_F(GraphCommand, SaysHowAProgramFailed) {
  EXPECT_EQ(RunShell("exit 3"), cli::kFailed);
  EXPECT_THAT(err_.str(), HasSubstr("/bin/sh ended with status 3 before it said what it is made "
                                    "of: it must be a Rookery application"));
  EXPECT_EQ(RunShell("kill -9 $$"), cli::kFailed);
  EXPECT_THAT(err_.str(), HasSubstr("/bin/sh was killed by signal 9"));
  EXPECT_EQ(RunShell("exec sleep 60", {"--timeout", "0.2"}), cli::kFailed);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("has not initialised within 200 ms"),
                                HasSubstr("--timeout SECONDS")));
  EXPECT_EQ(Run({"--", folder_ + "/no-such-program"}), cli::kFailed);
  EXPECT_THAT(err_.str(), HasSubstr("no-such-program\" cannot be started: No such file"));
  EXPECT_EQ(RunShell("echo '{' > $ROOKERY_GRAPH"), cli::kFailed);
  EXPECT_THAT(err_.str(), HasSubstr("this is not the JSON of a graph"));
}

}  // namespace
}  // namespace rookery::testing
