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

// A copy with a NUL at its end, as nats.c wants them; on the heap only if it is long.
class Terminated final {
 public:
  explicit Terminated(std::string_view text) {
    if (text.size() < sizeof short_) {
      text.copy(short_, text.size());
      short_[text.size()] = '\0';
    } else {
      long_ = text;
    }
  }
  [[nodiscard]] const char* c_str() const noexcept {
    return long_.empty() ? short_ : long_.c_str();
  }

 private:
  char short_[128];
  std::string long_;
};

std::string ConnectedUrl(natsConnection* nats, const std::string& otherwise) {
  char buffer[512];
  if (natsConnection_GetConnectedUrl(nats, buffer, sizeof buffer) != NATS_OK || buffer[0] == '\0') {
    return otherwise;
  }
  return PublicUrl(buffer);
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

// Counts what may still call us.
struct Connection::Silence {
  std::mutex mutex;
  std::condition_variable changed;
  int callers = 0;  // guarded by mutex

  void Enter() {
    const std::scoped_lock lock(mutex);
    ++callers;
  }
  void Leave() {
    const std::scoped_lock lock(mutex);
    --callers;
    changed.notify_all();
  }
};

struct Connection::Held {
  std::string to;
  std::string reply_to;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t sum = to.size() + reply_to.size() + body.size();
    for (const auto& [name, value] : fields) sum += name.size() + value.size();
    return sum;
  }
};

// One connection of nats.c, from its beginning to its end.
class Connection::Session final : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(std::shared_ptr<Connection> owner) : owner_(std::move(owner)) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    if (nats_.load() != nullptr) natsConnection_Destroy(nats_.load());
  }

  // Connects; blocks for connect_timeout at most.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<Session>> Connect(
      const std::shared_ptr<Connection>& owner);

  [[nodiscard]] natsConnection* nats() const noexcept { return nats_.load(); }
  [[nodiscard]] Connection& owner() const noexcept { return *owner_; }
  void Close() noexcept {
    closing_.store(true);
    natsConnection_Close(nats_.load());
    DropSocket();
  }
  [[nodiscard]] absl::Status Publish(const OutboundMessage& message);
  // Why nats.c has ended it.
  [[nodiscard]] absl::Status Why() const;
  // Writes what waits in the connection's buffer. On the loop.
  void WriteOut() noexcept;

 private:
  struct FlushWork final : LoopWork {
    explicit FlushWork(Session* owner) noexcept
        : LoopWork(
              [](LoopWork* self) noexcept { static_cast<FlushWork*>(self)->session_->OnFlush(); }),
          session_(owner) {}

   private:
    Session* const session_;
  };

  // nats.c's event loop.
  static natsStatus Attach(void** user, void* self, natsConnection* connection, natsSock socket);
  static natsStatus Read(void* user, bool add);
  static natsStatus Write(void* user, bool add);
  static natsStatus Detach(void* user);
  void OnFlush() noexcept;
  void DropSocket() noexcept;
  void OnClosed();

  const std::shared_ptr<Connection> owner_;
  // nats.c gives it away while it connects.
  std::atomic<natsConnection*> nats_{nullptr};
  std::shared_ptr<Session> self_;  // until nats.c has said its last word
  std::atomic<bool> closing_{false};

  FlushWork flush_{this};
  std::shared_ptr<Session> flushing_;  // while flush_ is posted
  std::atomic<bool> flush_posted_{false};
  std::atomic<bool> write_wanted_{false};
  std::atomic<std::size_t> pending_{0};  // bytes published since the buffer was last empty

  std::mutex mutex_;
  std::shared_ptr<Socket> socket_;  // guarded by mutex_
};

// The socket of a session. Waits on a descriptor of its own: nats.c closes its one on a thread of
// its own, when the loop may still be waiting.
class Connection::Socket final : public std::enable_shared_from_this<Socket> {
 public:
  Socket(std::shared_ptr<Session> session, int fd) : session_(std::move(session)), fd_(fd) {}
  ~Socket() {
    if (!descriptor_ && fd_ >= 0) close(fd_);
  }

  // Any thread: nothing is read or written any more.
  void Stop() noexcept {
    if (!stopped_.exchange(true)) {
      session_->owner().loop_.Post([self = shared_from_this()] { self->Release(); });
    }
  }

