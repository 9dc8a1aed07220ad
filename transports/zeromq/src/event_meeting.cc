#include "event_meeting.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rpc/random.h"

namespace rookery::zeromq_adapter {
namespace {

constexpr char kPublisherEnding[] = ".publisher";
constexpr char kSubscriberEnding[] = ".subscriber";
constexpr char kSocketEnding[] = ".ipc";
constexpr char kHiddenEnding[] = ".new";

const char* EndingOf(Presence::Kind kind) noexcept {
  return kind == Presence::kPublisher ? kPublisherEnding : kSubscriberEnding;
}

absl::Status Failed(const std::string& what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, " ", path, ": ", strerror(errno),
                                             ". Give ZeroMqEvents::address an address, or set "
                                             "XDG_RUNTIME_DIR to a folder of your own."));
}

// A folder that belongs to us and that nobody else can write to.
absl::Status MakePrivate(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Failed("make", path);
  struct stat is{};
  if (lstat(path.c_str(), &is) != 0) return Failed("look at", path);
  if (!S_ISDIR(is.st_mode) || is.st_uid != geteuid() || (is.st_mode & 0022) != 0) {
    errno = EPERM;
    return Failed("trust", path);
  }
  return absl::OkStatus();
}

// Whether somebody holds the lock; a file that nobody holds is removed, with its socket.
bool IsLive(const std::string& folder, const std::string& name, std::size_t ending) {
  const std::string path = folder + "/" + name;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return false;
  const bool held = flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (!held) {
    unlink((folder + "/" + name.substr(0, name.size() - ending) + kSocketEnding).c_str());
    unlink(path.c_str());
  }
  close(file);
  return held;
}

// The ids of those that are there.
std::vector<std::string> Live(const std::string& folder, std::string_view ending) {
  std::vector<std::string> names;
  DIR* const entries = opendir(folder.c_str());
  if (entries == nullptr) return names;
  while (const dirent* const entry = readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name.size() > ending.size() && name.ends_with(ending)) names.emplace_back(name);
  }
  closedir(entries);
  std::vector<std::string> live;
  for (const std::string& name : names) {
    if (IsLive(folder, name, ending.size())) {
      live.push_back(name.substr(0, name.size() - ending.size()));
    }
  }
  return live;
}

}  // namespace

absl::StatusOr<std::string> MeetingFolder(const std::string& domain, bool work) {
  std::string path;
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && runtime[0] == '/') {
    path = absl::StrCat(runtime, "/rookery-events");
  } else {
    path = absl::StrCat("/tmp/rookery-events-", geteuid());
  }
  absl::Status made = MakePrivate(path);
  for (const std::string& part : {domain, std::string(work ? "work" : "all")}) {
    if (!made.ok()) return made;
    absl::StrAppend(&path, "/", part);
    made = MakePrivate(path);
  }
  if (!made.ok()) return made;
  return path;
}

Presence::Presence(std::string folder, std::string id, Kind kind, int lock)
    : folder_(std::move(folder)), id_(std::move(id)), kind_(kind), lock_(lock) {}

Presence::~Presence() {
  unlink(Path(EndingOf(kind_)).c_str());
  unlink(Path(kHiddenEnding).c_str());
  unlink(Path(kSocketEnding).c_str());
  close(lock_);
}

std::string Presence::Path(const char* ending) const {
  return absl::StrCat(folder_, "/", id_, ending);
}

std::string Presence::endpoint() const { return absl::StrCat("ipc://", Path(kSocketEnding)); }

absl::StatusOr<std::unique_ptr<Presence>> Presence::Announce(const std::string& folder, Kind kind) {
  std::string id;
  internal::AppendHex(&id, internal::FastRandom64(), 16);
  const std::string path = absl::StrCat(folder, "/", id, kHiddenEnding);
  const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) return Failed("make", path);
  std::unique_ptr<Presence> presence(new Presence(folder, id, kind, lock));
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) return Failed("lock", path);
  constexpr std::size_t kScheme = 6;  // "ipc://"
  if (presence->endpoint().size() - kScheme >= sizeof sockaddr_un().sun_path) {
    errno = ENAMETOOLONG;
    return Failed("listen at", presence->endpoint());
  }
  return presence;
}

absl::Status Presence::Show() {
  if (std::rename(Path(kHiddenEnding).c_str(), Path(EndingOf(kind_)).c_str()) != 0) {
    return Failed("name", Path(EndingOf(kind_)));
  }
  return absl::OkStatus();
}

std::vector<std::string> LiveEndpoints(const std::string& folder) {
  std::vector<std::string> endpoints;
  for (const std::string& id : Live(folder, kPublisherEnding)) {
    endpoints.push_back(absl::StrCat("ipc://", folder, "/", id, kSocketEnding));
  }
  return endpoints;
}

std::size_t LiveSubscribers(const std::string& folder) {
  return Live(folder, kSubscriberEnding).size();
}

}  // namespace rookery::zeromq_adapter
