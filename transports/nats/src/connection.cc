#include "connection.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "rookery/platform/log.h"
#include "runtime/abseil_strings.h"
#include "runtime/asio_loop.h"

namespace rookery::nats_adapter {
namespace {

using internal::Abs;

Logger Log() { return Logger::Default().Named("nats"); }

// The headers where they stand. nats.c has no way to ask for them, and its table of them takes
// "x-head" for "x-head-bin" where both are in one message (it compares as many letters as the one
// has), so they are found by what is around them: a message is one block, and they are between the
// subject, or the reply's, and the data. nats.c may have taken them apart already, which puts NULs
// in place of the colons and the carriage returns. False if they are not there: then another nats.c
// has another way. *nobody: they are the NATS server's own word that nobody listens.
bool ReadHeaders(natsMsg* raw, InboundMessage* inbound, bool* nobody) {
  constexpr std::string_view kVersion = "NATS/1.0";
  constexpr std::string_view kEnd = "\n\r\n";
  const char* const reply = natsMsg_GetReply(raw);
  const char* const before = reply == nullptr ? natsMsg_GetSubject(raw) : reply;
  const char* const begin = before + std::strlen(before) + 1;
  // Addresses of different blocks, perhaps: compared as numbers.
  const auto from = reinterpret_cast<std::uintptr_t>(begin);
  const auto to = reinterpret_cast<std::uintptr_t>(natsMsg_GetData(raw));
  if (from == to) return true;  // none
  constexpr std::size_t kMost = std::size_t{64} << 20;
  if (to < from || to - from < kVersion.size() + kEnd.size() || to - from > kMost) return false;
  std::string_view block(begin, to - from);
  if (block.ends_with('\0')) block.remove_suffix(1);
  if (!block.starts_with(kVersion) || !block.ends_with(kEnd)) return false;
  const auto next_line = [&block] {
    const std::size_t end = block.find('\n');
    const std::string_view line = block.substr(0, end == 0 ? 0 : end - 1);
    block.remove_prefix(end + 1);
    return line;
  };
  const std::string_view status = next_line().substr(kVersion.size());
  *nobody = status.starts_with(" 503") && natsMsg_GetDataLength(raw) == 0;
  while (!block.empty()) {
    const std::string_view line = next_line();
    const std::size_t colon = line.find_first_of(std::string_view(":\0", 2));
    if (colon == std::string_view::npos || colon == 0) continue;
    inbound->fields.push_back({line.substr(0, colon), internal::Std(absl::StripAsciiWhitespace(
                                                          Abs(line.substr(colon + 1))))});
  }
  return true;
}

// The headers as nats.c tells them.
void CopyHeaders(natsMsg* raw, InboundMessage* inbound) {
  const char** keys = nullptr;
  int key_count = 0;
  if (natsMsgHeader_Keys(raw, &keys, &key_count) != NATS_OK) return;
  for (int i = 0; i < key_count; ++i) {
    const char** values = nullptr;
    int value_count = 0;
    if (natsMsgHeader_Values(raw, keys[i], &values, &value_count) != NATS_OK) continue;
    for (int j = 0; j < value_count; ++j) {
      inbound->fields.push_back({keys[i], values[j] == nullptr ? "" : values[j]});
    }
    std::free(values);
  }
  std::free(keys);
}

// What the NATS server said of a permission: 'Permissions Violation for Publish to "a.b"'.
struct Refused {
  bool publish = false;
  std::string subject;
};
std::optional<Refused> ReadRefusal(const char* text) {
  const std::string said = absl::AsciiStrToLower(text == nullptr ? "" : text);
  const std::size_t begin = said.find('"');
  const std::size_t end = begin == std::string::npos ? begin : said.find('"', begin + 1);
  const bool publish = said.find("publish to") != std::string::npos;
  if (end == std::string::npos || (!publish && said.find("subscription to") == std::string::npos)) {
    return std::nullopt;
  }
  return Refused{publish, std::string(text + begin + 1, end - begin - 1)};
}
absl::Status NotPermitted(const Refused& refused, const std::string& url) {
  return absl::PermissionDeniedError(
      absl::StrCat("NATS at ", url, " does not let this account ",
                   refused.publish ? "publish to \"" : "subscribe to \"", refused.subject,
                   "\": give it that permission, or another account"));
}

}  // namespace

InboundMessage ToInbound(MessagePtr message, bool* nobody) {
  natsMsg* const raw = message.release();
  InboundMessage inbound(InboundMessage::Owner(
      raw, [](void* held) noexcept { natsMsg_Destroy(static_cast<natsMsg*>(held)); }));
  inbound.body =
      std::string_view(natsMsg_GetData(raw), static_cast<std::size_t>(natsMsg_GetDataLength(raw)));
  if (const char* const reply = natsMsg_GetReply(raw); reply != nullptr) inbound.reply_to = reply;
  bool unheard = false;
  if (!ReadHeaders(raw, &inbound, &unheard)) {
    CopyHeaders(raw, &inbound);
    unheard = natsMsg_IsNoResponders(raw);
  }
  if (nobody != nullptr) *nobody = unheard;
  return inbound;
}

// One socket of a connection, which has another one after it has reconnected. Waits on a descriptor
// of its own: nats.c closes its one on a thread of its own, when the loop may still be waiting.
class Connection::Socket final : public std::enable_shared_from_this<Socket> {
 public:
  Socket(std::shared_ptr<Connection> connection, int fd)
      : connection_(std::move(connection)), fd_(fd) {}
  ~Socket() {
    if (!descriptor_ && fd_ >= 0) close(fd_);
  }

