#include "directory.h"

#include <map>
#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace rookery::internal {
namespace {

struct Directory {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<LocalEndpoint>, std::less<>> names;
};

// Process-wide, because that is what a name within the process means. Never destroyed: an
// application may be a static object, too.
Directory& TheDirectory() {
  static Directory* const directory = std::make_unique<Directory>().release();
  return *directory;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Publication>> Publication::Make(
    const std::string& name, std::shared_ptr<LocalEndpoint> endpoint) {
  Directory& directory = TheDirectory();
  {
    const std::scoped_lock lock(directory.mutex);
    if (!directory.names.emplace(name, std::move(endpoint)).second) {
      return absl::AlreadyExistsError(
          absl::StrCat("an application of this process listens as InProcess{.name = \"", name,
                       "\"} already; give one of them another name"));
    }
  }
  return std::make_unique<Publication>(name, Key());
}

Publication::Publication(std::string name, Key /*key*/) : name_(std::move(name)) {}

Publication::~Publication() {
  Directory& directory = TheDirectory();
  const std::scoped_lock lock(directory.mutex);
  directory.names.erase(name_);
}

std::shared_ptr<LocalEndpoint> FindPublished(const std::string& name) {
  Directory& directory = TheDirectory();
  const std::scoped_lock lock(directory.mutex);
  const auto found = directory.names.find(name);
  return found == directory.names.end() ? nullptr : found->second;
}

}  // namespace rookery::internal
