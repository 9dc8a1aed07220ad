"""gRPC's interoperability tests in Python, on Debian's python3-grpcio: a foreign client and server.

    interop.py server --protos DIR [--port N]           prints "READY PORT"
    interop.py client --protos DIR --server_host H --server_port N --test_case NAME

DIR holds interop.desc, the descriptor set that protoc makes of tests/interop/proto. The cases are those of
https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md; each fails with an
AssertionError that says what was expected. Exit code 0: the case passed; 3: it cannot be run by this
peer, with the reason.
"""
import argparse
import sys
import threading
import time
from concurrent import futures

import grpc


class Protos:
    """The message classes, made from the descriptor set (no module named grpc to clash with)."""

    def __init__(self, directory):
        import os
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        pool = descriptor_pool.DescriptorPool()
        with open(os.path.join(directory, "interop.desc"), "rb") as f:
            files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
        for file in files.file:
            pool.Add(file)
        factory = message_factory.MessageFactory(pool)
        for name in ("Empty", "SimpleRequest", "SimpleResponse", "Payload", "EchoStatus", "BoolValue",
                     "StreamingInputCallRequest", "StreamingInputCallResponse",
                     "ResponseParameters", "StreamingOutputCallRequest",
                     "StreamingOutputCallResponse", "TestOrcaReport"):
            setattr(self, name,
                    factory.GetPrototype(pool.FindMessageTypeByName("grpc.testing." + name)))


SERVICE = "/grpc.testing.TestService/"
INITIAL_KEY = "x-grpc-test-echo-initial"
TRAILING_KEY = "x-grpc-test-echo-trailing-bin"
SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
STREAM_SIZES = (31415, 9, 2653, 58979)
REQUEST_SIZES = (27182, 8, 1828, 45904)


def expect(actual, wanted, what):
    assert actual == wanted, f"{what}: got {actual!r}, wanted {wanted!r}"


def expect_error(call, code, message=None):
    try:
        call()
    except grpc.RpcError as error:
        expect(error.code(), code, "status code")
        if message is not None:
            expect(error.details(), message, "status message")
        return error
    raise AssertionError(f"the call succeeded, wanted {code}")