  // Any thread: nothing is read or written any more.
  void Stop() noexcept {
    if (!stopped_.exchange(true)) {
      connection_->loop_.Post([self = shared_from_this()] { self->Release(); });
    }
  }

  // On the loop.
  void Begin() {
    if (stopped_.load()) return;
    boost::system::error_code error;
    descriptor_.emplace(internal::AsioContext(connection_->loop_));
    descriptor_->assign(fd_, error);
    if (error) {
      descriptor_.reset();
      return;
    }
    WaitReadable();
  }
  void WaitWritable() {
    if (!descriptor_ || stopped_.load() || waiting_writable_) return;
    waiting_writable_ = true;
    descriptor_->async_wait(boost::asio::posix::descriptor_base::wait_write,
                            [self = shared_from_this()](const boost::system::error_code& error) {
                              self->waiting_writable_ = false;
                              if (error || self->stopped_.load()) return;
                              const internal::RunningScope running("nats");
                              self->connection_->WriteOut();
                            });
  }

 private:
  void WaitReadable() {
    descriptor_->async_wait(boost::asio::posix::descriptor_base::wait_read,
                            [self = shared_from_this()](const boost::system::error_code& error) {
                              if (!error) self->OnReadable();
                            });
  }
  void OnReadable() {
    // After a reconnect the bytes of the new socket are the handshake's.
    if (stopped_.load()) return;
    const internal::RunningScope running("nats");
    natsConnection_ProcessReadEvent(connection_->connection_);
    connection_->events_.on_read();
    if (descriptor_ && !stopped_.load()) WaitReadable();
  }
  void Release() {
    descriptor_.reset();  // ends the waits, which refer to this
    fd_ = -1;
  }