  // On the loop.
  void Begin() {
    if (stopped_.load()) return;
    boost::system::error_code error;
    descriptor_.emplace(internal::AsioContext(session_->owner().loop_));
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
                              self->session_->WriteOut();
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
    if (stopped_.load()) return;
    const internal::RunningScope running("nats");
    natsConnection_ProcessReadEvent(session_->nats());
    session_->owner().events_.on_read();
    if (descriptor_ && !stopped_.load()) WaitReadable();
  }
  void Release() {
    descriptor_.reset();  // ends the waits, which refer to this
    fd_ = -1;
  }

  const std::shared_ptr<Session> session_;
  int fd_;
  std::optional<boost::asio::posix::stream_descriptor> descriptor_;
  bool waiting_writable_ = false;
  std::atomic<bool> stopped_{false};
};

// ---- Session ------------------------------------------------------------------------------------

absl::StatusOr<std::shared_ptr<Connection::Session>> Connection::Session::Connect(
    const std::shared_ptr<Connection>& owner) {
  // Each time: credentials in files may be new.
  absl::StatusOr<OptionsPtr> made = ToNatsOptions(owner->options_);
  if (!made.ok()) return made.status();
  auto session = std::make_shared<Session>(owner);
  Session* const self = session.get();
  natsOptions* const raw = made->get();
  natsOptions_SetEventLoop(raw, self, &Attach, &Read, &Write, &Detach);
  natsOptions_SetAllowReconnect(raw, false);
  natsOptions_SetClosedCB(
      raw, [](natsConnection*, void* closure) { static_cast<Session*>(closure)->OnClosed(); },
      self);
  natsOptions_SetErrorHandler(
      raw,
      [](natsConnection* nats, natsSubscription* subscription, natsStatus status, void* closure) {
        Connection& me = static_cast<Session*>(closure)->owner();
        const char* text = nullptr;
        natsConnection_GetLastError(nats, &text);
        if (const std::optional<Refused> refused =
                status == NATS_NOT_PERMITTED ? ReadRefusal(text) : std::nullopt) {
          const absl::Status why = NotPermitted(*refused, me.public_url_);
          Log().Error("the NATS server refuses", {{"why", why.message()}});
          me.events_.on_refused(refused->publish, refused->subject, why);
          return;
        }
        const char* const subject =
            subscription == nullptr ? nullptr : natsSubscription_GetSubject(subscription);
        Log().Error("the NATS server or its library reports an error",
                    {{"url", me.public_url_},
                     {"error", natsStatus_GetText(status)},
                     {"subject", subject == nullptr ? "" : subject},
                     {"text", text == nullptr ? "" : text}});
      },
      self);
  session->self_ = session;
  owner->silence_->Enter();
  natsConnection* nats = nullptr;
  const natsStatus status = natsConnection_Connect(&nats, raw);
  if (status == NATS_OK) {
    session->nats_ = nats;
    return session;
  }
  const char* const text = nats_GetLastError(nullptr);
  // No connection, and so no callback.
  session->nats_ = nullptr;
  session->self_.reset();
  owner->silence_->Leave();
  session->DropSocket();
  absl::Status failure =
      ToStatus(status, absl::StrCat("cannot connect to NATS at ", owner->public_url_));
  if (text != nullptr && *text != '\0') {
    failure = absl::Status(failure.code(), absl::StrCat(failure.message(), " (", text, ")"));
  }
  return failure;
}

void Connection::Session::OnClosed() {
  // The last callback of all.
  const std::shared_ptr<Session> me = std::move(self_);
  DropSocket();
  if (!closing_.exchange(true)) {
    owner_->loop_.Post([me] { me->owner().OnLost(me); });
  }
  owner_->silence_->Leave();
}

absl::Status Connection::Session::Why() const {
  const char* text = nullptr;
  const natsStatus why = natsConnection_GetLastError(nats_.load(), &text);
  const absl::Status status =
      why == NATS_OK ? absl::UnavailableError(absl::StrCat("the connection to NATS at ",
                                                           owner_->public_url_, " was lost"))
                     : ToStatus(why, absl::StrCat("NATS at ", owner_->public_url_));
  return text == nullptr || *text == '\0'
             ? status
             : absl::Status(status.code(), absl::StrCat(status.message(), " (", text, ")"));
}

