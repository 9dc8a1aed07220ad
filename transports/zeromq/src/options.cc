#include "options.h"

#include <zmq.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace zeromq_adapter {
namespace {

using internal::Abs;

constexpr std::size_t kKeyLength = 40;
constexpr std::size_t kMaxFields = 1'024;

class Reader final {
 public:
  explicit Reader(std::string_view bytes) noexcept : bytes_(bytes) {}
  [[nodiscard]] bool Number(int bytes, std::size_t* number) noexcept {
    if (bytes_.size() < static_cast<std::size_t>(bytes)) return false;
    *number = 0;
    for (int i = 0; i < bytes; ++i) {
      *number |= std::size_t{static_cast<unsigned char>(bytes_[static_cast<std::size_t>(i)])}
                 << (8 * i);
    }
    bytes_.remove_prefix(static_cast<std::size_t>(bytes));
    return true;
  }
  [[nodiscard]] bool Text(int bytes, std::string_view* text) noexcept {
    std::size_t size = 0;
    if (!Number(bytes, &size) || size > bytes_.size()) return false;
    *text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return true;
  }
  [[nodiscard]] std::string_view rest() const noexcept { return bytes_; }

 private:
  std::string_view bytes_;
};

bool IsKey(const std::string& key) {
  std::uint8_t decoded[32];
  return key.size() == kKeyLength && zmq_z85_decode(decoded, key.c_str()) != nullptr;
}

bool IsLocal(std::string_view address) {
  if (address.starts_with("ipc://")) return true;
  address.remove_prefix(std::string_view("tcp://").size());
  const std::string_view host = address.substr(0, address.rfind(':'));
  if (host == "localhost" || host == "[::1]") return true;
  // Four numbers, and no name that only begins like one.
  return host.starts_with("127.") &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

std::vector<std::string> Addresses(const std::string& address) {
  std::vector<std::string> all;
  for (absl::string_view each : absl::StrSplit(address, ',', absl::SkipWhitespace())) {
    all.emplace_back(absl::StripAsciiWhitespace(each));
  }
  return all;
}

std::string AddressOf(const MethodDescriptor& method) {
  return std::string(method.pattern.empty() ? method.full_name : method.pattern);
}

absl::Status CheckMethodAddress(std::string_view address) {
  if (!address.empty() && address.size() <= 0xffff &&
      std::string_view("@!#").find(address.front()) == std::string_view::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", Abs(address),
                   "\" cannot be a method's or a pattern's name over ZeroMQ: it must not be empty, "
                   "nor begin with @, ! or #"));
}

std::string ProgramName() { return program_invocation_short_name; }

absl::Status CheckServerCurve(const ZeroMq& options) {
  if (!options.curve) return absl::OkStatus();
  const ZeroMqCurve& curve = *options.curve;
  std::vector<std::string> faults;
  if (curve.secret_key.empty()) {
    faults.push_back("a server needs curve.secret_key; NewZeroMqKeys() makes a pair");
  }
  if (curve.allow.empty() && !curve.allow_any) {
    faults.push_back(
        "curve.allow is empty, so that nobody could call: give it the callers' public keys, or set "
        "curve.allow_any");
  }
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("ZeroMQ at \"", options.address, "\": ", absl::StrJoin(faults, "; ")));
}

absl::Status CheckClientCurve(const ZeroMq& options) {
  if (!options.curve || !options.curve->server_key.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("ZeroMQ at \"", options.address,
                   "\": a client needs curve.server_key, the server's public key: whoever has not "
                   "its secret is refused"));
}