  const std::shared_ptr<Connection> connection_;
  int fd_;
  std::optional<boost::asio::posix::stream_descriptor> descriptor_;
  bool waiting_writable_ = false;
  std::atomic<bool> stopped_{false};
};

Connection::Connection(const Nats& options, Loop& loop, Events events, std::shared_ptr<void> keep)
    : options_(options),
      public_url_(PublicUrl(options.url)),
      loop_(loop),
      keep_(std::move(keep)),
      events_(std::move(events)) {}

Connection::~Connection() {
  if (connection_ != nullptr) natsConnection_Destroy(connection_);
}

absl::StatusOr<std::shared_ptr<Connection>> Connection::Open(const Nats& options, Loop& loop,
                                                             bool background, Events events,
                                                             std::shared_ptr<void> keep) {
  absl::StatusOr<OptionsPtr> made = ToNatsOptions(options);
  if (!made.ok()) return made.status();
  auto connection = std::make_shared<Connection>(options, loop, std::move(events), std::move(keep));
  Connection* const self = connection.get();
  natsOptions* const raw = made->get();
  natsOptions_SetEventLoop(raw, self, &Attach, &Read, &Write, &Detach);
  natsOptions_SetDisconnectedCB(
      raw,
      [](natsConnection* nats, void* closure) {
        auto* const me = static_cast<Connection*>(closure);
        // Who closed it need not be told, and may be gone.
        if (me->closed_.load()) return;
        const char* why = nullptr;
        natsConnection_GetLastError(nats, &why);
        Log().Warn("connection lost; reconnecting",
                   {{"url", me->public_url_}, {"why", why == nullptr ? "" : why}});
        me->events_.on_disconnected();
      },
      self);
  const auto connected = [](natsConnection*, void* closure) {
    auto* const me = static_cast<Connection*>(closure);
    me->ever_connected_.store(true);
    Log().Info("connected", {{"url", me->url()}});
    me->events_.on_reconnected();
  };
  natsOptions_SetReconnectedCB(raw, connected, self);
  natsOptions_SetClosedCB(
      raw,
      [](natsConnection*, void* closure) {
        // The last callback of all.
        const std::shared_ptr<Connection> me = std::move(static_cast<Connection*>(closure)->self_);
        me->DropSocket();
        const bool by_us = me->closed_.exchange(true);
        if (!by_us) {
          const char* text = nullptr;
          natsConnection_GetLastError(me->connection_, &text);
          Log().Error("connection closed for good: nobody reconnects",
                      {{"url", me->public_url_}, {"why", text == nullptr ? "" : text}});
          me->events_.on_disconnected();
        }
        const std::scoped_lock lock(me->mutex_);
        me->silent_ = true;
        me->silence_.notify_all();
      },
      self);
  natsOptions_SetErrorHandler(
      raw,
      [](natsConnection* nats, natsSubscription* subscription, natsStatus status, void* closure) {
        auto* const me = static_cast<Connection*>(closure);
        const char* text = nullptr;
        natsConnection_GetLastError(nats, &text);
        const char* const subject =
            subscription == nullptr ? nullptr : natsSubscription_GetSubject(subscription);
        if (const std::optional<Refused> refused =
                status == NATS_NOT_PERMITTED ? ReadRefusal(text) : std::nullopt) {
          const absl::Status why = NotPermitted(*refused, me->public_url_);
          Log().Error("the NATS server refuses", {{"why", why.message()}});
          me->events_.on_refused(refused->publish, refused->subject, why);
          return;
        }
        Log().Error("the NATS server or its library reports an error",
                    {{"url", me->public_url_},
                     {"error", natsStatus_GetText(status)},
                     {"subject", subject == nullptr ? "" : subject},
                     {"text", text == nullptr ? "" : text}});
      },
      self);
  natsOptions_SetCustomReconnectDelay(
      raw,
      [](natsConnection*, int attempts, void* closure) {
        return static_cast<Connection*>(closure)->ReconnectDelay(attempts);
      },
      self);
  if (background) natsOptions_SetRetryOnFailedConnect(raw, true, connected, self);

  connection->self_ = connection;
  natsConnection* nats = nullptr;
  const natsStatus status = natsConnection_Connect(&nats, raw);
  if (status != NATS_OK && status != NATS_NOT_YET_CONNECTED) {
    const char* const text = nats_GetLastError(nullptr);
    // No connection, and so no callback.
    connection->connection_ = nullptr;
    connection->self_.reset();
    connection->DropSocket();
    absl::Status failure =
        ToStatus(status, absl::StrCat("cannot connect to NATS at ", connection->public_url_));
    if (text != nullptr && *text != '\0') {
      failure = absl::Status(failure.code(), absl::StrCat(failure.message(), " (", text, ")"));
    }
    return failure;
  }
  connection->connection_ = nats;
  if (status == NATS_OK) {
    connection->ever_connected_.store(true);
  } else {
    Log().Warn("NATS cannot be reached; trying again in the background",
               {{"url", connection->public_url_}});
  }
  return connection;
}

std::int64_t Connection::ReconnectDelay(int attempts) noexcept {
  const std::int64_t first = options_.reconnect_wait.count();
  const std::int64_t most = options_.max_reconnect_wait.count();
  const std::int64_t wait = std::min(most, first << std::clamp(attempts - 1, 0, 20));
  // Not all clients of a server that comes back at the same moment.
  thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_int_distribution<std::int64_t> fifth(0, wait / 5);
  return wait - wait / 5 + fifth(random);
}

// ---- nats.c's event loop ------------------------------------------------------------------------

natsStatus Connection::Attach(void** user, void* self, natsConnection* connection,
                              natsSock socket) {
  auto* const me = static_cast<Connection*>(self);
  *user = me;
  const int fd = dup(socket);
  if (fd < 0) return NATS_IO_ERROR;
  auto made = std::make_shared<Socket>(me->shared_from_this(), fd);
  {
    const std::scoped_lock lock(me->mutex_);
    me->connection_ = connection;
    if (me->socket_ != nullptr) me->socket_->Stop();
    me->socket_ = made;
  }
  me->loop_.Post([made] { made->Begin(); });
  return NATS_OK;
}

natsStatus Connection::Read(void* user, bool add) {
  // Reading begins with the attachment, and ends for good.
  if (!add) static_cast<Connection*>(user)->DropSocket();
  return NATS_OK;
}

natsStatus Connection::Write(void* user, bool add) {
  auto* const me = static_cast<Connection*>(user);
  me->write_wanted_.store(add);
  if (!add) {
    me->pending_.store(0, std::memory_order_relaxed);
    return NATS_OK;
  }
  if (!me->flush_posted_.exchange(true)) {
    me->flushing_ = me->shared_from_this();
    me->loop_.Post(&me->flush_);
  }
  return NATS_OK;
}

natsStatus Connection::Detach(void* user) {
  static_cast<Connection*>(user)->DropSocket();
  return NATS_OK;
}

void Connection::DropSocket() noexcept {
  const std::scoped_lock lock(mutex_);
  if (socket_ != nullptr) socket_->Stop();
  socket_ = nullptr;
}

void Connection::OnFlush() noexcept {
  const std::shared_ptr<Connection> keep = std::move(flushing_);
  flush_posted_.store(false);
  WriteOut();
}

void Connection::WriteOut() noexcept {
  // nats.c takes the writing of nothing for the end of the connection.
  if (closed_.load() || !write_wanted_.load()) return;
  natsConnection_ProcessWriteEvent(connection_);
  if (!write_wanted_.load()) return;
  // The socket takes no more for now.
  std::shared_ptr<Socket> socket;
  {
    const std::scoped_lock lock(mutex_);
    socket = socket_;
  }
  if (socket != nullptr) socket->WaitWritable();
}

// ---- use ----------------------------------------------------------------------------------------

absl::Status Connection::Publish(const OutboundMessage& message) {
  if (pending_.load(std::memory_order_relaxed) > options_.max_pending_bytes) [[unlikely]] {
    // The count starts anew only when all has left, which a busy connection may never see.
    const int waiting = natsConnection_Buffered(connection_);
    pending_.store(static_cast<std::size_t>(std::max(0, waiting)), std::memory_order_relaxed);
    if (waiting > 0 && static_cast<std::size_t>(waiting) > options_.max_pending_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat("more than ", options_.max_pending_bytes,
                                                       " bytes wait to be sent to NATS at ",
                                                       public_url_));
    }
  }
  const std::string subject(message.to);
  const std::string reply(message.reply_to);
  const char* const reply_text = reply.empty() ? nullptr : reply.c_str();
  const int size = static_cast<int>(message.body.size());
  natsStatus status = NATS_OK;
  if (message.fields.empty()) {
    status = reply_text == nullptr
                 ? natsConnection_Publish(connection_, subject.c_str(), message.body.data(), size)
                 : natsConnection_PublishRequest(connection_, subject.c_str(), reply_text,
                                                 message.body.data(), size);
  } else {
    std::string name;
    std::string value;
    natsMsg* raw = nullptr;
    status = natsMsg_Create(&raw, subject.c_str(), reply_text, message.body.data(), size);
    const MessagePtr made(raw);
    const auto add = [&](std::string_view key, std::string_view text) {
      if (status != NATS_OK) return;
      name = key;
      value = text;
      status = natsMsgHeader_Add(raw, name.c_str(), value.c_str());
    };
    const bool has_id =
        std::any_of(message.fields.begin(), message.fields.end(),
                    [](const WireField& field) { return field.name == "Nats-Msg-Id"; });
    for (const WireField& field : message.fields) {
      add(field.name, field.value);
      // What NATS's own tools and streams look for.
      if (field.name == "ce-id" && !has_id) {
        add("Nats-Msg-Id", field.value);
      } else if (field.name == kStatusHeader && field.value != "0") {
        add("Nats-Service-Error-Code", field.value);
      } else if (field.name == kMessageHeader) {
        add("Nats-Service-Error", field.value);
      }
    }
    if (status == NATS_OK) status = natsConnection_PublishMsg(connection_, raw);
  }
  if (status == NATS_OK) [[likely]] {
    pending_.fetch_add(message.body.size() + subject.size(), std::memory_order_relaxed);
    return absl::OkStatus();
  }
  if (status == NATS_MAX_PAYLOAD) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the message is larger than the max_payload of the NATS server, ",
                     natsConnection_GetMaxPayload(connection_), " bytes"));
  }
  return ToStatus(status, absl::StrCat("NATS at ", public_url_));
}

