#include "options.h"

#include <errno.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace nats_adapter {
namespace {

using internal::Abs;
using internal::Std;

constexpr std::string_view kDigits =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr int kInboxIdLength = 22;

std::vector<std::string> Urls(const std::string& url) {
  std::vector<std::string> urls;
  for (absl::string_view each : absl::StrSplit(url, ',', absl::SkipWhitespace())) {
    urls.emplace_back(absl::StripAsciiWhitespace(each));
  }
  return urls;
}

// For queue groups and names: one token of NATS's.
std::string Token(std::string_view text) {
  std::string token(text);
  for (char& c : token) {
    if (c <= ' ' || c > '~' || c == '.' || c == '*' || c == '>') c = '_';
  }
  return token.empty() ? "rookery" : token;
}

}  // namespace

std::string NameOf(const Nats& options) {
  return options.name.empty() ? std::string(program_invocation_short_name) : options.name;
}

std::string QueueOf(const Nats& options) {
  return options.queue.empty() ? Token(program_invocation_short_name) : options.queue;
}

std::string PublicUrl(std::string_view url) {
  std::vector<std::string> shown;
  for (const std::string& each : Urls(std::string(url))) {
    const std::size_t scheme = each.find("://");
    const std::size_t host = scheme == std::string::npos ? 0 : scheme + 3;
    const std::size_t at = each.rfind('@');
    shown.push_back(at == std::string::npos || at < host
                        ? each
                        : absl::StrCat(each.substr(0, host), each.substr(at + 1)));
  }
  return absl::StrJoin(shown, ",");
}

absl::Status ToStatus(natsStatus status, std::string_view what) {
  if (status == NATS_OK) return absl::OkStatus();
  const std::string text = absl::StrCat(Abs(what), ": ", natsStatus_GetText(status));
  switch (status) {
    case NATS_CONNECTION_CLOSED:
    case NATS_CONNECTION_DISCONNECTED:
    case NATS_NO_SERVER:
    case NATS_IO_ERROR:
    case NATS_STALE_CONNECTION:
    case NATS_TIMEOUT:
    case NATS_DRAINING:
    case NATS_INSUFFICIENT_BUFFER:
    case NATS_NO_RESPONDERS:
    case NATS_NOT_YET_CONNECTED:
      return absl::UnavailableError(text);
    case NATS_CONNECTION_AUTH_FAILED:
      return absl::UnauthenticatedError(text);
    case NATS_NOT_PERMITTED:
      return absl::PermissionDeniedError(text);
    case NATS_MAX_PAYLOAD:
    case NATS_NO_MEMORY:
      return absl::ResourceExhaustedError(text);
    case NATS_INVALID_ARG:
    case NATS_INVALID_SUBJECT:
    case NATS_ADDRESS_MISSING:
      return absl::InvalidArgumentError(text);
    case NATS_SSL_ERROR:
    case NATS_SECURE_CONNECTION_WANTED:
    case NATS_SECURE_CONNECTION_REQUIRED:
      return absl::FailedPreconditionError(text);
    default:
      return absl::InternalError(text);
  }
}