absl::Status LastError(std::string_view what) {
  const int error = zmq_errno();
  const std::string text = absl::StrCat(Abs(what), ": ", zmq_strerror(error));
  switch (error) {
    case EINVAL:
    case ENODEV:
    case EPROTONOSUPPORT:
      return absl::InvalidArgumentError(text);
    case EADDRINUSE:
    case EADDRNOTAVAIL:
      return absl::UnavailableError(absl::StrCat(text, ". Give ZeroMq::address another one."));
    case EMFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

Socket::Socket(void* context, int type) : socket_(zmq_socket(context, type)) {
  if (socket_ == nullptr) status_ = LastError("cannot make a socket");
}
Socket::~Socket() {
  if (socket_ != nullptr) zmq_close(socket_);
}
void Socket::Set(int option, int value) {
  if (status_.ok() && zmq_setsockopt(socket_, option, &value, sizeof value) != 0) {
    status_ = LastError(absl::StrCat("cannot set option ", option));
  }
}
void Socket::Set(int option, std::string_view value) {
  if (status_.ok() && zmq_setsockopt(socket_, option, value.data(), value.size()) != 0) {
    status_ = LastError(absl::StrCat("cannot set option ", option));
  }
}
void Socket::Configure(const ZeroMq& options) {
  const auto ms = [](std::chrono::milliseconds time) {
    return static_cast<int>(
        std::min<std::int64_t>(time.count(), std::numeric_limits<int>::max() / 4));
  };
  Set(ZMQ_LINGER, ms(options.linger));
  Set(ZMQ_SNDHWM, options.high_water_mark);
  Set(ZMQ_RCVHWM, options.high_water_mark);
  Set(ZMQ_HEARTBEAT_IVL, ms(options.heartbeat));
  Set(ZMQ_HEARTBEAT_TIMEOUT, ms(2 * options.heartbeat));
  // The peer is told to do as we do; the most that fits into ZMTP.
  Set(ZMQ_HEARTBEAT_TTL,
      static_cast<int>(std::min<std::int64_t>(2 * options.heartbeat.count(), 6'553'500)));
  Set(ZMQ_HANDSHAKE_IVL, ms(options.handshake_timeout));
  Set(ZMQ_RECONNECT_IVL, ms(options.reconnect_wait));
  Set(ZMQ_RECONNECT_IVL_MAX, ms(options.max_reconnect_wait));
  Set(ZMQ_TCP_KEEPALIVE, 1);
  if (options.address.find('[') != std::string::npos) Set(ZMQ_IPV6, 1);
  const std::int64_t most = static_cast<std::int64_t>(options.max_receive_bytes +
                                                      options.max_metadata_bytes + (64U << 10));
  if (status_.ok() && zmq_setsockopt(socket_, ZMQ_MAXMSGSIZE, &most, sizeof most) != 0) {
    status_ = LastError("cannot set ZMQ_MAXMSGSIZE");
  }
}
int Socket::fd() const noexcept {
  int fd = -1;
  std::size_t size = sizeof fd;
  zmq_getsockopt(socket_, ZMQ_FD, &fd, &size);
  return fd;
}
std::string Socket::last_endpoint() const {
  char text[512];
  std::size_t size = sizeof text;
  if (zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, text, &size) != 0 || size == 0) return "";
  return std::string(text, size - 1);
}

void SetListenerCurve(Socket& socket, const ZeroMqCurve& curve) {
  socket.Set(ZMQ_CURVE_SERVER, 1);
  socket.Set(ZMQ_CURVE_SECRETKEY, curve.secret_key);
  socket.Set(ZMQ_ZAP_DOMAIN, kZapDomain);
}

absl::Status SetConnectorCurve(Socket& socket, const ZeroMqCurve& curve) {
  ZeroMqKeys keys;
  if (curve.secret_key.empty()) {
    absl::StatusOr<ZeroMqKeys> made = NewZeroMqKeys();
    if (!made.ok()) return made.status();
    keys = *std::move(made);
  } else {
    char public_key[41];
    keys.secret_key = curve.secret_key;
    if (zmq_curve_public(public_key, keys.secret_key.c_str()) != 0) {
      return LastError("cannot make the public key of curve.secret_key");
    }
    keys.public_key = public_key;
  }
  socket.Set(ZMQ_CURVE_SERVERKEY, curve.server_key);
  socket.Set(ZMQ_CURVE_PUBLICKEY, keys.public_key);
  socket.Set(ZMQ_CURVE_SECRETKEY, keys.secret_key);
  return socket.status();
}

std::size_t MessageSize(const OutboundMessage& message, std::string_view to,
                        std::string_view reply_to) noexcept {
  constexpr std::size_t kShort = 0xffff;
  bool fits =
      to.size() <= kShort && reply_to.size() <= kShort && message.fields.size() <= kMaxFields;
  std::size_t size = 7 + to.size() + reply_to.size() + message.body_size();
  for (const WireField& field : message.fields) {
    fits = fits && field.name.size() <= kShort && field.value.size() <= 0xffff'ffff;
    size += 6 + field.name.size() + field.value.size();
  }
  return fits ? size : 0;
}

void WriteMessage(const OutboundMessage& message, std::string_view to, std::string_view reply_to,
                  char* out) {
  const auto number = [&out](std::size_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) *out++ = static_cast<char>(value >> (8 * i) & 0xff);
  };
  const auto text = [&](std::string_view bytes, int length) {
    number(bytes.size(), length);
    if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
    out += bytes.size();
  };
  *out++ = kHeaderVersion;
  text(to, 2);
  text(reply_to, 2);
  number(message.fields.size(), 2);
  for (const WireField& field : message.fields) {
    text(field.name, 2);
    text(field.value, 4);
  }
  message.WriteBody(out);
}