natsStatus Connection::Session::Attach(void** user, void* self, natsConnection* connection,
                                       natsSock socket) {
  auto* const me = static_cast<Session*>(self);
  *user = me;
  const int fd = dup(socket);
  if (fd < 0) return NATS_IO_ERROR;
  auto made = std::make_shared<Socket>(me->shared_from_this(), fd);
  {
    const std::scoped_lock lock(me->mutex_);
    me->nats_ = connection;
    if (me->socket_ != nullptr) me->socket_->Stop();
    me->socket_ = made;
  }
  me->owner_->loop_.Post([made] { made->Begin(); });
  return NATS_OK;
}

natsStatus Connection::Session::Read(void* user, bool add) {
  // Reading begins with the attachment, and ends for good.
  if (!add) static_cast<Session*>(user)->DropSocket();
  return NATS_OK;
}

natsStatus Connection::Session::Write(void* user, bool add) {
  auto* const me = static_cast<Session*>(user);
  me->write_wanted_.store(add);
  if (!add) {
    me->pending_.store(0, std::memory_order_relaxed);
    return NATS_OK;
  }
  if (!me->flush_posted_.exchange(true)) {
    me->flushing_ = me->shared_from_this();
    me->owner_->loop_.Post(&me->flush_);
  }
  return NATS_OK;
}

natsStatus Connection::Session::Detach(void* user) {
  static_cast<Session*>(user)->DropSocket();
  return NATS_OK;
}

void Connection::Session::DropSocket() noexcept {
  const std::scoped_lock lock(mutex_);
  if (socket_ != nullptr) socket_->Stop();
  socket_ = nullptr;
}

void Connection::Session::OnFlush() noexcept {
  const std::shared_ptr<Session> keep = std::move(flushing_);
  flush_posted_.store(false);
  WriteOut();
}

void Connection::Session::WriteOut() noexcept {
  // nats.c takes the writing of nothing for the end of the connection.
  if (closing_.load() || !write_wanted_.load()) return;
  natsConnection_ProcessWriteEvent(nats_);
  if (!write_wanted_.load()) return;
  // The socket takes no more for now.
  std::shared_ptr<Socket> socket;
  {
    const std::scoped_lock lock(mutex_);
    socket = socket_;
  }
  if (socket != nullptr) socket->WaitWritable();
}

absl::Status Connection::Session::Publish(const OutboundMessage& message) {
  if (pending_.load(std::memory_order_relaxed) > owner_->options_.max_pending_bytes) [[unlikely]] {
    // The count starts anew only when all has left, which a busy connection may never see.
    const int waiting = natsConnection_Buffered(nats_);
    pending_.store(static_cast<std::size_t>(std::max(0, waiting)), std::memory_order_relaxed);
    if (waiting > 0 && static_cast<std::size_t>(waiting) > owner_->options_.max_pending_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", owner_->options_.max_pending_bytes,
                       " bytes wait to be sent to NATS at ", owner_->public_url_));
    }
  }
  const Terminated subject(message.to);
  const Terminated reply(message.reply_to);
  const char* const reply_text = message.reply_to.empty() ? nullptr : reply.c_str();
  const int size = static_cast<int>(message.body.size());
  natsStatus status = NATS_OK;
  if (message.fields.empty()) {
    status = reply_text == nullptr
                 ? natsConnection_Publish(nats_, subject.c_str(), message.body.data(), size)
                 : natsConnection_PublishRequest(nats_, subject.c_str(), reply_text,
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
    if (status == NATS_OK) status = natsConnection_PublishMsg(nats_, raw);
  }
  if (status == NATS_OK) [[likely]] {
    pending_.fetch_add(message.body.size() + message.to.size(), std::memory_order_relaxed);
    return absl::OkStatus();
  }
  if (status == NATS_MAX_PAYLOAD) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the message is larger than the max_payload of the NATS server, ",
                     natsConnection_GetMaxPayload(nats_), " bytes"));
  }
  return ToStatus(status, absl::StrCat("NATS at ", owner_->public_url_));
}

// ---- Subscription -------------------------------------------------------------------------------

namespace {

// What nats.c holds for an asynchronous subscription, until its last callback has ended.
struct Receiver {
  Connection::OnMessage on_message;
  std::function<void()> gone;
};

}  // namespace