absl::StatusOr<OptionsPtr> ToNatsOptions(const Nats& options) {
  natsOptions* raw = nullptr;
  natsStatus status = natsOptions_Create(&raw);
  OptionsPtr made(raw);
  std::string failed = "memory";
  // Goes on while nothing has failed, and remembers what did.
  const auto set = [&](const char* what, auto&& apply) {
    if (status != NATS_OK) return;
    status = apply();
    if (status != NATS_OK) {
      failed = what;
      if (const char* const text = nats_GetLastError(nullptr); text != nullptr && *text != '\0') {
        absl::StrAppend(&failed, " (", text, ")");
      }
    }
  };
  const std::vector<std::string> urls = Urls(options.url);
  std::vector<const char*> servers;
  for (const std::string& url : urls) servers.push_back(url.c_str());
  set("url", [&] {
    return natsOptions_SetServers(raw, servers.data(), static_cast<int>(servers.size()));
  });
  set("name", [&] { return natsOptions_SetName(raw, NameOf(options).c_str()); });
  if (!options.user.empty()) {
    set("user", [&] {
      return natsOptions_SetUserInfo(raw, options.user.c_str(), options.password.c_str());
    });
  }
  if (!options.token.empty()) {
    set("token", [&] { return natsOptions_SetToken(raw, options.token.c_str()); });
  }
  if (!options.nkey.empty()) {
    set("nkey", [&] {
      return natsOptions_SetNKeyFromSeed(raw, options.nkey.c_str(), options.nkey_seed_file.c_str());
    });
  }
  if (!options.creds_file.empty()) {
    set("creds_file", [&] {
      return natsOptions_SetUserCredentialsFromFiles(raw, options.creds_file.c_str(), nullptr);
    });
  }
  if (options.tls) {
    const NatsTls& tls = *options.tls;
    set("tls", [&] { return natsOptions_SetSecure(raw, true); });
    if (!tls.ca.empty()) {
      set("tls.ca", [&] { return natsOptions_SetCATrustedCertificates(raw, tls.ca.c_str()); });
    } else if (!tls.ca_file.empty()) {
      set("tls.ca_file",
          [&] { return natsOptions_LoadCATrustedCertificates(raw, tls.ca_file.c_str()); });
    }
    if (!tls.certificate.empty()) {
      set("tls.certificate", [&] {
        return natsOptions_SetCertificatesChain(raw, tls.certificate.c_str(), tls.key.c_str());
      });
    } else if (!tls.certificate_file.empty()) {
      set("tls.certificate_file", [&] {
        return natsOptions_LoadCertificatesChain(raw, tls.certificate_file.c_str(),
                                                 tls.key_file.c_str());
      });
    }
    if (!tls.server_name.empty()) {
      set("tls.server_name",
          [&] { return natsOptions_SetExpectedHostname(raw, tls.server_name.c_str()); });
    }
  }
  set("connect_timeout",
      [&] { return natsOptions_SetTimeout(raw, options.connect_timeout.count()); });
  set("ping_interval",
      [&] { return natsOptions_SetPingInterval(raw, options.ping_interval.count()); });
  set("reconnect", [&] { return natsOptions_SetMaxReconnect(raw, -1); });
  set("buffers", [&] { return natsOptions_SetIOBufSize(raw, 64 << 10); });
  // Tells the loop at once that there is something to write, which it does at the end of its turn;
  // otherwise a thread of nats.c's tells it a millisecond later.
  set("send_asap", [&] { return natsOptions_SetSendAsap(raw, true); });
  // One thread of nats.c's for the subscriptions that need one, instead of one each.
  set("delivery", [&] { return natsOptions_UseGlobalMessageDelivery(raw, true); });
  if (status != NATS_OK) {
    return absl::InvalidArgumentError(absl::StrCat("NATS at ", PublicUrl(options.url),
                                                   ": cannot use ", failed, ": ",
                                                   natsStatus_GetText(status)));
  }
  return made;
}

// ---- subjects -----------------------------------------------------------------------------------

absl::Status CheckSubject(std::string_view subject, bool wildcards) {
  const auto bad = [subject](std::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", Abs(subject.substr(0, 128)), "\" is no NATS subject: ", Abs(why)));
  };
  if (subject.empty()) return bad("it is empty");
  const std::vector<absl::string_view> tokens = absl::StrSplit(Abs(subject), '.');
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const absl::string_view token = tokens[i];
    if (token.empty()) return bad("a part between two dots is empty");
    if (token == "*" || token == ">") {
      if (!wildcards) return bad("only who listens may use wildcards");
      if (token == ">" && i + 1 != tokens.size()) return bad("\">\" stands at the end");
      continue;
    }
    for (const char c : token) {
      if (c <= ' ' || c > '~') return bad("it may have printable ASCII without spaces alone");
      if (c == '*' || c == '>') return bad("a wildcard is a part of its own");
    }
  }
  return absl::OkStatus();
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppend(&out, absl::StrFormat("\\u%04x", static_cast<unsigned>(c)));
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

std::string Prefixed(const Nats& options, std::string_view subject) {
  return options.prefix.empty() ? std::string(subject)
                                : absl::StrCat(options.prefix, ".", Abs(subject));
}

std::string SubjectOf(const Nats& options, const MethodDescriptor& method) {
  if (!method.pattern.empty()) return Prefixed(options, method.pattern);
  std::string_view name = method.full_name;
  if (name.starts_with('/')) name.remove_prefix(1);
  std::string subject = Prefixed(options, name);
  std::replace(subject.begin(), subject.end(), '/', '.');
  return subject;
}

std::string GroupOf(const MethodDescriptor& method) {
  if (!method.pattern.empty()) return std::string(method.pattern);
  // By the name and not by the service, which a descriptor made by hand need not have.
  std::string_view name = method.full_name;
  if (name.starts_with('/')) name.remove_prefix(1);
  return std::string(name.substr(0, name.rfind('/')));
}