absl::Status EncodeMessage(const OutboundMessage& message, std::string_view to,
                           std::string_view reply_to, std::string* out) {
  const std::size_t size = MessageSize(message, to, reply_to);
  if (size == 0) return DoesNotFit();
  out->resize(size);
  WriteMessage(message, to, reply_to, out->data());
  return absl::OkStatus();
}

absl::Status DecodeMessage(std::string_view bytes, Header* header, InboundMessage* message) {
  if (bytes.empty()) return absl::InvalidArgumentError("an empty message");
  if (bytes.front() != kHeaderVersion) {
    return absl::UnimplementedError(
        absl::StrCat("version ", static_cast<int>(static_cast<unsigned char>(bytes.front())),
                     " of the message's header; this is ", static_cast<int>(kHeaderVersion)));
  }
  Reader reader(bytes.substr(1));
  std::size_t count = 0;
  bool good = reader.Text(2, &header->to) && reader.Text(2, &header->reply_to) &&
              reader.Number(2, &count) && count <= kMaxFields;
  for (std::size_t i = 0; good && i < count; ++i) {
    WireField field;
    good = reader.Text(2, &field.name) && reader.Text(4, &field.value) && !field.name.empty();
    if (good) message->fields.push_back(field);
  }
  if (!good) return absl::InvalidArgumentError("a malformed header");
  message->body = reader.rest();
  return absl::OkStatus();
}

std::string FormatId(std::uint64_t id) { return absl::StrCat("@", absl::Hex(id)); }

std::optional<std::uint64_t> ParseId(std::string_view address, std::string_view* rest) noexcept {
  if (!address.starts_with('@')) return std::nullopt;
  address.remove_prefix(1);
  std::uint64_t id = 0;
  const char* const end = address.data() + address.size();
  const auto [stop, error] = std::from_chars(address.data(), end, id, 16);
  if (error != std::errc()) return std::nullopt;
  if (rest != nullptr) {
    *rest = std::string_view(stop, static_cast<std::size_t>(end - stop));
  } else if (stop != end) {
    return std::nullopt;
  }
  return id;
}

std::uint64_t KeyedHash(const std::uint64_t (&key)[2], std::string_view text) noexcept {
  const auto rotate = [](std::uint64_t x, int by) { return x << by | x >> (64 - by); };
  std::uint64_t a = key[0] ^ 0x736f6d6570736575U;
  std::uint64_t b = key[1] ^ 0x646f72616e646f6dU;
  std::uint64_t c = key[0] ^ 0x6c7967656e657261U;
  std::uint64_t d = key[1] ^ 0x7465646279746573U;
  const auto round = [&] {
    a += b;
    b = rotate(b, 13) ^ a;
    a = rotate(a, 32);
    c += d;
    d = rotate(d, 16) ^ c;
    a += d;
    d = rotate(d, 21) ^ a;
    c += b;
    b = rotate(b, 17) ^ c;
    c = rotate(c, 32);
  };
  const std::uint64_t length = text.size();
  const auto take = [&](std::uint64_t word) {
    d ^= word;
    round();
    round();
    a ^= word;
  };
  while (text.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), 8);
    take(word);
    text.remove_prefix(8);
  }
  std::uint64_t last = 0;
  std::memcpy(&last, text.data(), text.size());
  take(last | length << 56);
  c ^= 0xff;
  for (int i = 0; i < 4; ++i) round();
  return a ^ b ^ c ^ d;
}

}  // namespace zeromq_adapter

