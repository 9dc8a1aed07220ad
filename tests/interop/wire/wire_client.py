"""A client of docs/wire.md, written from that page alone, on sockets and nothing else.

    wire_client.py --server rookery_wire_server

Starts a nats-server (Debian's) and a Rookery node, plays every case below against it, prints one line
for each, and stops what it started. Exit code 0 only if all passed; 77 without a nats-server.
"""
import argparse
import base64
import contextlib
import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

PATIENCE = 30.0  # how long anything that must come may take: a loaded machine is slow


# --- protobuf, as much of it as these messages need ----------------------------------------------

def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def request(text="", count=0, fail_code=0, fail_message="", delay_ms=0, reply_bytes=0, payload=b""):
    values = (text, count, fail_code, fail_message, delay_ms, reply_bytes, payload)
    return b"".join(field(i + 1, value) for i, value in enumerate(values) if value)


def fields(data):
    """{number: value}; the last one of a number counts."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        else:
            assert key & 7 == 2, f"wire type {key & 7}"
            size = number()
            found[key >> 3] = data[at:at + size]
            at += size
    return found


def reply_text(message):
    return fields(message.body).get(1, b"").decode()


def reply_index(message):
    return fields(message.body).get(2, 0)


# --- NATS ----------------------------------------------------------------------------------------

class Message:
    def __init__(self, subject, reply, headers, code, body):
        self.subject, self.reply, self.headers = subject, reply, headers
        self.code, self.body = code, body  # code: "503" if NATS itself says that nobody listens

    def get(self, name):
        """The first value of a header, whose name's case does not matter."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def status(self):
        return int(self.get("grpc-status") or 0)

    @property
    def text(self):
        return urllib.parse.unquote(self.get("grpc-message") or "")

    @property
    def kind(self):
        """The frame's kind, or None."""
        frame = self.get("rookery")
        return frame.split(" ")[1] if frame else None

    def key(self, name):
        for word in (self.get("rookery") or "").split(" ")[2:]:
            if word.startswith(name + "="):
                return int(word[len(name) + 1:])
        return None


