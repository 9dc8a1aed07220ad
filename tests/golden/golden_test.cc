// What protoc-gen-rookery writes, byte by byte.
//
// zoo/ holds proto files of every kind, expected/ what is made of them; errors/ holds files that
// are refused, each with the text of the refusal beside it. After a change that is meant, write the
// expectations anew and read the difference:
//
//   ROOKERY_UPDATE_GOLDENS=1 ctest -R golden && git diff tests/golden
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;

// Given by the build.
const fs::path kGolden = ROOKERY_GOLDEN_DIR;
const std::string kProtoDir = ROOKERY_PROTO_DIR;
const std::string kProtoc = ROOKERY_PROTOC_PATH;
const std::string kPlugin = ROOKERY_PLUGIN_PATH;

bool Updating() { return std::getenv("ROOKERY_UPDATE_GOLDENS") != nullptr; }

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteFile(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// An empty directory, removed at the end.
class ScratchDir final {
 public:
  ScratchDir() {
    std::string name = (fs::temp_directory_path() / "rookery-golden-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~ScratchDir() { fs::remove_all(path_); }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct Outcome {
  int code = 0;
  std::string output;  // both streams
};

std::string Quoted(const std::string& text) { return "'" + text + "'"; }

// Runs protoc with the plugin in `root`.
Outcome RunProtoc(const fs::path& root, const std::vector<std::string>& files, const fs::path& out,
                  const std::string& parameters = "") {
  std::string command = "cd " + Quoted(root.string()) + " && " + Quoted(kProtoc) +
                        " --proto_path=. --proto_path=" + Quoted(kProtoDir) +
                        " --plugin=protoc-gen-rookery=" + Quoted(kPlugin) + " --rookery_out=" +
                        Quoted(parameters + (parameters.empty() ? "" : ":") + out.string());
  for (const std::string& file : files) command += " " + Quoted(file);
  command += " 2>&1";
  std::FILE* const pipe = popen(command.c_str(), "r");
  Outcome outcome;
  char buffer[4096];
  std::size_t got = 0;
  while ((got = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0)
    outcome.output.append(buffer, got);
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

std::vector<std::string> FilesBelow(const fs::path& root, const std::string& extension) {
  std::vector<std::string> files;
  if (!fs::exists(root)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file() && entry.path().string().ends_with(extension)) {
      files.push_back(fs::relative(entry.path(), root).string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::map<std::string, std::string> ContentsBelow(const fs::path& root) {
  std::map<std::string, std::string> contents;
  for (const std::string& file : FilesBelow(root, "")) contents[file] = ReadFile(root / file);
  return contents;
}

// The first line that differs, for a message that can be read.
std::string FirstDifference(const std::string& expected, const std::string& actual) {
  std::size_t line = 1;
  std::size_t start = 0;
  const std::size_t common = std::min(expected.size(), actual.size());
  std::size_t at = 0;
  for (; at < common && expected[at] == actual[at]; ++at) {
    if (expected[at] == '\n') {
      ++line;
      start = at + 1;
    }
  }
  const auto rest = [start](const std::string& text) {
    return start >= text.size() ? std::string("(the end)")
                                : text.substr(start, text.find('\n', start) - start);
  };
  return "line " + std::to_string(line) + "\n  expected: " + rest(expected) +
         "\n  now:      " + rest(actual);
}

TEST(Golden, TheZooIsWrittenAsExpected) {
  const std::vector<std::string> protos = FilesBelow(kGolden / "zoo", ".proto");
  ASSERT_GE(protos.size(), 16u);
  const ScratchDir scratch;
  // One call a file, as rookery_add_proto_library() does.
  for (const std::string& proto : protos) {
    const Outcome outcome = RunProtoc(kGolden / "zoo", {proto}, scratch.path());
    ASSERT_EQ(outcome.code, 0) << proto << ": " << outcome.output;
  }
  const std::map<std::string, std::string> actual = ContentsBelow(scratch.path());
  EXPECT_EQ(actual.size(), 2 * protos.size()) << "a .rookery.h and a .rookery.cc for each file";
  if (Updating()) {
    fs::remove_all(kGolden / "expected");
    for (const auto& [file, text] : actual) WriteFile(kGolden / "expected" / file, text);
    GTEST_SKIP() << "wrote " << actual.size() << " files";
  }
  const std::map<std::string, std::string> expected = ContentsBelow(kGolden / "expected");
  for (const auto& [file, text] : expected) {
    const auto found = actual.find(file);
    if (found == actual.end()) {
      ADD_FAILURE() << file << " is expected and was not written";
    } else if (found->second != text) {
      ADD_FAILURE() << file << " differs at " << FirstDifference(text, found->second);
    }
  }
  for (const auto& [file, text] : actual) {
    EXPECT_TRUE(expected.contains(file)) << file << " was written and is not expected";
  }
}

TEST(Golden, TheSameBytesWhateverElseIsInTheCall) {
  const std::vector<std::string> protos = FilesBelow(kGolden / "zoo", ".proto");
  const ScratchDir together;
  const Outcome outcome = RunProtoc(kGolden / "zoo", protos, together.path());
  ASSERT_EQ(outcome.code, 0) << outcome.output;
  const ScratchDir backwards;
  std::vector<std::string> reversed(protos.rbegin(), protos.rend());
  ASSERT_EQ(RunProtoc(kGolden / "zoo", reversed, backwards.path()).code, 0);
  EXPECT_EQ(ContentsBelow(together.path()), ContentsBelow(backwards.path()));
  const ScratchDir alone;
  for (const std::string& proto : protos) {
    ASSERT_EQ(RunProtoc(kGolden / "zoo", {proto}, alone.path()).code, 0);
  }
  EXPECT_EQ(ContentsBelow(together.path()), ContentsBelow(alone.path()));
}

TEST(Golden, NothingTellsWhereItWasMade) {
  const fs::path zoo = kGolden / "zoo";
  const ScratchDir scratch;
  ASSERT_EQ(RunProtoc(zoo, FilesBelow(zoo, ".proto"), scratch.path()).code, 0);
  for (const auto& [file, text] : ContentsBelow(scratch.path())) {
    EXPECT_EQ(text.find(kGolden.string()), std::string::npos) << file;
    EXPECT_EQ(text.find(scratch.path().string()), std::string::npos) << file;
    EXPECT_EQ(text.find("grpc"), std::string::npos) << file << " names a transport";
  }
}

TEST(Golden, FaultsAreToldAsExpected) {
  const std::vector<std::string> protos = FilesBelow(kGolden / "errors", ".proto");
  ASSERT_GE(protos.size(), 8u);
  for (const std::string& proto : protos) {
    const ScratchDir scratch;
    const Outcome outcome = RunProtoc(kGolden / "errors", {proto}, scratch.path());
    EXPECT_NE(outcome.code, 0) << proto << " was taken";
    EXPECT_TRUE(ContentsBelow(scratch.path()).empty()) << proto << ": written in spite of faults";
    const fs::path expected = kGolden / "errors" / fs::path(proto).replace_extension(".txt");
    if (Updating()) {
      WriteFile(expected, outcome.output);
    } else {
      EXPECT_EQ(outcome.output, ReadFile(expected)) << proto;
    }
  }
}

TEST(Golden, FaultsOfAllFilesAreToldAtOnce) {
  const ScratchDir scratch;
  const Outcome outcome =
      RunProtoc(kGolden / "errors", {"event_streams.proto", "patterns.proto"}, scratch.path());
  EXPECT_NE(outcome.code, 0);
  EXPECT_NE(outcome.output.find("\nevent_streams.proto:9:5: "), std::string::npos)
      << outcome.output;
  EXPECT_NE(outcome.output.find("\npatterns.proto:8:5: "), std::string::npos) << outcome.output;
}

TEST(Golden, UnknownParametersAreFaults) {
  const ScratchDir scratch;
  const Outcome outcome =
      RunProtoc(kGolden / "zoo", {"common.proto"}, scratch.path(), "services=false");
  EXPECT_NE(outcome.code, 0);
  EXPECT_EQ(outcome.output,
            "--rookery_out: unknown parameter 'services': protoc-gen-rookery takes none; remove "
            "what stands before the colon of --rookery_out.\n");
  EXPECT_TRUE(ContentsBelow(scratch.path()).empty());
}

}  // namespace