class Client:
    def __init__(self, protos, target):
        self.p = protos
        self.target = target
        self.channel = grpc.insecure_channel(target)

    def unary(self, method, request_type, reply_type, service=SERVICE, channel=None):
        return (channel or self.channel).unary_unary(
            service + method, request_serializer=request_type.SerializeToString,
            response_deserializer=reply_type.FromString)

    def call(self):
        return self.unary("UnaryCall", self.p.SimpleRequest, self.p.SimpleResponse)

    def input_call(self):
        return self.channel.stream_unary(
            SERVICE + "StreamingInputCall",
            request_serializer=self.p.StreamingInputCallRequest.SerializeToString,
            response_deserializer=self.p.StreamingInputCallResponse.FromString)

    def output_call(self):
        return self.channel.unary_stream(
            SERVICE + "StreamingOutputCall",
            request_serializer=self.p.StreamingOutputCallRequest.SerializeToString,
            response_deserializer=self.p.StreamingOutputCallResponse.FromString)

    def duplex(self, method="FullDuplexCall"):
        return self.channel.stream_stream(
            SERVICE + method,
            request_serializer=self.p.StreamingOutputCallRequest.SerializeToString,
            response_deserializer=self.p.StreamingOutputCallResponse.FromString)

    def simple(self, response_size=314159, request_size=271828, **fields):
        return self.p.SimpleRequest(response_size=response_size,
                                    payload=self.p.Payload(body=b"\0" * request_size), **fields)

    # --- the cases -------------------------------------------------------------------------------
    def empty_unary(self):
        expect(self.unary("EmptyCall", self.p.Empty, self.p.Empty)(self.p.Empty()),
               self.p.Empty(), "reply")

    def cacheable_unary(self):
        stamp = str(time.time_ns()).encode()
        request = self.p.SimpleRequest(payload=self.p.Payload(body=stamp), response_size=3)
        call = self.unary("CacheableUnaryCall", self.p.SimpleRequest, self.p.SimpleResponse)
        for _ in range(2):
            reply = call(request, metadata=(("x-user-ip", "1.2.3.4"),))
            expect(len(reply.payload.body), 3, "payload size")

    def large_unary(self):
        reply = self.call()(self.simple())
        expect(reply.payload.type, 0, "payload type")
        expect(len(reply.payload.body), 314159, "payload size")

    def client_compressed_unary(self):
        yes, no = self.p.BoolValue(value=True), self.p.BoolValue(value=False)
        # The probe: a server that cannot tell would answer this.
        expect_error(lambda: self.call()(self.simple(expect_compressed=yes)),
                     grpc.StatusCode.INVALID_ARGUMENT)
        reply = self.call()(self.simple(expect_compressed=yes), compression=grpc.Compression.Gzip)
        expect(len(reply.payload.body), 314159, "payload size")
        reply = self.call()(self.simple(expect_compressed=no))
        expect(len(reply.payload.body), 314159, "payload size")

    def server_compressed_unary(self):
        for compressed in (True, False):
            reply = self.call()(
                self.simple(response_compressed=self.p.BoolValue(value=compressed)))
            expect(len(reply.payload.body), 314159, "payload size")

    def client_streaming(self):
        requests = (self.p.StreamingInputCallRequest(payload=self.p.Payload(body=b"\0" * size))
                    for size in REQUEST_SIZES)
        expect(self.input_call()(requests).aggregated_payload_size, 74922, "aggregate")

    def client_compressed_streaming(self):
        yes, no = self.p.BoolValue(value=True), self.p.BoolValue(value=False)
        request = self.p.StreamingInputCallRequest(
            payload=self.p.Payload(body=b"\0" * 27182), expect_compressed=yes)
        expect_error(lambda: self.input_call()(iter([request])), grpc.StatusCode.INVALID_ARGUMENT)
        second = self.p.StreamingInputCallRequest(
            payload=self.p.Payload(body=b"\0" * 45904), expect_compressed=no)
        # Python cannot switch compression off for one message: the second goes in a call of its own.
        reply = self.input_call()(iter([request]), compression=grpc.Compression.Gzip)
        expect(reply.aggregated_payload_size, 27182, "aggregate, compressed")
        expect(self.input_call()(iter([second])).aggregated_payload_size, 45904, "aggregate, plain")

    def output_request(self, sizes, compressed=None):
        request = self.p.StreamingOutputCallRequest()
        for index, size in enumerate(sizes):
            parameters = request.response_parameters.add(size=size)
            if compressed is not None:
                parameters.compressed.value = compressed[index]
        return request

    def server_streaming(self):
        sizes = [len(r.payload.body)
                 for r in self.output_call()(self.output_request(STREAM_SIZES))]
        expect(sizes, list(STREAM_SIZES), "sizes")

    def server_compressed_streaming(self):
        wanted = (31415, 92653)
        sizes = [len(r.payload.body)
                 for r in self.output_call()(self.output_request(wanted, (True, False)))]
        expect(sizes, list(wanted), "sizes")

    def ping_pong(self):
        step = threading.Semaphore(1)

        def requests():
            for reply_size, size in zip(STREAM_SIZES, REQUEST_SIZES):
                step.acquire()
                request = self.output_request((reply_size,))
                request.payload.body = b"\0" * size
                yield request

        sizes = []
        for reply in self.duplex()(requests()):
            sizes.append(len(reply.payload.body))
            step.release()
        expect(sizes, list(STREAM_SIZES), "sizes")

    def half_duplex(self):
        requests = [self.output_request((size,)) for size in STREAM_SIZES]
        sizes = [len(r.payload.body) for r in self.duplex("HalfDuplexCall")(iter(requests))]
        expect(sizes, list(STREAM_SIZES), "sizes")

    def empty_stream(self):
        expect(list(self.duplex()(iter(()))), [], "replies")

    def timeout_on_sleeping_server(self):
        held = threading.Event()

        def requests():
            request = self.output_request(())
            request.payload.body = b"\0" * 27182
            yield request
            held.wait(10)

        call = self.duplex()(requests(), timeout=0.001)
        expect_error(lambda: list(call), grpc.StatusCode.DEADLINE_EXCEEDED)
        held.set()

    def cancel_after_begin(self):
        held = threading.Event()

        def requests():
            held.wait(10)
            return
            yield

        call = self.input_call().future(requests())
        call.cancel()
        held.set()
        expect(call.cancelled(), True, "cancelled")
        expect(call.code(), grpc.StatusCode.CANCELLED, "status code")

    def cancel_after_first_response(self):
        held = threading.Event()

        def requests():
            request = self.output_request((31415,))
            request.payload.body = b"\0" * 27182
            yield request
            held.wait(10)

        call = self.duplex()(requests())
        expect(len(next(call).payload.body), 31415, "first size")
        call.cancel()
        expect_error(lambda: next(call), grpc.StatusCode.CANCELLED)
        held.set()

    def status_code_and_message(self):
        self.echo_status("test status message")

    def special_status_message(self):
        status = self.p.EchoStatus(code=2, message=SPECIAL_MESSAGE)
        expect_error(lambda: self.call()(self.p.SimpleRequest(response_status=status)),
                     grpc.StatusCode.UNKNOWN, SPECIAL_MESSAGE)

    def echo_status(self, message):
        status = self.p.EchoStatus(code=2, message=message)
        expect_error(lambda: self.call()(self.p.SimpleRequest(response_status=status)),
                     grpc.StatusCode.UNKNOWN, message)
        request = self.p.StreamingOutputCallRequest(response_status=status)
        expect_error(lambda: list(self.duplex()(iter([request]))), grpc.StatusCode.UNKNOWN, message)

    def custom_metadata(self):
        metadata = ((INITIAL_KEY, "test_initial_metadata_value"), (TRAILING_KEY, b"\xab\xab\xab"))

        def check(call):
            expect(dict(call.initial_metadata()).get(INITIAL_KEY), "test_initial_metadata_value",
                   "initial metadata")
            expect(dict(call.trailing_metadata()).get(TRAILING_KEY), b"\xab\xab\xab",
                   "trailing metadata")

        reply, call = self.call().with_call(self.simple(), metadata=metadata)
        expect(len(reply.payload.body), 314159, "payload size")
        check(call)
        request = self.output_request((314159,))
        request.payload.body = b"\0" * 271828
        call = self.duplex()(iter([request]), metadata=metadata)
        expect([len(r.payload.body) for r in call], [314159], "sizes")
        check(call)

    def unimplemented_method(self):
        expect_error(lambda: self.unary("UnimplementedCall", self.p.Empty, self.p.Empty)(
            self.p.Empty()), grpc.StatusCode.UNIMPLEMENTED)

    def unimplemented_service(self):
        call = self.unary("UnimplementedCall", self.p.Empty, self.p.Empty,
                          service="/grpc.testing.UnimplementedService/")
        expect_error(lambda: call(self.p.Empty()), grpc.StatusCode.UNIMPLEMENTED)

    def pick_first_unary(self):
        request = self.p.SimpleRequest(response_size=1, fill_server_id=True)
        ids = {self.call()(request).server_id for _ in range(100)}
        assert len(ids) == 1 and ids != {""}, f"server ids: {ids}"

    def soak(self, fresh_channel):
        for _ in range(10):
            channel = grpc.insecure_channel(
                self.target, options=(("grpc.use_local_subchannel_pool", 1),)
            ) if fresh_channel else self.channel
            reply = self.unary("UnaryCall", self.p.SimpleRequest, self.p.SimpleResponse,
                               channel=channel)(self.simple(), timeout=10)
            expect(len(reply.payload.body), 314159, "payload size")
            if fresh_channel:
                channel.close()

    def rpc_soak(self):
        self.soak(False)

    def channel_soak(self):
        self.soak(True)

    def orca_report(self):
        report = self.p.TestOrcaReport(cpu_utilization=0.8210, memory_utilization=0.5847)
        report.request_cost["cost"] = 3456.32
        report.utilization["util"] = 0.30499
        return report

    def orca_per_rpc(self):
        request = self.p.SimpleRequest(orca_per_query_report=self.orca_report())
        _, call = self.call().with_call(request)
        load = dict(call.trailing_metadata()).get("endpoint-load-metrics-bin")
        assert load, "no endpoint-load-metrics-bin among the trailers"
        check_orca(load)