Connection::Subscription::Subscription(std::string subject, std::string queue, OnMessage on_message)
    : subject_(std::move(subject)), queue_(std::move(queue)), on_message_(std::move(on_message)) {}

Connection::Subscription::~Subscription() { Use(nullptr); }

void Connection::Subscription::Use(natsSubscription* made) noexcept {
  natsSubscription* before = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    before = now_.exchange(made);
    waiting_ = 0;
  }
  if (before != nullptr) natsSubscription_Destroy(before);
}

MessagePtr Connection::Subscription::Next(bool* nobody) {
  natsSubscription* const now = now_.load(std::memory_order_relaxed);
  if (now == nullptr) return nullptr;
  for (;;) {
    // nats.c formats an error where there is nothing.
    if (waiting_ == 0 &&
        (natsSubscription_QueuedMsgs(now, &waiting_) != NATS_OK || waiting_ == 0)) {
      return nullptr;
    }
    --waiting_;
    natsMsg* raw = nullptr;
    const natsStatus status = natsSubscription_NextMsg(&raw, now, 0);
    if (status == NATS_OK) return MessagePtr(raw);
    if (status == NATS_NO_RESPONDERS && nobody != nullptr) {
      *nobody = true;
      return nullptr;
    }
    // Somebody may send what looks like the server's own word; nats.c keeps it to itself.
    if (status != NATS_NO_RESPONDERS) {
      waiting_ = 0;
      return nullptr;
    }
  }
}

void Connection::Subscription::Drain(std::chrono::milliseconds timeout) noexcept {
  const std::scoped_lock lock(mutex_);
  drained_ = true;
  if (now_.load() != nullptr) natsSubscription_DrainTimeout(now_.load(), timeout.count());
}

absl::StatusOr<natsSubscription*> Connection::MakeOn(Session& session,
                                                     const Subscription& subscription) {
  natsSubscription* made = nullptr;
  const char* const subject = subscription.subject_.c_str();
  const char* const queue = subscription.queue_.c_str();
  const bool queued = !subscription.queue_.empty();
  natsStatus status = NATS_OK;
  if (subscription.on_message_ == nullptr) {
    status = queued ? natsConnection_QueueSubscribeSync(&made, session.nats(), subject, queue)
                    : natsConnection_SubscribeSync(&made, session.nats(), subject);
  } else {
    auto receiver = std::make_unique<Receiver>();
    receiver->on_message = subscription.on_message_;
    receiver->gone = [silence = silence_] { silence->Leave(); };
    const auto deliver = [](natsConnection*, natsSubscription*, natsMsg* raw, void* held) {
      static_cast<Receiver*>(held)->on_message(MessagePtr(raw));
    };
    status =
        queued ? natsConnection_QueueSubscribe(&made, session.nats(), subject, queue, deliver,
                                               receiver.get())
               : natsConnection_Subscribe(&made, session.nats(), subject, deliver, receiver.get());
    if (status == NATS_OK) {
      silence_->Enter();
      natsSubscription_SetOnCompleteCB(
          made,
          [](void* held) {
            const std::unique_ptr<Receiver> gone(static_cast<Receiver*>(held));
            gone->gone();
          },
          receiver.release());
    }
  }
  if (status != NATS_OK) {
    return ToStatus(status,
                    absl::StrCat("NATS at ", public_url_, ": cannot subscribe to ", subject));
  }
  // Bounded by the calls and the streams' windows, and not by what nats.c would drop.
  natsSubscription_SetPendingLimits(made, -1, -1);
  return made;
}

// ---- Connection ---------------------------------------------------------------------------------

Connection::Connection(const Nats& options, Loop& loop, Events events, std::shared_ptr<void> keep)
    : options_(options),
      public_url_(PublicUrl(options.url)),
      loop_(loop),
      keep_(std::move(keep)),
      events_(std::move(events)),
      silence_(std::make_shared<Silence>()),
      url_(public_url_) {}

Connection::~Connection() {
  if (!reconnector_.joinable()) return;
  // Its thread may be the last to hold it.
  if (reconnector_.get_id() == std::this_thread::get_id()) {
    reconnector_.detach();
  } else {
    reconnector_.join();
  }
}