absl::StatusOr<ZeroMqKeys> NewZeroMqKeys() {
  char public_key[41];
  char secret_key[41];
  if (zmq_curve_keypair(public_key, secret_key) != 0) {
    return zeromq_adapter::LastError("cannot make CURVE keys");
  }
  return ZeroMqKeys{public_key, secret_key};
}

absl::Status CheckZeroMqOptions(const ZeroMq& options) {
  std::vector<std::string> faults;
  const std::vector<std::string> addresses = zeromq_adapter::Addresses(options.address);
  if (addresses.empty()) faults.push_back("address is empty: say \"tcp://HOST:PORT\"");
  for (const std::string& each : addresses) {
    const bool tcp = each.rfind("tcp://", 0) == 0;
    if (!tcp && each.rfind("ipc://", 0) != 0) {
      faults.push_back(absl::StrCat("address \"", each,
                                    "\" is neither tcp://HOST:PORT nor ipc://PATH; for calls "
                                    "inside one process there is rookery::InProcess"));
    } else if (tcp && each.rfind(':') <= 5) {
      faults.push_back(absl::StrCat("address \"", each, "\" has no port"));
    } else if (!options.curve && !options.allow_plain_text && !zeromq_adapter::IsLocal(each)) {
      faults.push_back(absl::StrCat(
          "address \"", each,
          "\" is beyond this machine, and everybody there could read and call: give keys in "
          "ZeroMq::curve, or, if that network is trusted, set ZeroMq::allow_plain_text"));
    }
  }
  if (options.curve) {
    const ZeroMqCurve& curve = *options.curve;
    const auto check = [&](const char* name, const std::string& key) {
      if (!key.empty() && !zeromq_adapter::IsKey(key)) {
        faults.push_back(absl::StrCat(name, " is no key: 40 characters of Z85"));
      }
    };
    check("curve.secret_key", curve.secret_key);
    check("curve.server_key", curve.server_key);
    for (const auto& [key, identity] : curve.allow) {
      if (!zeromq_adapter::IsKey(key)) {
        faults.push_back(absl::StrCat("curve.allow: the key of \"", identity,
                                      "\" is no key: 40 characters of Z85"));
      }
      if (identity.empty() || identity.size() > 255) {
        faults.push_back("curve.allow: an identity has 1 to 255 characters");
      }
    }
  }
  if (options.window_bytes == 0) faults.push_back("window_bytes must not be 0");
  if (options.max_receive_bytes == 0 || options.max_receive_bytes > (std::size_t{1} << 31)) {
    faults.push_back("max_receive_bytes must be above 0, and 2 GiB at most");
  }
  if (options.max_metadata_bytes > (std::size_t{1} << 30)) {
    faults.push_back("max_metadata_bytes must be 1 GiB at most");
  }
  if (options.max_send_bytes == 0) faults.push_back("max_send_bytes must not be 0");
  if (options.max_concurrent_calls == 0) faults.push_back("max_concurrent_calls must not be 0");
  if (options.high_water_mark <= 0) {
    faults.push_back("high_water_mark must be above 0 (libzmq takes 0 for no limit)");
  }
  if (options.max_pending_bytes == 0) faults.push_back("max_pending_bytes must not be 0");
  if (options.heartbeat.count() <= 0) faults.push_back("heartbeat must be above 0");
  if (options.handshake_timeout.count() <= 0) faults.push_back("handshake_timeout must be above 0");
  if (options.linger.count() < 0) faults.push_back("linger must not be below 0");
  if (options.keepalive.count() < 0) faults.push_back("keepalive must not be below 0");
  if (options.reconnect_wait.count() <= 0 || options.max_reconnect_wait < options.reconnect_wait) {
    faults.push_back("reconnect_wait must be above 0, and not above max_reconnect_wait");
  }
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("ZeroMQ at \"", options.address, "\": ", absl::StrJoin(faults, "; ")));
}

}  // namespace rookery