def check_orca(data):
    """Reads an xds.data.orca.v3.OrcaLoadReport by its field numbers."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    file = descriptor_pb2.FileDescriptorProto(name="orca.proto", package="orca", syntax="proto3")
    message = file.message_type.add(name="Report")
    kind = descriptor_pb2.FieldDescriptorProto
    message.field.add(name="cpu", number=1, type=kind.TYPE_DOUBLE, label=kind.LABEL_OPTIONAL)
    message.field.add(name="memory", number=2, type=kind.TYPE_DOUBLE, label=kind.LABEL_OPTIONAL)
    for name, number in (("request_cost", 4), ("utilization", 5)):
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
        entry.field.add(name="value", number=2, type=kind.TYPE_DOUBLE, label=kind.LABEL_OPTIONAL)
        message.field.add(name=name, number=number, type=kind.TYPE_MESSAGE,
                          label=kind.LABEL_REPEATED, type_name=".orca.Report." + entry.name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    cls = message_factory.MessageFactory(pool).GetPrototype(
        pool.FindMessageTypeByName("orca.Report"))
    report = cls.FromString(data)
    expect(report.cpu, 0.8210, "cpu")
    expect(report.memory, 0.5847, "memory")
    expect(dict(report.request_cost), {"cost": 3456.32}, "request cost")
    expect(dict(report.utilization), {"util": 0.30499}, "utilization")


class Server:
    """TestService as the descriptions define it."""

    def __init__(self, protos):
        self.p = protos

    def echo_metadata(self, context):
        sent = dict(context.invocation_metadata())
        if INITIAL_KEY in sent:
            context.send_initial_metadata(((INITIAL_KEY, sent[INITIAL_KEY]),))
        if TRAILING_KEY in sent:
            context.set_trailing_metadata(((TRAILING_KEY, sent[TRAILING_KEY]),))

    def echo_status(self, request, context):
        if request.HasField("response_status") and request.response_status.code != 0:
            code = {c.value[0]: c for c in grpc.StatusCode}[request.response_status.code]
            context.abort(code, request.response_status.message)

    def compress(self, flag, context):
        context.set_compression(grpc.Compression.Gzip if flag else
                                grpc.Compression.NoCompression)

    def expect_compression(self, request, context):
        # grpcio does not show whether a message came compressed.
        if request.HasField("expect_compressed"):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "this peer cannot see compression")

    def empty(self, request, context):
        return self.p.Empty()

    def unary(self, request, context):
        self.echo_metadata(context)
        self.expect_compression(request, context)
        if request.HasField("response_compressed"):
            self.compress(request.response_compressed.value, context)
        self.echo_status(request, context)
        return self.p.SimpleResponse(
            payload=self.p.Payload(body=b"\0" * request.response_size),
            server_id="python" if request.fill_server_id else "")

    def output(self, request, context):
        self.echo_status(request, context)
        for parameters in request.response_parameters:
            if parameters.interval_us:
                time.sleep(parameters.interval_us / 1e6)
            yield self.p.StreamingOutputCallResponse(
                payload=self.p.Payload(body=b"\0" * parameters.size))

    def input(self, requests, context):
        total = 0
        for request in requests:
            self.expect_compression(request, context)
            total += len(request.payload.body)
        return self.p.StreamingInputCallResponse(aggregated_payload_size=total)

    def full_duplex(self, requests, context):
        self.echo_metadata(context)
        for request in requests:
            yield from self.output(request, context)

    def half_duplex(self, requests, context):
        for request in list(requests):
            yield from self.output(request, context)

    def handler(self):
        p = self.p

        def wrap(factory, behaviour, request, reply):
            return factory(behaviour, request_deserializer=request.FromString,
                           response_serializer=reply.SerializeToString)

        out, out_reply = p.StreamingOutputCallRequest, p.StreamingOutputCallResponse
        return grpc.method_handlers_generic_handler("grpc.testing.TestService", {
            "EmptyCall": wrap(grpc.unary_unary_rpc_method_handler, self.empty, p.Empty, p.Empty),
            "UnaryCall": wrap(grpc.unary_unary_rpc_method_handler, self.unary,
                              p.SimpleRequest, p.SimpleResponse),
            "CacheableUnaryCall": wrap(grpc.unary_unary_rpc_method_handler, self.unary,
                                       p.SimpleRequest, p.SimpleResponse),
            "StreamingOutputCall": wrap(grpc.unary_stream_rpc_method_handler, self.output,
                                        out, out_reply),
            "StreamingInputCall": wrap(grpc.stream_unary_rpc_method_handler, self.input,
                                       p.StreamingInputCallRequest, p.StreamingInputCallResponse),
            "FullDuplexCall": wrap(grpc.stream_stream_rpc_method_handler, self.full_duplex,
                                   out, out_reply),
            "HalfDuplexCall": wrap(grpc.stream_stream_rpc_method_handler, self.half_duplex,
                                   out, out_reply),
        })


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("client", "server"))
    parser.add_argument("--protos", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--server_host", default="127.0.0.1")
    parser.add_argument("--server_port", type=int)
    parser.add_argument("--test_case")
    arguments = parser.parse_args()
    protos = Protos(arguments.protos)
    if arguments.mode == "server":
        server = grpc.server(futures.ThreadPoolExecutor(16))
        server.add_generic_rpc_handlers((Server(protos).handler(),))
        port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
        server.start()
        print("READY", port, flush=True)
        server.wait_for_termination()
        return 0
    client = Client(protos, f"{arguments.server_host}:{arguments.server_port}")
    case = getattr(client, arguments.test_case, None)
    if case is None:
        print(f"this peer has no case {arguments.test_case}")
        return 3
    try:
        case()
    except AssertionError as error:
        print(f"{arguments.test_case}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