absl::Status Connection::Flush(std::chrono::milliseconds timeout) {
  return ToStatus(
      natsConnection_FlushTimeout(connection_, std::max<std::int64_t>(1, timeout.count())),
      absl::StrCat("NATS at ", public_url_));
}

void Connection::Close() noexcept {
  if (closed_.exchange(true)) return;
  natsConnection_Close(connection_);
  DropSocket();
}

void Connection::AwaitSilence(std::chrono::milliseconds most) noexcept {
  std::unique_lock lock(mutex_);
  silence_.wait_for(lock, most, [this] { return silent_; });
}

ConnectionState Connection::state() const noexcept {
  if (closed_.load()) return ConnectionState::kShutdown;
  switch (natsConnection_Status(connection_)) {
    case NATS_CONN_STATUS_CONNECTED:
    case NATS_CONN_STATUS_DRAINING_SUBS:
    case NATS_CONN_STATUS_DRAINING_PUBS:
      return ConnectionState::kReady;
    case NATS_CONN_STATUS_CLOSED:
      return ConnectionState::kShutdown;
    case NATS_CONN_STATUS_CONNECTING:
      return ConnectionState::kConnecting;
    default:
      return ConnectionState::kTransientFailure;
  }
}

absl::Status Connection::Refusal() const {
  const char* text = nullptr;
  if (natsConnection_GetLastError(connection_, &text) != NATS_NOT_PERMITTED) {
    return absl::OkStatus();
  }
  const std::optional<Refused> refused = ReadRefusal(text);
  if (!refused || refused->publish) return absl::OkStatus();
  return NotPermitted(*refused, public_url_);
}