class Nats:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.unread = b""
        self.inboxes = {}  # address -> what has come
        self.line()  # INFO
        self.send(b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,'
                  b'"protocol":1,"lang":"python","version":"1"}\r\n')
        # An ID of 22 characters for the connection; below it, a token for each call.
        self.prefix = f"_INBOX.{secrets.token_hex(11)}."
        self.calls = 0
        self.send(f"SUB {self.prefix}* 1\r\n".encode())

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def address(self):
        self.calls += 1
        address = f"{self.prefix}{self.calls}"
        self.inboxes[address] = []
        return address

    def publish(self, subject, body=b"", reply="", headers=()):
        head = "".join(f"{key}: {value}\r\n" for key, value in headers)
        if head:
            head = f"NATS/1.0\r\n{head}\r\n"
            self.send(f"HPUB {subject} {reply} {len(head)} {len(head) + len(body)}\r\n{head}".encode()
                      + body + b"\r\n")
        else:
            self.send(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")

    def more(self, until):
        if not select.select([self.socket], [], [], max(0, until - time.monotonic()))[0]:
            return False
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise ConnectionError("NATS closed the connection")
        self.unread += piece
        return True

    def line(self, until=None):
        until = until or time.monotonic() + PATIENCE
        while b"\r\n" not in self.unread:
            if not self.more(until):
                return None
        line, self.unread = self.unread.split(b"\r\n", 1)
        return line.decode()

    def bytes(self, size):
        while len(self.unread) < size + 2:
            if not self.more(time.monotonic() + PATIENCE):
                raise TimeoutError("half a message")
        data, self.unread = self.unread[:size], self.unread[size + 2:]
        return data

    def pump(self, until):
        """Takes one thing in; False if there was none until then."""
        line = self.line(until)
        if line is None:
            return False
        words = line.split(" ")
        if words[0] == "PING":
            self.send(b"PONG\r\n")
        elif words[0] == "-ERR":
            raise ConnectionError(line)
        elif words[0] in ("MSG", "HMSG"):
            head = 0
            sizes = 2 if words[0] == "HMSG" else 1
            reply = words[3] if len(words) > 3 + sizes else ""
            data = self.bytes(int(words[-1]))
            headers, code = [], None
            if words[0] == "HMSG":
                head = int(words[-2])
                lines = data[:head].decode().split("\r\n")
                code = lines[0][len("NATS/1.0"):].strip().split(" ")[0] or None
                for each in lines[1:]:
                    if each:
                        key, value = each.split(":", 1)
                        headers.append((key, value.strip()))
            message = Message(words[1], reply, headers, code, data[head:])
            self.inboxes.get(message.subject, []).append(message)
        return True

    def next(self, address, wait=PATIENCE):
        """The next message to an address; None if none comes."""
        until = time.monotonic() + wait
        while not self.inboxes[address]:
            if not self.pump(until):
                return None
        return self.inboxes[address].pop(0)

    def must(self, address):
        message = self.next(address)
        assert message is not None, "nothing came"
        return message


ECHO = "rookery.testing.Echo"
CANCEL = "rookery.cancel." + ECHO


def unary(nats, body, headers=(), method="Say"):
    address = nats.address()
    nats.publish(f"{ECHO}.{method}", body, address, headers)
    return nats.must(address)


def counts(nats):
    started, cancelled = reply_text(unary(nats, request("counts"))).split()
    return int(started), int(cancelled)


def eventually(holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.02)


# --- a stream ------------------------------------------------------------------------------------

class Stream:
    """The caller's side of one stream."""

    def __init__(self, nats, method, body=b"", credit=1 << 20, headers=()):
        self.nats, self.mine, self.callee = nats, nats.address(), None
        self.granted, self.received, self.expected = credit, 0, 0
        self.allowed, self.sent, self.number = 0, 0, 0
        self.last = None
        nats.publish(f"{ECHO}.{method}", body, self.mine,
                     [("rookery", f"1 open credit={credit}"), *headers])

    def take(self, wait=PATIENCE):
        """The next frame, with what it says about the stream taken note of."""
        message = self.nats.next(self.mine, wait)
        if message is None:
            return None
        if message.reply:
            self.callee = message.reply
        self.allowed = max(self.allowed, message.key("credit") or 0)
        if message.kind == "ping":
            self.send("pong")
        elif message.kind in ("data", "end"):
            assert message.key("seq") == self.expected, f"{message.key('seq')}, not {self.expected}"
            self.expected += 1
            if message.kind == "data":
                self.received += len(message.body) + 256
        if message.kind in ("end", "cancel", None):
            self.last = message
        return message

    def send(self, kind, body=b"", headers=()):
        self.nats.publish(self.callee, body, self.mine, [("rookery", f"1 {kind}"), *headers])

    def data(self, body):
        while self.sent >= self.allowed:
            assert self.last is None, "the call is over"
            assert self.take() is not None, "no credit came"
        self.send(f"data seq={self.number}", body)
        self.number += 1
        self.sent += len(body) + 256

    def half(self):
        self.send(f"half seq={self.number}")
        self.number += 1

    def grant(self, credit):
        self.granted = credit
        self.send(f"credit credit={credit}")

    def rest(self):
        """All data until the end; more credit as it is read."""
        got = []
        while self.last is None:
            message = self.take()
            assert message is not None, "nothing came"
            if message.kind == "data":
                got.append(message)
                if self.received > self.granted - (1 << 19):
                    self.grant(self.received + (1 << 20))
        return got


# --- the cases -----------------------------------------------------------------------------------

def shortest_call(nats):
    answer = unary(nats, request("hi"))
    assert answer.status == 0 and reply_text(answer) == "hi"
    assert answer.kind is None


def json_by_content_type(nats):
    answer = unary(nats, b'{"text": "hi"}', [("Content-Type", "application/json; charset=utf-8")])
    assert json.loads(answer.body) == {"text": "hi"}, answer.body
    assert answer.get("content-type").startswith("application/json")
    for name in ("application/x-protobuf", "application/grpc", "application/grpc+proto"):
        assert reply_text(unary(nats, request("hi"), [("content-type", name)])) == "hi"
    assert unary(nats, b"<a/>", [("content-type", "text/xml")]).status == 3


def metadata_both_ways(nats):
    value = bytes([0, 255, 7])
    answer = unary(nats, request("hi"), [
        ("rookery", "1 call"), ("X-Echo", "some value"),
        ("x-echo-bin", base64.b64encode(value).decode().rstrip("="))])
    assert answer.get("x-echo") == "some value"
    assert answer.get("trailer-x-echo") == "some value"
    for name in ("x-echo-bin", "trailer-x-echo-bin"):
        text = answer.get(name)
        assert base64.b64decode(text + "=" * (-len(text) % 4)) == value, text


def errors_with_details(nats):
    answer = unary(nats, request("x", fail_code=9, fail_message="100 % \N{SNOWMAN} gone"))
    assert answer.status == 9 and answer.text == "100 % \N{SNOWMAN} gone", answer.text
    text = answer.get("grpc-status-details-bin")
    status = fields(base64.b64decode(text + "=" * (-len(text) % 4)))
    assert status[1] == 9 and status[2].decode() == answer.text
    detail = fields(status[3])  # google.protobuf.Any
    assert detail[1].decode().endswith("/rookery.testing.EchoRequest"), detail
    assert fields(detail[2])[1] == b"more"
    assert answer.get("nats-service-error-code") == "9"


def malformed_is_refused(nats):
    assert unary(nats, b"\xff\xff").status == 3
    assert unary(nats, b"{", [("content-type", "application/json")]).status == 3
    assert unary(nats, b"", [("rookery", "7 call")]).status == 12
    assert unary(nats, b"", [("rookery", "1 dance")]).status == 3
    assert unary(nats, request("hi"), [("rookery", "1 call colour=7")]).status == 0
    assert unary(nats, b"", [("x-big", "x" * 20_000)]).status == 8


def wrong_kinds_and_names(nats):
    assert unary(nats, b"", method="Nowhere").status == 12
    assert unary(nats, b"", method="Repeat").status == 12
    assert unary(nats, b"", [("rookery", "1 open credit=100")]).status == 12


def nobody_listens(nats):
    address = nats.address()
    nats.publish("rookery.testing.Nobody.Say", b"", address)
    assert nats.must(address).code == "503"


def trace_is_continued(nats):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = unary(nats, request("trace"), [("traceparent", f"00-{trace}-00f067aa0ba902b7-01")])
    assert reply_text(answer) == trace


def deadline_cancels_the_handler(nats):
    assert reply_index(unary(nats, request("deadline"), [("grpc-timeout", "1M")])) == 1
    assert reply_index(unary(nats, request("deadline"))) == 0
    before = counts(nats)
    nats.publish(f"{ECHO}.Say", request("x", delay_ms=600_000), nats.address(),
                 [("rookery", "1 call"), ("grpc-timeout", "50m")])
    eventually(lambda: counts(nats)[1] == before[1] + 1)


def cancellation_of_a_unary_call(nats):
    before = counts(nats)
    address = nats.address()
    nats.publish(f"{ECHO}.Say", request("x", delay_ms=600_000), address, [("rookery", "1 call")])
    eventually(lambda: counts(nats)[0] == before[0] + 1)
    nats.publish(CANCEL, headers=[("rookery", "1 cancel"), ("rookery-call", address)])
    eventually(lambda: counts(nats)[1] == before[1] + 1)
    late = nats.next(address, 0.2)
    assert late is None, "a cancelled call was answered"


def a_repeated_request_is_served_once(nats):
    before = counts(nats)
    address = nats.address()
    for _ in range(3):
        nats.publish(f"{ECHO}.Say", request("x", delay_ms=200), address, [("rookery", "1 call")])
    assert reply_text(nats.must(address)) == "x"
    assert nats.next(address, 0.5) is None
    assert counts(nats)[0] == before[0] + 1


def server_streaming(nats):
    stream = Stream(nats, "Repeat", request("r", count=3000, reply_bytes=1000))
    got = stream.rest()
    assert [reply_index(message) for message in got] == list(range(3000))
    assert stream.last.kind == "end" and stream.last.status == 0
    assert stream.last.get("trailer-x-last") == "word"


def the_server_keeps_to_the_credit(nats):
    stream = Stream(nats, "Repeat", request("", count=10, reply_bytes=100), credit=1000)
    sizes = []
    while sum(sizes) < 1000:
        message = stream.take()
        if message.kind == "data":
            sizes.append(len(message.body) + 256)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        message = stream.take(end - time.monotonic())
        assert message is None or message.kind == "ping", "a message beyond the credit"
    stream.grant(1 << 20)
    assert len(sizes) + len(stream.rest()) == 10


def a_stream_that_fails(nats):
    stream = Stream(nats, "Repeat", request("r", count=2, fail_code=5, fail_message="no more"))
    assert len(stream.rest()) == 2
    assert stream.last.kind == "end" and stream.last.status == 5 and stream.last.text == "no more"


def a_refused_stream_is_answered_as_a_unary_call(nats):
    stream = Stream(nats, "Nowhere")
    assert stream.rest() == []
    assert stream.last.kind is None and stream.last.status == 12


def client_streaming(nats):
    stream = Stream(nats, "Join")
    first = stream.take()
    assert first.kind == "credit" and stream.callee and stream.allowed > 0
    body = request("a", payload=b"x" * 10_000)
    for _ in range(500):  # five windows: credit must come as the handler reads
        stream.data(body)
    stream.half()
    got = stream.rest()
    assert len(got) == 1 and reply_index(got[0]) == 500 and reply_text(got[0]) == "a" * 500


def bidi_streaming(nats):
    stream = Stream(nats, "Chat")
    assert stream.take().kind == "credit"
    for i in range(100):
        stream.data(request(f"m{i}"))
        message = stream.take()
        while message.kind == "credit":
            message = stream.take()
        assert reply_text(message) == f"m{i}"
    stream.half()
    assert stream.rest() == [] and stream.last.status == 0


def order_is_by_number(nats):
    stream = Stream(nats, "Chat")
    stream.take()
    for number in (1, 0, 0, 1, 2):  # one early, two repeated
        stream.send(f"data seq={number}", request(f"m{number}"))
    stream.send("half seq=3")
    assert [reply_text(message) for message in stream.rest()] == ["m0", "m1", "m2"]


def a_gap_is_data_loss(nats):
    stream = Stream(nats, "Chat")
    stream.take()
    stream.send("data seq=0", request("m0"))
    stream.send("data seq=2", request("m2"))
    assert len(stream.rest()) == 1
    assert stream.last.status == 15, (stream.last.kind, stream.last.status)


def who_ignores_the_credit_is_cut_off(nats):
    stream = Stream(nats, "Chat", headers=[("x-stall", "1")])
    stream.take()
    body = request("x", payload=b"x" * (512 << 10))
    for number in range(24):
        stream.send(f"data seq={number}", body)
    stream.rest()
    assert stream.last.status == 8, (stream.last.kind, stream.last.status)


def cancellation_of_a_stream(nats):
    before = counts(nats)
    stream = Stream(nats, "Chat")
    stream.take()
    stream.send("cancel", headers=[("grpc-status", "1"), ("grpc-message", "enough")])
    eventually(lambda: counts(nats)[1] == before[1] + 1)
    # Before the callee has said where it is, the method's cancellation address is what there is.
    stream = Stream(nats, "Repeat", request("r", delay_ms=600_000))
    eventually(lambda: counts(nats)[0] == before[0] + 2)
    nats.publish(CANCEL, headers=[("rookery", "1 cancel"), ("rookery-call", stream.mine)])
    eventually(lambda: counts(nats)[1] == before[1] + 2)


def stream_deadline(nats):
    before = counts(nats)
    Stream(nats, "Chat", headers=[("grpc-timeout", "100m")])
    eventually(lambda: counts(nats)[1] == before[1] + 1)


def events_are_cloudevents(nats):
    def event(identity, **more):
        attributes = {"specversion": "1.0", "id": identity, "source": "/python", "type": "echo.said",
                      "time": "2026-01-01T00:00:00Z", **more}
        nats.publish("echo.said", request("x"), headers=[
            ("rookery", "1 event"), ("content-type", "application/protobuf"),
            *(("ce-" + key, urllib.parse.quote(value, safe="/:+"))
              for key, value in attributes.items())])

    event("id-1")
    eventually(lambda: reply_index(unary(nats, request("events"))) == 1)
    event("id-1", expirytime="2020-01-01T00:00:00Z")  # too late: not handled
    event("id-1", expirytime="2999-01-01T00:00:00Z")
    eventually(lambda: reply_index(unary(nats, request("events"))) == 2)
    assert reply_index(unary(nats, request("events"))) == 2


def pings_are_asked_and_answered(nats):
    """The node's keepalive is 200 ms here."""
    before = counts(nats)
    # Answered: the call lives far longer than three intervals.
    address = nats.address()
    nats.publish(f"{ECHO}.Say", request("slow", delay_ms=2000), address, [("rookery", "1 call")])
    pings = 0
    while True:
        message = nats.must(address)
        if message.kind != "ping":
            break
        pings += 1
        nats.publish(message.reply, b"", address, [("rookery", "1 pong")])
    assert reply_text(message) == "slow" and pings >= 3, pings
    # Not answered: the handler is cancelled.
    nats.publish(f"{ECHO}.Say", request("x", delay_ms=600_000), nats.address(),
                 [("rookery", "1 call")])
    eventually(lambda: counts(nats)[1] == before[1] + 1)
    # Who sent no `call` is asked nothing.
    address = nats.address()
    nats.publish(f"{ECHO}.Say", request("plain", delay_ms=1500), address)
    assert reply_text(nats.must(address)) == "plain"


def a_ping_for_no_call_is_answered_cancel(nats):
    stream = Stream(nats, "Chat")
    stream.take()
    stream.half()
    stream.rest()
    stream.send("ping")
    message = nats.must(stream.mine)
    assert message.kind == "cancel" and message.status == 14, (message.kind, message.status)


CASES = (
    shortest_call, json_by_content_type, metadata_both_ways, errors_with_details,
    malformed_is_refused, wrong_kinds_and_names, nobody_listens, trace_is_continued,
    deadline_cancels_the_handler, cancellation_of_a_unary_call, a_repeated_request_is_served_once,
    server_streaming, the_server_keeps_to_the_credit, a_stream_that_fails,
    a_refused_stream_is_answered_as_a_unary_call, client_streaming, bidi_streaming,
    order_is_by_number, a_gap_is_data_loss, who_ignores_the_credit_is_cut_off,
    cancellation_of_a_stream, stream_deadline, events_are_cloudevents,
    pings_are_asked_and_answered, a_ping_for_no_call_is_answered_cancel,
)


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def await_port(port, process):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    sys.exit("nats-server does not listen")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="rookery_wire_server")
    parser.add_argument("--case", help="only this one")
    arguments = parser.parse_args()
    broker = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if broker is None:
        print("SKIPPED: nats-server is not installed (apt-get install nats-server)")
        sys.exit(77)
    port = free_port()
    failed = 0
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(open(os.path.join(folder, "log"), "wb"))
        process = stack.enter_context(running([broker, "-a", "127.0.0.1", "-p", str(port)],
                                              stdout=subprocess.DEVNULL, stderr=log))
        process.stdout = None
        await_port(port, process)
        node = stack.enter_context(running(
            [arguments.server, f"--url=nats://127.0.0.1:{port}", "--keepalive_ms=200"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        if node.stdout.readline() != "READY\n":
            sys.exit("the server did not say READY")
        for case in CASES:
            if arguments.case not in (None, case.__name__):
                continue
            # A connection each: what one leaves behind is no other's.
            with contextlib.closing(Nats(port)) as nats:
                try:
                    case(nats)
                    print(f"passed  {case.__name__}")
                except Exception as failure:  # shown, and the next case goes on
                    failed += 1
                    print(f"FAILED  {case.__name__}: {type(failure).__name__}: {failure}")
        if node.poll() is not None:
            sys.exit("the server has ended")
    print(f"{failed} failed" if failed else "all passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
