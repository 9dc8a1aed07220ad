#include "server.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/offload.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"

namespace rookery::contract {
namespace {

absl::Status StatusOf(const Failure& failure) {
  absl::Status status(static_cast<absl::StatusCode>(failure.code()), failure.message());
  for (const Payload& detail : failure.details()) status = WithDetails(std::move(status), detail);
  return status;
}

// Throws if the failure is one that is thrown.
void ThrowIfAsked(const Failure& failure) {
  switch (failure.how()) {
    case Failure::THROW:
      throw RpcException(StatusOf(failure));
    case Failure::THROW_FOREIGN:
      throw std::runtime_error(failure.message());
    case Failure::THROW_INT:
      throw 42;
    default:
      break;
  }
}

void SetFields(const google::protobuf::RepeatedPtrField<Field>& fields, Metadata* metadata) {
  for (const Field& field : fields) {
    const absl::Status added = metadata->Add(field.key(), field.value());
    if (!added.ok()) throw RpcException(added);
  }
}

// Counts a handler's frame in and out, also when it is destroyed where it waits.
class Presence final {
 public:
  explicit Presence(Probe& probe) : probe_(probe) { probe_.entered.fetch_add(1); }
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;
  ~Presence() { probe_.ended.fetch_add(1); }

 private:
  Probe& probe_;
};

Task<void> WaitFor(Event& event) { co_await event.Wait(); }

}  // namespace

Task<Payload> ContractController::Echo(CallContext& /*call*/, const Payload& request) {
  probe_.echoed.fetch_add(1);
  co_return request;
}

Task<Payload> ContractController::Fail(CallContext& /*call*/, const Failure& request) {
  ThrowIfAsked(request);
  co_return StatusOf(request);
}

Task<Payload> ContractController::Reply(CallContext& call, const ReplyRequest& request) {
  SetFields(request.headers(), &call.response_headers());
  SetFields(request.trailers(), &call.response_trailers());
  if (request.failure().code() != 0) co_return StatusOf(request.failure());
  Payload reply;
  reply.set_text("replied");
  co_return reply;
}

Stream<Payload> ContractController::ReplyStream(CallContext& call, const ReplyRequest& request) {
  SetFields(request.headers(), &call.response_headers());
  for (int i = 0; i < 2; ++i) {
    Payload reply;
    reply.set_number(i);
    co_yield std::move(reply);
  }
  SetFields(request.trailers(), &call.response_trailers());
  if (request.failure().code() != 0) {
    absl::Status status = StatusOf(request.failure());
    co_await rookery::Fail(std::move(status));
  }
}

Task<Seen> ContractController::Look(CallContext& call, const LookRequest& request) {
  log_.Info("looking");
  Seen seen;
  for (const auto& [key, value] : call.metadata()) {
    Field& field = *seen.add_metadata();
    field.set_key(key);
    field.set_value(value);
  }
  seen.set_transport(std::string(call.transport()));
  seen.set_method(std::string(call.method().full_name));
  seen.set_peer(call.peer().address);
  seen.set_request_id(std::string(Cls::Id()));
  seen.set_trace_id(call.trace().trace_id());
  seen.set_span_id(call.trace().span_id());
  seen.set_parent_span_id(call.trace().parent_span_id());
  seen.set_sampled(call.trace().sampled());
  seen.set_tracestate(call.trace().tracestate());
  seen.set_has_deadline(call.deadline() != kNoDeadline);
  seen.set_remaining_ns(call.time_remaining().count());
  auto& values = *seen.mutable_values();
  if (const std::string* const tenant = Cls::Get(kTenant)) values["tenant"] = *tenant;
  if (const std::int64_t* const level = Cls::Get(kLevel)) values["level"] = std::to_string(*level);
  if (const std::string* const secret = Cls::Get(kSecret)) values["secret"] = *secret;
  if (const std::string* const local = Cls::Get(kLocal)) values["local"] = *local;
  Loop* const before = Loop::Current();
  co_await Sleep(std::chrono::milliseconds(1));
  seen.set_same_loop(before != nullptr && Loop::Current() == before);
  if (request.hops() > 0) {
    LookRequest onward;
    onward.set_hops(request.hops() - 1);
    Seen next = co_await probe_.next().Look(onward);
    *seen.mutable_next() = std::move(next);
  }
  co_return seen;
}

Task<void> ContractController::WaitForRelease() {
  absl::Status waited = co_await AsStatusOr(WaitFor(probe_.release));
  if (!waited.ok()) {
    probe_.NoteReason(waited);
    probe_.cancelled.fetch_add(1);
    co_await rookery::Fail(std::move(waited));
  }
}

Task<Payload> ContractController::Hold(CallContext& call, const HoldRequest& request) {
  probe_.remaining_ns.store(call.time_remaining().count());
  const Presence presence(probe_);
  if (request.hops() > 0) {
    HoldRequest onward = request;
    onward.set_hops(request.hops() - 1);
    absl::StatusOr<Payload> reply = co_await AsStatusOr(probe_.next().Hold(onward));
    if (!reply.ok()) probe_.NoteReason(reply.status());
    co_return reply;
  }
  if (request.deaf()) {
    // Outside the context nobody tells it to stop.
    auto wait = [this] { return WaitFor(probe_.release); };
    Task<void> deaf = Cls::Exit(wait);
    co_await std::move(deaf);
  } else {
    co_await WaitForRelease();
  }
  Payload reply;
  reply.set_text("released");
  co_return reply;
}

Task<Isolation> ContractController::Isolate(CallContext& call, const Payload& request) {
  const std::int64_t number = request.number();
  Cls::Set(kNumber, number);
  bool kept = true;
  const auto look = [&] {
    const std::int64_t* const value = Cls::Get(kNumber);
    if (value == nullptr || *value != number || CallContext::Current() != &call) kept = false;
  };
  for (int i = 0; i < 3; ++i) {
    co_await Yield();
    look();
  }
  if (number % 4 == 0) {
    co_await Sleep(std::chrono::microseconds(100));
    look();
  }
  if (number % 16 == 0) {
    auto peek = [] { return Cls::GetOr(kNumber, -1); };
    const std::int64_t there = co_await Offload(peek);
    kept = kept && there == number;
    look();
  }
  if (number % 8 == 0) {
    auto nested = [number]() -> Task<std::int64_t> {
      Cls::Set(kNumber, -number - 1);
      co_await Yield();
      co_return Cls::GetOr(kNumber, 0);
    };
    Task<std::int64_t> run = Cls::Run(nested);
    const std::int64_t inside = co_await std::move(run);
    kept = kept && inside == -number - 1;
    look();
  }
  if (!kept) probe_.interfered.fetch_add(1);
  Isolation isolation;
  isolation.set_number(number);
  isolation.set_kept(kept);
  co_return isolation;
}

Task<Payload> ContractController::Leave(CallContext& /*call*/, const Payload& request) {
  Cls::Set(kLocal, request.text());
  auto work = [](Probe& probe) -> Task<void> {
    co_await probe.after.Wait();
    probe.Note(Cls::GetOr(kLocal, "lost") + " " + std::string(Cls::Id()));
  };
  SpawnDetached(work(probe_));
  Payload reply;
  reply.set_text(std::string(Cls::Id()));
  co_return reply;
}

Stream<Number> ContractController::Count(CallContext& /*call*/, const CountRequest& request) {
  const Presence presence(probe_);
  const std::string data(static_cast<std::size_t>(request.bytes()), 'd');
  for (std::int64_t i = 0; i < request.count(); ++i) {
    Number number;
    number.set_value(i);
    number.set_data(data);
    probe_.produced.fetch_add(1);
    co_yield std::move(number);
  }
  if (request.hold()) co_await WaitForRelease();
  if (request.has_failure()) {
    ThrowIfAsked(request.failure());
    absl::Status status = StatusOf(request.failure());
    co_await rookery::Fail(std::move(status));
  }
}

Task<Summary> ContractController::Sum(CallContext& /*call*/, Stream<Number> requests) {
  const Presence presence(probe_);
  Summary summary;
  for (;;) {
    std::optional<Number> number;
    absl::Status failure;
    try {
      number = co_await requests.Next();
    } catch (const RpcException& error) {
      failure = error.status();
    }
    if (!failure.ok()) {
      probe_.NoteReason(failure);
      probe_.cancelled.fetch_add(1);
      co_return failure;
    }
    if (!number) break;
    probe_.consumed.fetch_add(1);
    if (number->value() == -1) co_await probe_.gate.Wait();
    if (number->value() == -2) break;  // has heard enough
    summary.set_count(summary.count() + 1);
    summary.set_sum(summary.sum() + number->value());
  }
  co_return summary;
}

Stream<Number> ContractController::Chat(CallContext& /*call*/, Stream<Number> requests) {
  const Presence presence(probe_);
  for (;;) {
    std::optional<Number> number = co_await requests.Next();
    if (!number) break;
    if (number->value() == -1) {
      co_await rookery::Fail(absl::OutOfRangeError("no number below zero"));
    }
    number->set_value(number->value() * 2);
    co_yield *std::move(number);
  }
}

Stream<Number> ContractController::Tally(CallContext& /*call*/, Stream<Number> requests) {
  std::int64_t count = 0;
  for (;;) {
    std::optional<Number> number = co_await requests.Next();
    if (!number) break;
    ++count;
  }
  for (int i = 0; i < 2; ++i) {
    Number number;
    number.set_value(count);
    co_yield std::move(number);
  }
}

Task<void> ContractController::OnNote(CallContext& call, const Payload& event) {
  const auto mark = call.metadata().Get("x-mark");
  std::string note = event.text();
  if (mark) note.append(" ").append(*mark);
  probe_.Note(std::move(note));
  co_return;
}

// ---- the pipeline of Enhanced ---------------------------------------------------------------

Task<absl::Status> Guard::CanActivate(ExecutionContext& context) {
  co_await Yield();  // an asynchronous one
  probe_.Note("guard");
  if (context.call().metadata().Get("x-user") == "stranger") {
    co_return absl::UnauthenticatedError("who are you?");
  }
  co_return absl::OkStatus();
}

bool Doorman::CanActivate(ExecutionContext& context) {
  return context.call().metadata().Get("x-user") != "banned";
}

Task<Response> Interceptor::Intercept(ExecutionContext& context, Next next) {
  probe_.Note("in");
  if (context.call().metadata().Get("x-cached") == "yes") {
    Payload cached;
    cached.set_text("from the cache");
    co_return Response::Of(std::move(cached));
  }
  Response response = co_await next();
  probe_.Note("out");
  if (auto* const payload = response.As<Payload>()) payload->set_text("[" + payload->text() + "]");
  co_return response;
}

absl::Status Pipe::Transform(Payload& message, const ArgumentMetadata&) {
  probe_.Note("pipe");
  if (message.text() == "bad") return absl::InvalidArgumentError("text: must not be bad");
  message.set_text(message.text() + "+piped");
  return absl::OkStatus();
}

absl::Status Filter::Catch(const DomainError& error, ExecutionContext& context) {
  return absl::FailedPreconditionError(std::string(context.transport()) + " filtered " +
                                       error.what);
}

Task<Payload> EnhancedController::Do(CallContext& /*call*/, const Payload& request) {
  probe_.Note("handler");
  if (request.number() == 13) throw DomainError{request.text()};
  Payload reply;
  reply.set_text(request.text());
  co_return reply;
}

Stream<Payload> EnhancedController::DoMany(CallContext& /*call*/, Stream<Payload> requests) {
  probe_.Note("handler");
  for (;;) {
    std::optional<Payload> request = co_await requests.Next();
    if (!request) break;
    if (request->number() == 13) throw DomainError{request->text()};
    co_yield *std::move(request);
  }
}

void EnhancedController::Configure(ControllerBuilder& controller) {
  controller.UseGuard<Guard>().UseGuard<Doorman>().UseInterceptor<Interceptor>().UsePipe<Pipe>();
  controller.UseFilter<Filter>();
}

DynamicModule MakeModule(Probe& probe) {
  struct ContractModule {};
  DynamicModule module = DynamicModule::Of<ContractModule>();
  module.ProvideValue(std::ref(probe))
      .Controller<ContractController>()
      .Controller<EnhancedController>();
  return module;
}

}  // namespace rookery::contract