absl::StatusOr<std::shared_ptr<Connection>> Connection::Open(const Nats& options, Loop& loop,
                                                             bool background, Events events,
                                                             std::shared_ptr<void> keep) {
  auto connection = std::make_shared<Connection>(options, loop, std::move(events), std::move(keep));
  absl::StatusOr<std::shared_ptr<Session>> session = Session::Connect(connection);
  // One time in a hundred nats.c 3.4.1 leaves the signature out, and the NATS server answers as if
  // it were wrong ("Signature missing" in its log).
  const bool signs = !options.creds_file.empty() || !options.nkey.empty();
  for (int again = 0; again < 3 && signs && absl::IsUnauthenticated(session.status()); ++again) {
    session = Session::Connect(connection);
  }
  if (session.ok()) {
    {
      const std::scoped_lock lock(connection->mutex_);
      connection->TakeUp(*session);
    }
    // Lost already, and OnLost found it not yet in use.
    if (natsConnection_IsClosed((*session)->nats())) {
      loop.Post([connection, lost = *session] { connection->OnLost(lost); });
    }
    return connection;
  }
  if (!background || !absl::IsUnavailable(session.status())) return session.status();
  Log().Warn("NATS cannot be reached; trying again in the background",
             {{"url", connection->public_url_}, {"why", session.status().message()}});
  {
    const std::scoped_lock lock(connection->mutex_);
    connection->why_not_ = session.status();
  }
  connection->StartReconnecting();
  return connection;
}

std::shared_ptr<Connection::Session> Connection::session() const {
  const std::scoped_lock lock(mutex_);
  return session_;
}

absl::Status Connection::WhyNot() const {
  if (closed_.load()) {
    return absl::UnavailableError(
        absl::StrCat("the connection to NATS at ", public_url_, " is closed"));
  }
  absl::Status why;
  {
    const std::scoped_lock lock(mutex_);
    why = why_not_;
  }
  if (!why.ok() && !absl::IsUnavailable(why)) return why;
  return absl::UnavailableError(
      absl::StrCat("NATS at ", public_url_, " cannot be reached",
                   ever_connected_.load() ? " (any more); reconnecting" : " yet",
                   why.ok() ? "" : absl::StrCat(": ", why.message())));
}

absl::StatusOr<std::shared_ptr<Connection::Subscription>> Connection::Subscribe(
    std::string subject, std::string queue, OnMessage on_message) {
  auto subscription =
      std::make_shared<Subscription>(std::move(subject), std::move(queue), std::move(on_message));
  std::shared_ptr<Session> now;
  {
    const std::scoped_lock lock(mutex_);
    subscriptions_.push_back(subscription);
    now = session_;
  }
  if (now == nullptr) return subscription;
  absl::StatusOr<natsSubscription*> made = MakeOn(*now, *subscription);
  // One that has just been lost is made anew, and the subscription with it.
  if (!made.ok() && natsConnection_IsClosed(now->nats())) return subscription;
  if (!made.ok()) return made.status();
  {
    const std::scoped_lock lock(mutex_);
    if (session_ == now) {
      subscription->Use(*made);
      return subscription;
    }
  }
  // Another connection has it by now, or will.
  natsSubscription_Destroy(*made);
  return subscription;
}

void Connection::OnLost(const std::shared_ptr<Session>& session) {
  const absl::Status why = session->Why();
  {
    const std::scoped_lock lock(mutex_);
    if (session_ != session) return;  // never used: whoever made it sees that it is closed
    session_ = nullptr;
    why_not_ = why;
  }
  if (closed_.load()) return;
  Log().Warn("connection lost; reconnecting", {{"url", public_url_}, {"why", why.message()}});
  events_.on_disconnected();
  StartReconnecting();
}

void Connection::StartReconnecting() {
  const std::scoped_lock lock(mutex_);
  if (closed_.load()) return;
  // The one before has handed its session over, and is at its end.
  if (reconnector_.joinable()) reconnector_.join();
  silence_->Enter();
  reconnector_ = std::thread([self = shared_from_this()]() mutable {
    self->Reconnect();
    const std::shared_ptr<Silence> silence = self->silence_;
    self.reset();
    silence->Leave();
  });
}