std::string CancelSubject(const Nats& options, std::string_view group) {
  return absl::StrCat("rookery.cancel.", Prefixed(options, group));
}

// ---- addresses ----------------------------------------------------------------------------------

std::string NewInbox(const Nats& options) {
  // Whoever can guess it can answer in another's name: from the system's generator.
  std::random_device random;
  std::uniform_int_distribution<std::size_t> digit(0, kDigits.size() - 1);
  std::string inbox = absl::StrCat(options.inbox_prefix, ".");
  for (int i = 0; i < kInboxIdLength; ++i) inbox.push_back(kDigits[digit(random)]);
  inbox.push_back('.');
  return inbox;
}

void AppendBase62(std::string* out, std::uint64_t number) {
  char digits[11];
  std::size_t count = 0;
  do {
    digits[count++] = kDigits[number % kDigits.size()];
    number /= kDigits.size();
  } while (number != 0);
  while (count > 0) out->push_back(digits[--count]);
}

std::optional<std::uint64_t> IdOf(std::string_view subject) noexcept {
  const std::string_view token = subject.substr(subject.rfind('.') + 1);
  if (token.empty() || token.size() > 11) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : token) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    number = number * kDigits.size() + digit;
  }
  return number;
}

}  // namespace nats_adapter

absl::Status CheckNatsOptions(const Nats& options) {
  std::vector<std::string> faults;
  const std::vector<std::string> urls = absl::StrSplit(options.url, ',', absl::SkipWhitespace());
  if (urls.empty()) faults.push_back("url is empty: say \"nats://HOST:4222\"");
  const auto check_subject = [&](const char* name, const std::string& subject) {
    const absl::Status status = nats_adapter::CheckSubject(subject, /*wildcards=*/false);
    if (!status.ok()) faults.push_back(absl::StrCat(name, ": ", status.message()));
  };
  if (!options.prefix.empty()) check_subject("prefix", options.prefix);
  if (options.owns_prefix && options.prefix.empty()) {
    faults.push_back("owns_prefix needs a prefix");
  }
  check_subject("inbox_prefix", options.inbox_prefix);
  if (!options.queue.empty()) check_subject("queue", options.queue);
  const int ways = (options.user.empty() ? 0 : 1) + (options.token.empty() ? 0 : 1) +
                   (options.nkey.empty() ? 0 : 1) + (options.creds_file.empty() ? 0 : 1);
  if (ways > 1) faults.push_back("give one of user, token, nkey and creds_file");
  if (options.user.empty() && !options.password.empty()) {
    faults.push_back("password without a user");
  }
  if (options.nkey.empty() != options.nkey_seed_file.empty()) {
    faults.push_back("nkey and nkey_seed_file belong together");
  }
  if (options.tls) {
    const NatsTls& tls = *options.tls;
    if (tls.certificate.empty() != tls.key.empty()) {
      faults.push_back("tls.certificate and tls.key belong together");
    }
    if (tls.certificate_file.empty() != tls.key_file.empty()) {
      faults.push_back("tls.certificate_file and tls.key_file belong together");
    }
  }
  int major = 0;
  int minor = 0;
  int patch = 0;
  if (options.discovery &&
      std::sscanf(options.version.c_str(), "%d.%d.%d", &major, &minor, &patch) != 3) {
    faults.push_back(absl::StrCat("version \"", options.version, "\" is not MAJOR.MINOR.PATCH"));
  }
  if (options.connections == 0) faults.push_back("connections must be at least 1");
  if (options.window_bytes == 0) faults.push_back("window_bytes must not be 0");
  if (options.max_receive_bytes == 0) faults.push_back("max_receive_bytes must not be 0");
  if (options.max_send_bytes == 0) faults.push_back("max_send_bytes must not be 0");
  if (options.max_concurrent_calls == 0) faults.push_back("max_concurrent_calls must not be 0");
  if (options.connect_timeout.count() <= 0) faults.push_back("connect_timeout must be above 0");
  if (options.reconnect_wait.count() <= 0 || options.max_reconnect_wait < options.reconnect_wait) {
    faults.push_back("reconnect_wait must be above 0, and not above max_reconnect_wait");
  }
  if (options.ping_interval.count() <= 0) faults.push_back("ping_interval must be above 0");
  if (options.keepalive.count() < 0) faults.push_back("keepalive must not be below 0");
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("NATS at \"", nats_adapter::PublicUrl(options.url),
                                                 "\": ", absl::StrJoin(faults, "; ")));
}

}  // namespace rookery