absl::Status Connection::WhyClosed() const {
  if (!natsConnection_IsClosed(connection_)) return absl::OkStatus();
  const char* text = nullptr;
  const natsStatus why = natsConnection_GetLastError(connection_, &text);
  if (why == NATS_OK) return absl::OkStatus();
  const absl::Status status = ToStatus(why, absl::StrCat("NATS at ", public_url_));
  return text == nullptr || *text == '\0'
             ? status
             : absl::Status(status.code(), absl::StrCat(status.message(), " (", text, ")"));
}

absl::Status Connection::Ready() const {
  switch (state()) {
    case ConnectionState::kReady:
      return absl::OkStatus();
    case ConnectionState::kShutdown:
      if (absl::Status why = WhyClosed(); !why.ok()) return why;
      return absl::UnavailableError(
          absl::StrCat("the connection to NATS at ", public_url_, " is closed"));
    default:
      return absl::UnavailableError(
          absl::StrCat("NATS at ", public_url_, " cannot be reached",
                       ever_connected_.load() ? " (any more); reconnecting" : " yet"));
  }
}

std::size_t Connection::max_payload() const noexcept {
  return static_cast<std::size_t>(
      std::max<std::int64_t>(0, natsConnection_GetMaxPayload(connection_)));
}

std::string Connection::url() const {
  char buffer[512];
  if (natsConnection_GetConnectedUrl(connection_, buffer, sizeof buffer) != NATS_OK ||
      buffer[0] == '\0') {
    return public_url_;
  }
  return PublicUrl(buffer);
}

}  // namespace rookery::nats_adapter