void Connection::Reconnect() {
  for (int attempt = 1;; ++attempt) {
    {
      std::unique_lock lock(mutex_);
      closing_.wait_for(lock, ReconnectDelay(attempt), [this] { return closed_.load(); });
    }
    if (closed_.load()) return;
    absl::StatusOr<std::shared_ptr<Session>> session = Session::Connect(shared_from_this());
    std::vector<std::shared_ptr<Subscription>> wanted;
    {
      const std::scoped_lock lock(mutex_);
      if (!session.ok()) {
        why_not_ = session.status();
        continue;
      }
      std::erase_if(subscriptions_, [](const auto& each) { return each.expired(); });
      for (const auto& each : subscriptions_) {
        if (auto subscription = each.lock()) wanted.push_back(std::move(subscription));
      }
    }
    std::vector<std::pair<std::shared_ptr<Subscription>, natsSubscription*>> made;
    absl::Status failed;
    for (std::shared_ptr<Subscription>& each : wanted) {
      {
        const std::scoped_lock lock(each->mutex_);
        if (each->drained_) continue;
      }
      absl::StatusOr<natsSubscription*> one = MakeOn(**session, *each);
      if (!one.ok()) {
        failed = one.status();
        break;
      }
      made.emplace_back(std::move(each), *one);
    }
    if (!failed.ok()) {
      for (const auto& [subscription, one] : made) natsSubscription_Destroy(one);
      (*session)->Close();
      const std::scoped_lock lock(mutex_);
      why_not_ = failed;
      continue;
    }
    loop_.Post([self = shared_from_this(), session = *std::move(session), made = std::move(made)] {
      self->Adopt(session, made);
    });
    return;
  }
}

void Connection::Adopt(
    const std::shared_ptr<Session>& session,
    std::vector<std::pair<std::shared_ptr<Subscription>, natsSubscription*>> made) {
  std::deque<Held> held;
  std::vector<std::shared_ptr<Subscription>> late;
  bool taken = false;
  {
    const std::scoped_lock lock(mutex_);
    taken = !closed_.load() && !natsConnection_IsClosed(session->nats());
    if (taken) {
      TakeUp(session);
      held.swap(held_);
      held_bytes_ = 0;
      for (const auto& each : subscriptions_) {
        auto one = each.lock();
        if (one != nullptr && std::none_of(made.begin(), made.end(),
                                           [&](const auto& other) { return other.first == one; })) {
          late.push_back(std::move(one));
        }
      }
    }
  }
  if (!taken) {
    for (const auto& [subscription, one] : made) natsSubscription_Destroy(one);
    session->Close();
    StartReconnecting();  // nothing, if we are closed
    return;
  }
  for (const auto& [subscription, one] : made) subscription->Use(one);
  // Those that were asked for while the others were made.
  for (const auto& each : late) {
    {
      const std::scoped_lock lock(each->mutex_);
      if (each->drained_ || each->now_.load() != nullptr) continue;
    }
    const absl::StatusOr<natsSubscription*> one = MakeOn(*session, *each);
    if (one.ok()) each->Use(*one);
  }
  for (const Held& each : held) {
    OutboundMessage message;
    message.to = each.to;
    message.reply_to = each.reply_to;
    for (const auto& [name, value] : each.fields) message.Add(name, value);
    message.body = each.body;
    session->Publish(message).IgnoreError();
  }
  Log().Info("connected", {{"url", url()}});
  events_.on_reconnected();
  // What had come before anybody could take it.
  events_.on_read();
}

void Connection::TakeUp(const std::shared_ptr<Session>& session) {
  session_ = session;
  why_not_ = absl::OkStatus();
  max_payload_ = static_cast<std::size_t>(
      std::max<std::int64_t>(0, natsConnection_GetMaxPayload(session->nats())));
  url_ = ConnectedUrl(session->nats(), public_url_);
  ever_connected_.store(true);
}

std::chrono::milliseconds Connection::ReconnectDelay(int attempts) {
  const std::int64_t first = options_.reconnect_wait.count();
  const std::int64_t most = options_.max_reconnect_wait.count();
  const std::int64_t wait = std::min(most, first << std::clamp(attempts - 1, 0, 20));
  // Not all clients of a server that comes back at the same moment.
  thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_int_distribution<std::int64_t> fifth(0, wait / 5);
  return std::chrono::milliseconds(wait - wait / 5 + fifth(random));
}

