"""Runs a benchmark: run.py NAME BUILD_DIR [--pairs N] [--profiles DIR]

Every figure is a pair: ours and a baseline, measured in turn (A B A B, at least 5 times), so that
what the machine does meanwhile falls on both. Printed: medians, the ratio of the medians, the least
and greatest ratio of a pair, and the budget. Written: BUILD_DIR/bench/NAME.json. Exit status 0 if
everything ran; a missed budget is a figure, not a failure.

Nothing outlives this program: servers end when their standard input closes, or else are killed by
their own pid.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

NAMES = ["grpc-unary", "grpc-stream", "nats", "zeromq", "kafka", "gateway", "inproc-call", "cls",
         "bootstrap", "startup", "json"]
GIVE_UP_S = 600


# --- processes ----------------------------------------------------------------------------------

class Server:
    """A server of one measurement; use it as a context manager."""

    def __init__(self, command, ready_s=60):
        self._command = [str(word) for word in command]
        self._ready_s = ready_s
        self.port = 0

    def __enter__(self):
        self._log = tempfile.TemporaryFile()  # Shown when something goes wrong.
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=self._log)
        self._unread = b""
        try:
            words = self._line(self._ready_s).split()
            if len(words) != 2 or words[0] != "READY":
                raise RuntimeError(f"{self._command[0]} said {words} instead of READY and its port")
            self.port = int(words[1])
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *failure):
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        if any(failure):
            self._log.seek(0)
            sys.stderr.write(self._log.read().decode(errors="replace"))
        self._log.close()

    @property
    def pid(self):
        return self._process.pid

    def ask(self, word):
        """Sends a word of server_control.h and waits until the server has obeyed."""
        self._process.stdin.write(word.encode() + b"\n")
        self._process.stdin.flush()
        answer = self._line(60)
        if answer != "OK":
            raise RuntimeError(f"{self._command[0]} answered '{answer}' to '{word}'")

    def _line(self, seconds):
        end = time.monotonic() + seconds
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            left = max(0, end - time.monotonic())
            readable, _, _ = select.select([descriptor], [], [], left)
            piece = os.read(descriptor, 4096) if readable else b""
            if not piece:
                raise RuntimeError(f"{' '.join(self._command)}: no answer in {seconds} s, or ended")
            self._unread += piece
        line, self._unread = self._unread.split(b"\n", 1)
        return line.decode()


def client(build, server, program="bench_client", **flags):
    """One run of the load generator; its JSON."""
    command = [str(build / program), f"--port={server.port}", f"--server_pid={server.pid}"]
    command += [f"--{name}={value}" for name, value in flags.items()]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=100)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    result = json.loads(done.stdout)
    if result["errors"] or not result["calls"] + result["messages_per_s"]:
        raise RuntimeError(f"{command}: {result}")
    return result


def instructions_per_call(build, command, calls, outstanding, name="server", keep=None,
                          program="bench_client", **flags):
    """Instructions that a server executes per call once it is warm, by callgrind.

    With `keep`, callgrind's file stays there, for callgrind_annotate. `flags` are the client's.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(keep or folder) / f"callgrind.{name}"
        valgrind = ["valgrind", "--tool=callgrind", "--quiet", "--instr-atstart=no",
                    f"--callgrind-out-file={out}"]
        with Server(valgrind + command) as server:
            load = subprocess.Popen(
                [str(build / program), f"--port={server.port}", "--wait=1",
                 f"--outstanding={outstanding}", f"--warmup_calls={calls // 2}",
                 f"--calls={calls}", "--give_up_s=110",
                 *(f"--{flag}={value}" for flag, value in flags.items())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                if load.stdout.readline() != "WARM\n":
                    raise RuntimeError(f"the client failed to warm {command} up")
                server.ask("count")
                load.stdin.write("go\n")
                load.stdin.flush()
                result = json.loads(load.stdout.readline())
                server.ask("dump")
                load.stdin.close()
                load.wait(60)
            finally:
                if load.poll() is None:
                    load.kill()
                    load.wait()
                load.stdout.close()
        if result["errors"]:
            raise RuntimeError(f"{command}: {result}")
        counted = pathlib.Path(f"{out}.1").read_text()
        total = re.search(r"^totals: (\d+)", counted, re.MULTILINE)
        return int(total.group(1)) / result["calls"]


# --- results ------------------------------------------------------------------------------------

class Budget:
    """What a row may cost: a ratio to the baseline, a figure, or a difference from the baseline."""

    def __init__(self, text, within):
        self.text, self.within = text, within


def at_most(limit):
    return Budget(f"ratio <= {limit}", lambda row: row["ratio"] <= limit)


def at_least(limit):
    return Budget(f"ratio >= {limit}", lambda row: row["ratio"] >= limit)


def ours_at_most(limit):
    return Budget(f"<= {limit:,}", lambda row: row["ours"] <= limit)


def more_at_most(limit):
    return Budget(f"<= +{limit}", lambda row: row["ours"] - row["baseline"] <= limit)


class Table:
    """The rows of one benchmark, and the budget of each."""

    def __init__(self, name):
        self.name = name
        self.rows = []
        self.budgets = []

    def add(self, case, unit, ours, baseline, budget=None):
        """Takes samples of equal number, measured pair by pair."""
        pairs = [mine / other for mine, other in zip(ours, baseline) if other]
        middle, reference = statistics.median(ours), statistics.median(baseline)
        self.rows.append({
            "case": case,
            "ours": round(middle, 4),
            "baseline": round(reference, 4),
            "unit": unit,
            "ratio": round(middle / reference, 4) if reference else None,
            "ratio_min": round(min(pairs), 4) if pairs else None,
            "ratio_max": round(max(pairs), 4) if pairs else None,
            "pairs": len(ours),
        })
        self.budgets.append(budget)

    def write(self, build, machine):
        folder = build / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        result = {"name": self.name, "machine": machine, "rows": self.rows}
        (folder / f"{self.name}.json").write_text(json.dumps(result, indent=1) + "\n")

    def show(self, machine):
        print(f"\n{self.name}   {machine['cpu']}, {machine['cores']} cores, "
              f"{machine['compiler']}, gRPC {machine['grpc']}, load {machine['load']}, "
              f"steal {machine['steal_percent']} %")
        width = max(len(row["case"]) for row in self.rows)
        print(f"{'case':{width}}  {'ours':>10}  {'baseline':>10}  {'unit':<18} {'ratio':>7}  "
              f"{'(pairs)':<17}  budget")
        for row, budget in zip(self.rows, self.budgets):
            spread = ratio = "-"
            if row["ratio"] is not None:
                ratio = f"{row['ratio']:.3f}"
                spread = f"({row['ratio_min']:.3f}..{row['ratio_max']:.3f})"
            verdict = ""
            if budget is not None:
                verdict = f"{budget.text:<16} {'met' if budget.within(row) else 'MISSED'}"
            print(f"{row['case']:{width}}  {figure(row['ours']):>10}  "
                  f"{figure(row['baseline']):>10}  {row['unit']:<18} {ratio:>7}  {spread:<17}  "
                  f"{verdict}".rstrip())


def figure(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def cpu_times():
    words = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return [int(word) for word in words[1:]]


def fingerprint(build, before):
    """What a reader must know of the machine to judge the figures."""
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    cache = build / "CMakeCache.txt"
    text = cache.read_text() if cache.exists() else ""
    settings = dict(re.findall(r"^(\w+):\w+=(.*)$", text, re.MULTILINE))
    compiler = settings.get("CMAKE_CXX_COMPILER", "c++")
    kind = settings.get("CMAKE_BUILD_TYPE") or "Release"

    def output(*command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return done.stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return "unknown"

    spent = [after - earlier for after, earlier in zip(cpu_times(), before)]
    return {
        "cpu": model.group(1).strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "compiler": (output(compiler, "--version").splitlines() or ["unknown"])[0],
        "flags": f"{kind} {settings.get('CMAKE_CXX_FLAGS_' + kind.upper(), '')}".strip(),
        "grpc": output("pkg-config", "--modversion", "grpc++"),
        "protobuf": output("pkg-config", "--modversion", "protobuf"),
        "libc": " ".join(platform.libc_ver()),
        "load": round(os.getloadavg()[0], 2),
        "steal_percent": round(100 * spent[7] / max(1, sum(spent[:8])), 1),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


# --- the benchmarks -----------------------------------------------------------------------------

def grpc_unary(build, pairs, table, profiles):
    ours = {"empty": [build / "bench_rookery_grpc", "--pipeline=empty"],
            "full": [build / "bench_rookery_grpc", "--pipeline=full"]}
    bare = {"cq": [build / "bench_baseline_cq"], "callback": [build / "bench_baseline_callback"]}
    allowed = {"empty": at_most(1.03), "full": at_most(1.07)}
    for outstanding in (1, 16, 64, 256):
        samples = {name: [] for name in [*ours, *bare]}
        # CPU time on a shared machine moves by a tenth from run to run: the median of five is not
        # steady enough to tell a ratio of 1.03 from one of 1.00.
        for _ in range(2 * pairs + 1):
            for name in ("empty", "cq", "full", "callback"):
                with Server({**ours, **bare}[name]) as server:
                    result = client(build, server, outstanding=outstanding, warmup_ms=200,
                                    duration_ms=900)
                    samples[name].append(result["server_cpu_us_per_call"])
        better = min(bare, key=lambda name: statistics.median(samples[name]))
        for name in ours:
            # With one call outstanding the cost is that of waking up, ours or not: no budget.
            table.add(f"{name} C={outstanding}", "CPU us/call", samples[name], samples[better],
                      allowed[name] if outstanding > 1 else None)
    samples = {name: [] for name in ("empty", "full", "cq")}
    for _ in range(pairs):
        for name, counted in samples.items():
            counted.append(instructions_per_call(build, {**ours, **bare}[name], calls=3000,
                                                 outstanding=16, name=name, keep=profiles))
    for name, budget in (("empty", at_most(1.02)), ("full", at_most(1.05))):
        table.add(f"instructions {name}", "instructions/call", samples[name], samples["cq"], budget)


def grpc_stream(build, pairs, table, profiles):
    # A callback server runs as many threads as there are cores; ours has one per core, too, which is
    # what users get. With fewer threads than the other it would lose on a busy machine by its share
    # of the cores alone.
    programs = {"ours": [build / "bench_rookery_grpc", "--pipeline=empty",
                         f"--threads={os.cpu_count()}"],
                "hints": [build / "bench_baseline_callback", "--stream=hints"],
                "plain": [build / "bench_baseline_callback", "--stream=plain"]}
    # All are up all the time (an idle one waits in the kernel) and take turns of a fraction of a
    # second: what the machine does for longer than that falls on all of them. Who is first changes.
    turns = 4 * pairs
    rows = []
    with contextlib.ExitStack() as running:
        servers = {name: running.enter_context(Server(command))
                   for name, command in programs.items()}
        for streams in (1, 8):
            rate = {name: [] for name in programs}
            cost = {name: [] for name in programs}
            for turn in range(turns):
                for name in list(programs) if turn % 2 else reversed(programs):
                    result = client(build, servers[name], mode="stream", outstanding=streams,
                                    count=10_000, connections=min(streams, 4), warmup_ms=100,
                                    duration_ms=400)
                    rate[name].append(result["messages_per_s"])
                    cost[name].append(result["server_cpu_us_per_message"])
            rows.append((streams, rate, cost))
    for streams, rate, _ in rows:
        table.add(f"streams={streams}", "messages/s", rate["ours"], rate["hints"], at_least(0.95))
    for streams, rate, _ in rows:
        table.add(f"streams={streams}, against no hints", "messages/s", rate["ours"], rate["plain"])
    # Messages a second are the pair's, server and client on the same cores; this is the server's own.
    for streams, _, cost in rows:
        table.add(f"streams={streams}, CPU", "CPU us/message", cost["ours"], cost["hints"])
    # The steady figure: the same on any machine, however busy.
    messages = 1000
    samples = {"ours": [], "hints": []}
    for _ in range(pairs):
        for name, counted in samples.items():
            total = instructions_per_call(build, programs[name], calls=40, outstanding=1,
                                          name=f"stream-{name}", keep=profiles, mode="stream",
                                          connections=1, count=messages)
            counted.append(total / messages)
    table.add("instructions", "per message", samples["ours"], samples["hints"])


def nats(build, pairs, table, profiles):
    if not has_nats(build):
        raise RuntimeError("it needs nats.c and nats-server: apt-get install libnats-dev nats-server")
    with tempfile.TemporaryDirectory() as folder, NatsBroker(folder) as broker:
        port = f"--port={broker.port}"
        programs = {"ours": [build / "bench_rookery_nats", port],
                    "batched": [build / "bench_baseline_nats", port],
                    "asap": [build / "bench_baseline_nats", port, "--asap=1"]}
        bare = ("batched", "asap")

        def measure(name, **flags):
            with Server(programs[name]) as server:
                return client(build, server, program="bench_nats_client", warmup_ms=200,
                              duration_ms=700, **flags)

        for outstanding in (1, 16, 64, 256):
            cost = {name: [] for name in programs}
            wait = {name: [] for name in programs}
            for _ in range(2 * pairs + 1):
                for name in programs:
                    result = measure(name, outstanding=outstanding)
                    cost[name].append(result["server_cpu_us_per_call"])
                    wait[name].append(result["p50_us"])
            better = min(bare, key=lambda name: statistics.median(cost[name]))
            table.add(f"request C={outstanding}", "CPU us/call", cost["ours"], cost[better],
                      at_most(1.15))
            if outstanding == 1:
                table.add("request C=1, p50", "us", wait["ours"], wait["asap"], at_most(1.0))
        samples = {name: [] for name in programs}
        for _ in range(pairs):
            for name, counted in samples.items():
                counted.append(instructions_per_call(
                    build, programs[name], calls=3000, outstanding=64, name=f"nats-{name}",
                    keep=profiles, program="bench_nats_client"))
        better = min(bare, key=lambda name: statistics.median(samples[name]))
        table.add("instructions C=64", "instructions/call", samples["ours"], samples[better])
        # A hundred events, then a request that says that they have come.
        cost = {name: [] for name in programs}
        for _ in range(2 * pairs + 1):
            for name in programs:
                result = measure(name, outstanding=1, mode="events", batch=100)
                cost[name].append(result["server_cpu_us_per_message"])
        better = min(bare, key=lambda name: statistics.median(cost[name]))
        table.add("pub/sub", "CPU us/message", cost["ours"], cost[better], at_most(1.15))
    # Each in a server of its own, so that neither has the other's stream beside it.
    workers = {"ours": "bench_rookery_jetstream", "bare": "bench_baseline_jetstream"}
    results = {name: [] for name in workers}
    for _ in range(pairs):
        for name, program in workers.items():
            with tempfile.TemporaryDirectory() as folder:
                with NatsBroker(folder, "--jetstream", "--store_dir", folder) as broker:
                    done = subprocess.run([build / program, f"--port={broker.port}"], check=True,
                                          stdout=subprocess.PIPE, timeout=120)
                    results[name].append(json.loads(done.stdout))
    for case, unit, key in (("JetStream consume and ack", "messages/s", "messages_per_s"),
                            ("JetStream consume and ack, CPU", "CPU us/message",
                             "cpu_us_per_message")):
        table.add(case, unit, *([one[key] for one in results[name]] for name in workers))


def zeromq(build, pairs, table, profiles):
    if not has_zeromq(build):
        raise RuntimeError("it needs libzmq: apt-get install libzmq3-dev")
    with tempfile.TemporaryDirectory() as folder:
        # The third does with one frame what the second, and most programs, do with two.
        kinds = {"ours": (["bench_rookery_zeromq"], "rookery"),
                 "bare": (["bench_baseline_zeromq"], "bare"),
                 "one_frame": (["bench_baseline_zeromq", "--frames=1"], "one-frame")}
        for carrier in ("tcp", "ipc"):
            def address(name):
                return "tcp://127.0.0.1:*" if carrier == "tcp" else f"ipc://{folder}/{name}"

            for outstanding in (1, 16, 64, 256):
                cost = {name: [] for name in kinds}
                wait = {name: [] for name in kinds}
                for _ in range(2 * pairs + 1):
                    for name, ((program, *options), wire) in kinds.items():
                        where = {} if carrier == "tcp" else {"address": address(name)}
                        with Server([build / program, *options,
                                     f"--address={address(name)}"]) as server:
                            result = client(build, server, program="bench_zeromq_client", wire=wire,
                                            warmup_ms=100, duration_ms=400,
                                            outstanding=outstanding, **where)
                        cost[name].append(result["server_cpu_us_per_call"])
                        wait[name].append(result["p50_us"])
                table.add(f"request {carrier} C={outstanding}", "CPU us/call", cost["ours"],
                          cost["bare"], at_most(1.2))
                table.add(f"request {carrier} C={outstanding}, against one frame", "CPU us/call",
                          cost["ours"], cost["one_frame"])
                if outstanding == 1:
                    table.add(f"request {carrier} C=1, p50", "us", wait["ours"], wait["bare"])
        for outstanding in (1, 64):
            samples = {name: [] for name in kinds}
            for _ in range(pairs):
                for name, ((program, *options), wire) in kinds.items():
                    samples[name].append(instructions_per_call(
                        build, [build / program, *options, "--address=tcp://127.0.0.1:*"],
                        calls=3000, outstanding=outstanding, name=f"zeromq-{wire}", keep=profiles,
                        program="bench_zeromq_client", wire=wire))
            table.add(f"instructions C={outstanding}", "instructions/call", samples["ours"],
                      samples["bare"])
            table.add(f"instructions C={outstanding}, against one frame", "instructions/call",
                      samples["ours"], samples["one_frame"])
    listeners = {"ours": ("bench_rookery_zeromq_events", "rookery"),
                 "bare": ("bench_baseline_zeromq_events", "bare")}
    results = {name: [] for name in listeners}
    for _ in range(2 * pairs + 1):
        for name, (program, wire) in listeners.items():
            with Server([build / "bench_zeromq_publisher", f"--wire={wire}"]) as publisher:
                done = subprocess.run(
                    [build / program, f"--address=tcp://127.0.0.1:{publisher.port}"], check=True,
                    stdout=subprocess.PIPE, timeout=120)
                results[name].append(json.loads(done.stdout))
    for case, unit, key, budget in (
            ("publish/subscribe, CPU", "CPU us/message", "cpu_us_per_message", at_most(1.2)),
            ("publish/subscribe", "messages/s", "messages_per_s", None)):
        table.add(case, unit, *([one[key] for one in results[name]] for name in listeners),
                  *([budget] if budget else []))


def gateway(build, pairs, table, profiles):
    if not (build / "bench_http_client").exists():
        raise RuntimeError("the gateway is not in this build: configure it with ROOKERY_WITH_GATEWAY")
    # Of ours the whole way: JSON to protobuf, a handler, and JSON again. Beast sends back the bytes.
    kinds = {"ours": ("bench_rookery_gateway", "bench_http_client"),
             "beast": ("bench_baseline_beast", "bench_http_client"),
             "grpc": ("bench_rookery_grpc", "bench_client")}
    for outstanding in (1, 64, 256):
        cost = {name: [] for name in kinds}
        rate = {name: [] for name in kinds}
        for _ in range(2 * pairs + 1):
            for name, (program, load) in kinds.items():
                with Server([build / program]) as server:
                    result = client(build, server, program=load, warmup_ms=100, duration_ms=400,
                                    outstanding=outstanding)
                cost[name].append(result["server_cpu_us_per_call"])
                rate[name].append(result["calls_per_s"])
        table.add(f"unary C={outstanding}", "CPU us/request", cost["ours"], cost["beast"],
                  at_most(1.5))
        table.add(f"unary C={outstanding}", "requests/s", rate["ours"], rate["beast"])
        table.add(f"unary C={outstanding}, against our gRPC", "CPU us/request", cost["ours"],
                  cost["grpc"])
    samples = {"ours": [], "beast": []}
    for _ in range(pairs):
        for name, counted in samples.items():
            program, load = kinds[name]
            counted.append(instructions_per_call(build, [build / program], calls=3000,
                                                 outstanding=64, name=f"gateway-{name}",
                                                 keep=profiles, program=load))
    table.add("unary, instructions C=64", "instructions/request", samples["ours"],
              samples["beast"])
    in_process(build, pairs, table, "bench_gateway_match", {
        "match among 1000 routes, against 10": at_most(2),
        "match among 10000 routes, against 10": at_most(2),
    })


def has_zeromq(build):
    return (build / "bench_zeromq_client").exists()


def has_nats(build):
    return (build / "bench_nats_client").exists() and shutil.which("nats-server") is not None


class NatsBroker:
    """A nats-server on a free port; use it as a context manager."""

    def __init__(self, folder, *options):
        self._ports = pathlib.Path(folder)
        self._options = options

    def __enter__(self):
        self._process = subprocess.Popen(
            ["nats-server", "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", self._ports,
             *self._options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end and self._process.poll() is None:
            for file in self._ports.glob("*.ports"):
                with contextlib.suppress(json.JSONDecodeError, KeyError, IndexError):
                    self.port = int(json.loads(file.read_text())["nats"][0].rsplit(":", 1)[1])
                    return self
            time.sleep(0.02)
        self.__exit__()
        raise RuntimeError("nats-server does not start")

    def __exit__(self, *failure):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def kafka(build, pairs, table):
    """Against librdkafka's mock brokers, which cost little and are the same for both; each run has a
    cluster of its own."""
    if not has_kafka(build):
        raise RuntimeError("it needs librdkafka: apt-get install librdkafka-dev")
    programs = {"ours": "bench_rookery_kafka", "bare": "bench_baseline_kafka"}

    def run(program, brokers, **flags):
        command = [str(build / program), f"--brokers={brokers}", "--topic=bench.said",
                   *(f"--{flag}={value}" for flag, value in flags.items())]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=100)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed")
        return json.loads(done.stdout) if done.stdout else None

    def measure(times, filled=0, **flags):
        results = {name: [] for name in programs}
        for _ in range(times):
            for name, program in programs.items():
                with MockKafka(build) as mock:
                    if filled:
                        run(programs["bare"], mock.brokers, mode="fill", count=filled,
                            keys=flags["keys"])
                    results[name].append(run(program, mock.brokers, **flags))
        return results

    def add(case, results, budget=None, cpu=True):
        rate = [[one["messages_per_s"] for one in results[name]] for name in programs]
        table.add(case, "messages/s", *rate, budget)
        if cpu:
            cost = [[one["cpu_us_per_message"] for one in results[name]] for name in programs]
            table.add(f"{case}, CPU", "CPU us/message", *cost)

    for keys in (1, 4, 16):
        add(f"consume keys={keys}", measure(pairs, 100_000, mode="consume", group="bench",
                                            count=100_000, keys=keys), at_least(0.90))
    # The same, against a loop that looks at the headers of each record, as whoever reads CloudEvents
    # does: librdkafka takes them apart only then.
    add("consume keys=4, bare reads headers",
        measure(pairs, 100_000, mode="consume", group="bench", count=100_000, keys=4, headers=1))
    # What handlers that take time come to is a matter of how many of them run at a time: a second's
    # worth each.
    for handler_ms in (1, 10):
        for keys in (1, 4, 16):
            count = min(1_000 * keys // handler_ms, 5_000)
            add(f"consume keys={keys} handler={handler_ms} ms",
                measure(min(pairs, 3), count, mode="consume", group="bench", count=count, keys=keys,
                        handler_ms=handler_ms), at_least(0.90), cpu=False)
    # Each sender awaits that its record is stored before it sends the next.
    for keys in (1, 4, 16):
        add(f"produce keys={keys}", measure(pairs, mode="produce", count=5_000 * min(keys, 4),
                                            keys=keys, outstanding=keys))
    add("produce keys=16, 1000 under way", measure(pairs, mode="produce", count=100_000, keys=16,
                                                   outstanding=1_000, linger_ms=5))


def has_kafka(build):
    return (build / "bench_rookery_kafka").exists()


class MockKafka:
    """librdkafka's mock brokers in a process of their own; use it as a context manager."""

    def __init__(self, build):
        places = (build / "mock_kafka", build.parent / "support" / "mock_kafka")
        self._program = next((str(place) for place in places if place.exists()), "mock_kafka")

    def __enter__(self):
        self._process = subprocess.Popen([self._program, "--topic=bench.said:12"],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = self._process.stdout.readline().split()
        if len(words) != 2 or words[0] != "READY":
            self.__exit__()
            raise RuntimeError("the mock brokers do not start")
        self.brokers = words[1]
        return self

    def __exit__(self, *failure):
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def in_process(build, pairs, table, program, budgets):
    """For programs that time ours and the baseline in turn themselves; they print JSON."""
    command = [str(build / program), f"--pairs={max(pairs, 5)}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=220, check=True)
    for row in json.loads(done.stdout):
        table.add(row["case"], row["unit"], row["ours"], row["baseline"], budgets.get(row["case"]))


def inproc_call(build, pairs, table):
    in_process(build, pairs, table, "bench_inproc_call", {
        "call": ours_at_most(250),
        "allocations": ours_at_most(2),
        "one more guard": ours_at_most(20),
        "one more interceptor": ours_at_most(20),
    })


def cls(build, pairs, table):
    in_process(build, pairs, table, "bench_cls", {
        "get": ours_at_most(2),
        "added by a suspending await": more_at_most(3),
    })


def bootstrap(build, pairs, table):
    in_process(build, pairs, table, "bench_bootstrap", {
        "50 endpoints": ours_at_most(1000),
        "growth 500": at_most(1.25),
        "growth 1000": at_most(1.25),
        "growth 10000": at_most(1.25),
    })
    # What a user waits for: a source with a module of 100 providers, and the same one without it.
    for compiler in compilers(build):
        with_module, without = [], []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(3):
                with_module.append(seconds_to_compile(build, compiler, folder, 100, module=True))
                without.append(seconds_to_compile(build, compiler, folder, 100, module=False))
        table.add(f"compile 100 providers, {pathlib.Path(compiler).name}", "CPU s", with_module,
                  without)


def compilers(build):
    """The build's own, and clang where Debian's is installed."""
    found = []
    for name in (cache_entry(build, "CMAKE_CXX_COMPILER"), "clang++-19"):
        path = name and shutil.which(name)
        if path and path not in found:
            found.append(path)
    return found


def cache_entry(build, name):
    for folder in (build, *build.parents):
        cache = folder / "CMakeCache.txt"
        if cache.exists():
            entry = re.search(rf"^{name}:\w+=(.*)$", cache.read_text(), re.MULTILINE)
            return entry and entry.group(1)
    return None


def seconds_to_compile(build, compiler, folder, providers, module):
    """CPU seconds for a chain of classes, each given the one before, with or without the module."""
    source = pathlib.Path(folder) / "many.cc"
    lines = ['#include "rookery/module/module_builder.h"', "class P0 {};"]
    lines += [f"class P{i} {{ public: explicit P{i}(P{i - 1}& before) : before_(before) {{}} "
              f"private: P{i - 1}& before_; }};" for i in range(1, providers)]
    if module:
        lines.append("void Define(rookery::ModuleBuilder& module) {")
        lines += [f"  module.Provide<P{i}>();" for i in range(providers)]
        lines.append("}")
    source.write_text("\n".join(lines) + "\n")
    root = pathlib.Path(__file__).resolve().parents[2]
    command = [compiler, "-std=c++20", "-O2", "-DNDEBUG", "-w", f"-I{root / 'core' / 'include'}", "-c",
               str(source), "-o", str(source.with_suffix(".o"))]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime


def json_text(build, pairs, table):
    in_process(build, pairs, table, "bench_json", {
        f"{message}, {way}": at_least(4)
        for message in ("small", "nested", "repeated", "map-heavy") for way in ("write", "read")})


def ready_and_idle(command):
    """Milliseconds from exec to READY, and MiB resident half a second later."""
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, read_in, 0), (os.POSIX_SPAWN_DUP2, write_out, 1),
               (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    words = [str(word) for word in command]
    began = time.perf_counter_ns()
    pid = os.posix_spawn(words[0], words, os.environ, file_actions=actions)
    try:
        os.close(read_in)
        os.close(write_out)
        said = b""
        while b"\n" not in said:
            readable, _, _ = select.select([read_out], [], [], 20)
            piece = os.read(read_out, 4096) if readable else b""
            if not piece:
                raise RuntimeError(f"{words} did not get ready")
            said += piece
        took = (time.perf_counter_ns() - began) / 1e6
        time.sleep(0.5)
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        resident = int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024
        return took, resident
    finally:
        os.close(write_in)
        os.close(read_out)
        end = time.monotonic() + 20
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                break
            time.sleep(0.002)


def startup(build, pairs, table):
    ours, bare = [], []
    commands = [([build / "bench_rookery_grpc", "--pipeline=empty"], ours),
                ([build / "bench_baseline_bare"], bare)]
    for command, _ in commands:
        ready_and_idle(command)  # The first start of each reads the disk.
    for _ in range(max(pairs, 15)):
        for command, samples in commands:
            samples.append(ready_and_idle(command))
    rows = (("exec to ready", "ms", at_most(1.15)), ("idle memory", "MiB", more_at_most(3)))
    for index, (case, unit, budget) in enumerate(rows):
        table.add(case, unit, [one[index] for one in ours], [one[index] for one in bare], budget)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["all", *NAMES])
    parser.add_argument("build", type=pathlib.Path, help="a release build of the repository")
    parser.add_argument("--pairs", type=int, default=5, help="how often each pair is measured")
    parser.add_argument("--profiles", type=pathlib.Path,
                        help="keep callgrind's files in this folder, for callgrind_annotate")
    arguments = parser.parse_args()
    # As an exception, so that every server is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"gave up after {GIVE_UP_S} s"))
    places = (arguments.build / "tests" / "bench", arguments.build)
    binaries = next((folder for folder in places if (folder / "bench_client").exists()), None)
    if binaries is None:
        sys.exit(f"{arguments.build} holds no bench_client: build the target rookery_bench first")
    names = NAMES if arguments.name == "all" else [arguments.name]
    if arguments.name == "all" and not has_nats(binaries):
        print("nats: SKIPPED, it needs libnats-dev and nats-server")
        names = [name for name in names if name != "nats"]
    if arguments.name == "all" and not has_zeromq(binaries):
        print("zeromq: SKIPPED, it needs libzmq3-dev")
        names = [name for name in names if name != "zeromq"]
    if arguments.name == "all" and not has_kafka(binaries):
        print("kafka: SKIPPED, it needs librdkafka-dev")
        names = [name for name in names if name != "kafka"]
    for name in names:
        signal.alarm(GIVE_UP_S)
        before = cpu_times()
        table = Table(name)
        benchmark = json_text if name == "json" else globals()[name.replace("-", "_")]
        try:
            if name in ("grpc-unary", "grpc-stream", "nats", "zeromq", "gateway"):
                benchmark(binaries, arguments.pairs, table, arguments.profiles)
            else:
                benchmark(binaries, arguments.pairs, table)
        except (RuntimeError, OSError, subprocess.SubprocessError) as failure:
            sys.exit(f"{name}: {failure}")
        machine = fingerprint(arguments.build, before)
        table.write(arguments.build, machine)
        table.show(machine)


if __name__ == "__main__":
    main()