absl::Status Connection::Publish(const OutboundMessage& message) {
  if (const std::shared_ptr<Session> now = session(); now != nullptr) [[likely]] {
    return now->Publish(message);
  }
  Held held;
  held.to = message.to;
  held.reply_to = message.reply_to;
  for (const WireField& field : message.fields) held.fields.emplace_back(field.name, field.value);
  held.body = message.body;
  const std::size_t size = held.size();
  {
    const std::scoped_lock lock(mutex_);
    if (session_ == nullptr && !closed_.load()) {
      if (held_bytes_ + size > options_.max_pending_bytes) {
        return absl::ResourceExhaustedError(absl::StrCat("more than ", options_.max_pending_bytes,
                                                         " bytes wait to be sent to NATS at ",
                                                         public_url_));
      }
      held_bytes_ += size;
      held_.push_back(std::move(held));
      return absl::OkStatus();
    }
  }
  const std::shared_ptr<Session> now = session();
  return now == nullptr ? WhyNot() : now->Publish(message);
}

absl::Status Connection::Flush(std::chrono::milliseconds timeout) {
  const std::shared_ptr<Session> now = session();
  if (now == nullptr) return WhyNot();
  return ToStatus(
      natsConnection_FlushTimeout(now->nats(), std::max<std::int64_t>(1, timeout.count())),
      absl::StrCat("NATS at ", public_url_));
}

void Connection::Close() noexcept {
  std::shared_ptr<Session> last;
  {
    const std::scoped_lock lock(mutex_);
    if (closed_.exchange(true)) return;
    last = std::move(session_);
    session_ = nullptr;
    held_.clear();
    closing_.notify_all();
  }
  if (last != nullptr) last->Close();
}

void Connection::AwaitSilence(std::chrono::milliseconds most) noexcept {
  std::thread reconnector;
  {
    const std::scoped_lock lock(mutex_);
    reconnector = std::move(reconnector_);
  }
  // It may be about to use the loop.
  if (reconnector.joinable()) reconnector.join();
  std::unique_lock lock(silence_->mutex);
  silence_->changed.wait_for(lock, most, [this] { return silence_->callers == 0; });
}

ConnectionState Connection::state() const noexcept {
  if (closed_.load()) return ConnectionState::kShutdown;
  const std::shared_ptr<Session> now = session();
  if (now != nullptr && !natsConnection_IsClosed(now->nats())) return ConnectionState::kReady;
  return ever_connected_.load() ? ConnectionState::kTransientFailure : ConnectionState::kConnecting;
}

absl::Status Connection::Ready() const {
  const std::shared_ptr<Session> now = session();
  if (now != nullptr && !natsConnection_IsClosed(now->nats())) [[likely]] {
    return absl::OkStatus();
  }
  return WhyNot();
}

absl::Status Connection::Refusal() const {
  const std::shared_ptr<Session> now = session();
  const char* text = nullptr;
  if (now == nullptr || natsConnection_GetLastError(now->nats(), &text) != NATS_NOT_PERMITTED) {
    return absl::OkStatus();
  }
  const std::optional<Refused> refused = ReadRefusal(text);
  if (!refused || refused->publish) return absl::OkStatus();
  return NotPermitted(*refused, public_url_);
}

std::size_t Connection::max_payload() const noexcept {
  const std::scoped_lock lock(mutex_);
  return max_payload_;
}

std::string Connection::url() const {
  const std::scoped_lock lock(mutex_);
  return url_;
}

absl::Status WaitForNats(const Nats& options, Deadline give_up,
                         const std::function<absl::Status()>& open) {
  std::chrono::milliseconds wait = options.reconnect_wait;
  for (bool told = false;; told = true) {
    const absl::Status opened = open();
    if (opened.ok()) return opened;
    const bool hopeless = !absl::IsUnavailable(opened);
    if (hopeless || std::chrono::steady_clock::now() + wait > give_up) {
      return absl::Status(
          opened.code(),
          absl::StrCat(opened.message(),
                       hopeless ? ""
                                : ". Start the NATS server, or give Nats::url its address; "
                                  "Nats::start_timeout says how long to wait for it."));
    }
    if (!told) {
      Log().Warn("waiting for NATS", {{"url", PublicUrl(options.url)}, {"why", opened.message()}});
    }
    std::this_thread::sleep_for(wait);
    wait = std::min(wait * 2, options.max_reconnect_wait);
  }
}

}  // namespace rookery::nats_adapter
